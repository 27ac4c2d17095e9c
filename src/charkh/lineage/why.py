"""Why a subject is as it is: the facts behind it, and everyone who stated them or points at it."""

import msgspec

from charkh.core.refs import parse_subject
from charkh.lineage.index import EdgesTo, FactsBehind, KnownFact
from charkh.lineage.trace import Node, describe_node
from charkh.ports.store import Store

MAX_WITNESSES = 50


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """What is known behind a subject.

    Attributes:
        subject: the subject, described, with the facts about itself.
        facts: facts about it and everything it was made from; of one name, the nearest.
        witnesses: subjects that stated one of these facts or have an edge to the subject (evaluations, decisions,
            cards), newest first; `relation` is the edge's, or `states` where there is none.
        cut: there are more witnesses than are shown.
    """

    subject: Node
    facts: tuple[KnownFact, ...]
    witnesses: tuple[Node, ...]
    cut: bool = False


def why(store: Store, subject: str, *, limit: int = MAX_WITNESSES) -> Why:
    """The facts and decisions behind `subject`.

    Args:
        store: where the facts are.
        subject: `noun:id`.
        limit: how many witnesses are shown at most.

    Raises:
        Invalid: the text is no subject.
    """
    start = str(parse_subject(subject))
    facts = store.queries.ask(FactsBehind(subject=start))
    relations = {fact.subject: "states" for fact in facts if fact.subject not in {start, fact.about}}
    relations |= {edge.source: edge.relation for edge in store.queries.ask(EdgesTo(subject=start))}
    # Ids are UUIDv7, so the greatest id is the newest whatever the noun.
    newest = sorted(relations, key=lambda witness: witness.partition(":")[2], reverse=True)
    witnesses = [Node(subject=each, depth=1, relation=relations[each], via=start) for each in newest[:limit]]
    return Why(
        subject=describe_node(store, Node(subject=start)),
        facts=facts,
        witnesses=tuple(describe_node(store, node) for node in witnesses),
        cut=len(newest) > limit,
    )
