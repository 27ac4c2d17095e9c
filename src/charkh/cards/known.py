"""What is known about the subject of a card: its description, its trace, and the scores and checks behind it."""

import re
from collections.abc import Sequence

import msgspec

from charkh.cards.card import name_of
from charkh.cards.content import Content
from charkh.cards.executed import Execution
from charkh.cards.front_matter import top_keys
from charkh.cards.index import CardNamed, CardOf
from charkh.cards.lint import sections_of
from charkh.cards.outcomes import Outcomes, outcomes_of
from charkh.cards.record import read_markdown
from charkh.cards.regions import parse_document
from charkh.core.errors import NotFound
from charkh.core.events import Fact
from charkh.core.refs import parse_subject
from charkh.lineage.index import EdgesFrom, FactsAbout, FactsBehind, KnownFact
from charkh.lineage.trace import Node, Trace, describe_node, trace
from charkh.ports.store import Store

_SLICE = re.compile(r"slice\((?P<column>[^=]+)=(?P<value>.*)\)\.(?P<name>[\w.]+)", re.DOTALL)

MAX_STOPS = 60


class SliceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about the rows in which `column` has `value`."""

    column: str
    value: str
    facts: dict[str, Fact]


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """What one evaluation says about the subject.

    Attributes:
        stated_by: the evaluation, described.
        on: what it was evaluated on, described; None where that is not said.
        facts: about all rows.
        slices: about groups of rows.
    """

    stated_by: Node
    on: Node | None
    facts: dict[str, Fact]
    slices: tuple[SliceFacts, ...]


class Datasheet(msgspec.Struct, frozen=True, kw_only=True):
    """What the card of a dataset behind the subject says.

    Attributes:
        card: `card:id`.
        license: of its front matter, or empty.
        complete: nothing that is required is missing in it.
        texts: what people wrote in it, by heading in lower case.
    """

    card: str
    license: str
    complete: bool
    texts: dict[str, str]


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a card is generated from.

    Attributes:
        subject: `noun:id`.
        title: how its noun calls it.
        lines: of its description.
        trace: what it was made from.
        scores: by evaluation, the newest first.
        checks: facts of checks about it or behind it, with the title of what each is about.
        content: what a dataset holds; None for a model.
        executions: the runs among the stops, in the trace's order; none for a dataset.
        outcomes: what judged, serves and watches a model.
        datasheets: by subject of a dataset in the trace, what its own card says.
    """

    subject: str
    title: str
    lines: tuple[tuple[str, str], ...]
    trace: Trace
    scores: tuple[Scores, ...]
    checks: tuple[tuple[str, KnownFact], ...]
    content: Content | None = None
    executions: tuple[Execution, ...] = ()
    outcomes: Outcomes = Outcomes()
    datasheets: dict[str, Datasheet] = {}


def known_about(store: Store, subject: str) -> Known:
    """Gather what a card is generated from.

    Raises:
        Invalid: the text is no subject.
        NotFound: the bytes of a dataset are not here.
    """
    start = str(parse_subject(subject))
    walked = trace(store, start, max_nodes=MAX_STOPS)
    top = walked.nodes[0]
    titles = {node.subject: node.title for node in walked.nodes}
    behind = store.queries.ask(FactsBehind(subject=start))
    checks = [fact for fact in behind if fact.name.startswith(("checks.", "trouble."))]
    return Known(
        subject=start,
        title=top.title,
        lines=top.lines,
        trace=walked,
        scores=_scores(store, start),
        checks=tuple((titles.get(fact.about, fact.about), fact) for fact in checks),
        content=_content(store, start) if start.startswith("dataset:") else None,
        executions=_executions(store, walked) if start.startswith("model:") else (),
        outcomes=outcomes_of(store, start) if start.startswith("model:") else Outcomes(),
        datasheets=_datasheets(store, walked.of("dataset")),
    )


def _content(store: Store, subject: str) -> Content | None:
    # Here, because what shows and lints cards should not wait for the table library.
    from charkh.cards.describe_content import content_of

    return content_of(store, subject)


def _executions(store: Store, walked: Trace) -> tuple[Execution, ...]:
    # Here, because curves and groups need NumPy, and what shows and lints cards does not.
    from charkh.cards.describe_runs import executions_of

    return executions_of(store, walked.of("run"))


def _datasheets(store: Store, nodes: Sequence[Node]) -> dict[str, Datasheet]:
    """The datasets' own cards: of the version itself, or else the newest of its name."""
    found: dict[str, Datasheet] = {}
    for node in nodes:
        card = store.queries.ask(CardOf(about=node.subject)) or store.queries.ask(
            CardNamed(noun="dataset", name=name_of(node.title))
        )
        if card is None:
            continue
        try:
            document = parse_document(read_markdown(store, card))
        except NotFound:  # erased, or not taken to this machine: then the verdict of lint is all that is known
            found[node.subject] = Datasheet(card=card.subject, license="", complete=card.made.complete, texts={})
            continue
        front = "".join(part.text for part in document.front or ())
        texts = sections_of("".join(part.text for part in document.body if not part.name))
        license_name = top_keys(front).get("license", "")
        found[node.subject] = Datasheet(
            card=card.subject, license=license_name, complete=card.made.complete, texts=texts
        )
    return found


def _scores(store: Store, subject: str) -> tuple[Scores, ...]:
    stated: dict[str, list[KnownFact]] = {}
    for fact in store.queries.ask(FactsAbout(subject=subject)):
        stated.setdefault(fact.subject, []).append(fact)
    newest = sorted(stated, key=lambda each: max(fact.stamp for fact in stated[each]), reverse=True)
    found: list[Scores] = []
    for witness in newest:
        edges = store.queries.ask(EdgesFrom(subject=witness))
        if not any(edge.relation == "scores" and edge.target == subject for edge in edges):
            continue
        on = next((edge.target for edge in edges if edge.relation == "on"), "")
        facts, slices = _split(stated[witness])
        found.append(
            Scores(
                stated_by=describe_node(store, Node(subject=witness)),
                on=describe_node(store, Node(subject=on)) if on else None,
                facts=facts,
                slices=slices,
            )
        )
    return tuple(found)


def _split(known: Sequence[KnownFact]) -> tuple[dict[str, Fact], tuple[SliceFacts, ...]]:
    facts: dict[str, Fact] = {}
    slices: dict[tuple[str, str], dict[str, Fact]] = {}
    for fact in known:
        match = _SLICE.fullmatch(fact.name)
        if match is None:
            facts[fact.name] = fact.value
        else:
            slices.setdefault((match["column"], match["value"]), {})[match["name"]] = fact.value
    listed = [SliceFacts(column=column, value=value, facts=about) for (column, value), about in slices.items()]
    listed.sort(key=lambda each: (each.column, -_rows(each), each.value))
    return facts, tuple(listed)


def _rows(part: SliceFacts) -> int:
    rows = part.facts.get("rows", 0)
    return rows if isinstance(rows, int) else 0
