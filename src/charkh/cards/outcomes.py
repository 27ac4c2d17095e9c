"""What became of a version: what judged it, what serves it, what watched it, and what was raised. By lineage alone."""

import msgspec

from charkh.core.refs import parse_subject
from charkh.lineage.index import EdgesTo, FactsAbout, KnownFact
from charkh.lineage.trace import Node, describe_node
from charkh.ports.store import Store

MAX_NEWEST = 12
"""Stops of one noun that are told; ids grow with time, so that the last ones are the newest."""


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """What points at a version.

    Attributes:
        decisions: of loops that judged it.
        compared: decisions and evaluations in which another version was held against it.
        deployments: that served it.
        watched: what monitors collected about it, newest first.
        alerts: raised by those, newest first.
        certificates: of its stability, the newest of each suite.
        facts: about it that no evaluation or certificate stated, such as `signed` or `promoted`.
    """

    decisions: tuple[Node, ...] = ()
    compared: tuple[Node, ...] = ()
    deployments: tuple[Node, ...] = ()
    watched: tuple[Node, ...] = ()
    alerts: tuple[Node, ...] = ()
    certificates: tuple[Node, ...] = ()
    facts: tuple[KnownFact, ...] = ()


def outcomes_of(store: Store, subject: str) -> Outcomes:
    """What points at `subject`, one edge away, and the alerts behind what watched it."""
    found: dict[tuple[str, str], list[str]] = {}
    for edge in store.queries.ask(EdgesTo(subject=subject)):
        found.setdefault((parse_subject(edge.source).noun, edge.relation), []).append(edge.source)
    watched = _newest(store, found.get(("collection", "looked_at"), []))
    raised = [
        edge.source
        for each in watched
        for edge in store.queries.ask(EdgesTo(subject=each.subject))
        if edge.relation == "raised_by"
    ]
    return Outcomes(
        decisions=_newest(store, found.get(("loop", "judged"), [])),
        compared=_newest(store, [*found.get(("loop", "against"), []), *found.get(("evaluation", "against"), [])]),
        deployments=_newest(store, found.get(("deployment", "serves"), [])),
        watched=watched,
        alerts=_newest(store, raised),
        certificates=_newest_of_title(store, found.get(("stability", "certifies"), [])),
        facts=tuple(
            fact
            for fact in store.queries.ask(FactsAbout(subject=subject))
            if not fact.subject.startswith(("evaluation:", "card:", "stability:"))
        ),
    )


def _newest(store: Store, subjects: list[str]) -> tuple[Node, ...]:
    ordered = sorted(subjects, key=lambda each: each.partition(":")[2], reverse=True)[:MAX_NEWEST]
    return tuple(describe_node(store, Node(subject=each)) for each in ordered)


def _newest_of_title(store: Store, subjects: list[str]) -> tuple[Node, ...]:
    """The newest of each title, which for a certificate names its suite; in the order of titles."""
    newest: dict[str, Node] = {}
    for node in _newest(store, subjects):
        newest.setdefault(node.title, node)
    return tuple(newest[title] for title in sorted(newest))
