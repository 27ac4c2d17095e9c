"""Lineage's part of the catalog: edges, facts and holds of every event, whatever its noun."""

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import JSON, Column, Connection, MetaData, String, Table, select

from charkh.core.errors import Invalid
from charkh.core.events import Edge, Event, Fact
from charkh.core.refs import parse_subject
from charkh.ports.folding import add_rows, keep_rows
from charkh.ports.projections import Projection, Query

MAX_BOUND = 500
"""Subjects bound in one statement; databases take a limited number of parameters."""

_metadata = MetaData()
_edges = Table(
    "lineage_edge",
    _metadata,
    Column("source", String, primary_key=True),
    Column("relation", String, primary_key=True),
    Column("target", String, primary_key=True, index=True),
)
_facts = Table(
    "lineage_fact",
    _metadata,
    Column("about", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("subject", String, nullable=False),
    Column("value", JSON, nullable=False),
    Column("stamp", String, nullable=False),
)
_holds = Table(
    "lineage_hold",
    _metadata,
    Column("subject", String, primary_key=True),
    Column("digest", String, primary_key=True),
)
_drops = Table("lineage_drop", _metadata, Column("subject", String, primary_key=True))
_subjects = Table(
    "lineage_subject",
    _metadata,
    Column("subject", String, primary_key=True),
    Column("noun", String, nullable=False),
)


class KnownFact(msgspec.Struct, frozen=True, kw_only=True):
    """The newest value of one fact: what it is about, and the subject whose event stated it."""

    about: str
    name: str
    value: Fact
    subject: str
    stamp: str


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """One edge met on a walk, and how many edges from the start it lies."""

    edge: Edge
    depth: int


class EdgesFrom(Query[tuple[Edge, ...]], frozen=True, kw_only=True):
    """What `subject` was made from, one edge away."""

    subject: str


class EdgesTo(Query[tuple[Edge, ...]], frozen=True, kw_only=True):
    """What was made from `subject`, or says something about it, one edge away."""

    subject: str


class Walk(Query[tuple[Reached, ...]], frozen=True, kw_only=True):
    """Every edge reachable from `subject`, nearest first.

    `toward` is `origin` (what it was made from) or `outcome` (what was made from it). The walk ends after
    `max_depth` edges in a row, and with the edges of the depth at which there are `max_edges`.
    """

    subject: str
    toward: str = "origin"
    max_depth: int = 50
    max_edges: int = 100_000


class FactsAbout(Query[tuple[KnownFact, ...]], frozen=True, kw_only=True):
    """The newest value of every fact about `subject`, by name."""

    subject: str


class FactsBehind(Query[tuple[KnownFact, ...]], frozen=True, kw_only=True):
    """Facts about `subject` and about everything that it was made from; of one name, the nearest.

    Of several equally near, one that is false: a failed check is not hidden by another that passed; else the newest.
    """

    subject: str


class HeldDigests(Query[tuple[str, ...]], frozen=True, kw_only=True):
    """Digests that must stay readable: the roots of garbage collection."""


class HoldersOf(Query[tuple[str, ...]], frozen=True, kw_only=True):
    """The subjects that hold `digest` and have not been dropped."""

    digest: str


class Holds(Query[tuple[tuple[str, str], ...]], frozen=True, kw_only=True):
    """Every subject that has not been dropped and a digest that it holds, in order."""


class EveryHold(Query[tuple[tuple[str, str], ...]], frozen=True, kw_only=True):
    """Every subject and digest that it holds, or held before it was dropped: what a store may still have bytes of."""


class SubjectsLike(Query[tuple[str, ...]], frozen=True, kw_only=True):
    """Subjects of `noun` whose id starts with `prefix`, at most 20."""

    noun: str
    prefix: str


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add edges, holds and drops; of facts with one name about one subject, keep the newest."""
    add_rows(connection, _subjects, [_subject_row(event.subject) for event in events])
    edges = [edge for event in events for edge in event.edges]
    add_rows(
        connection,
        _edges,
        [{"source": edge.source, "relation": edge.relation, "target": edge.target} for edge in edges],
    )
    keep_rows(connection, _facts, [row for event in events for row in _fact_rows(event)], stamp="stamp")
    add_rows(
        connection,
        _holds,
        [{"subject": event.subject, "digest": digest} for event in events for digest in event.holds],
    )
    add_rows(connection, _drops, [{"subject": subject} for event in events for subject in event.drops])


def _subject_row(subject: str) -> dict[str, object]:
    return {"subject": subject, "noun": subject.partition(":")[0]}


def _fact_rows(event: Event) -> Iterable[dict[str, object]]:
    about = event.about or event.subject
    for name, value in event.facts.items():
        yield {"about": about, "name": name, "subject": event.subject, "value": value, "stamp": event.stamp}


def edges_from(connection: Connection, query: EdgesFrom) -> tuple[Edge, ...]:
    return _edges_where(connection, _edges.c.source == query.subject)


def edges_to(connection: Connection, query: EdgesTo) -> tuple[Edge, ...]:
    return _edges_where(connection, _edges.c.target == query.subject)


def walk(connection: Connection, query: Walk) -> tuple[Reached, ...]:
    if query.toward not in {"origin", "outcome"}:
        raise Invalid(f"cannot walk toward {query.toward!r}", hint="Walk toward 'origin' or 'outcome'.")
    forward = query.toward == "origin"
    here = _edges.c.source if forward else _edges.c.target
    seen, frontier, reached = {query.subject}, [query.subject], list[Reached]()
    for depth in range(1, query.max_depth + 1):
        edges = [edge for some in _portions(frontier) for edge in _edges_where(connection, here.in_(some))]
        edges.sort(key=lambda edge: (edge.source if forward else edge.target, edge.relation, edge.source, edge.target))
        reached += [Reached(edge=edge, depth=depth) for edge in edges]
        ends = dict.fromkeys(edge.target if forward else edge.source for edge in edges)
        frontier = [end for end in ends if end not in seen]
        seen.update(frontier)
        if not frontier or len(reached) >= query.max_edges:
            break
    return tuple(reached[: query.max_edges])


def facts_about(connection: Connection, query: FactsAbout) -> tuple[KnownFact, ...]:
    return _facts_of(connection, [query.subject])


def facts_behind(connection: Connection, query: FactsBehind) -> tuple[KnownFact, ...]:
    reached = walk(connection, Walk(subject=query.subject))
    distance = {query.subject: 0}
    for step in reached:
        distance.setdefault(step.edge.target, step.depth)
    nearest: dict[str, KnownFact] = {}
    known = _facts_of(connection, list(distance))
    for fact in sorted(known, key=lambda fact: (-distance[fact.about], fact.value is False, fact.stamp)):
        nearest[fact.name] = fact
    return tuple(nearest[name] for name in sorted(nearest))


def held_digests(connection: Connection, _query: HeldDigests) -> tuple[str, ...]:
    dropped = select(_drops.c.subject)
    rows = connection.execute(select(_holds.c.digest).where(_holds.c.subject.not_in(dropped)).distinct())
    return tuple(sorted(rows.scalars()))


def holders_of(connection: Connection, query: HoldersOf) -> tuple[str, ...]:
    dropped = select(_drops.c.subject)
    held = _holds.c.digest == query.digest
    rows = connection.execute(select(_holds.c.subject).where(held, _holds.c.subject.not_in(dropped)))
    return tuple(sorted(rows.scalars()))


def holds(connection: Connection, _query: Holds) -> tuple[tuple[str, str], ...]:
    dropped = select(_drops.c.subject)
    rows = connection.execute(
        select(_holds.c.subject, _holds.c.digest).where(_holds.c.subject.not_in(dropped)).order_by(*_holds.c)
    )
    return tuple((row.subject, row.digest) for row in rows)


def every_hold(connection: Connection, _query: EveryHold) -> tuple[tuple[str, str], ...]:
    rows = connection.execute(select(_holds.c.subject, _holds.c.digest).order_by(_holds.c.subject, _holds.c.digest))
    return tuple((row.subject, row.digest) for row in rows)


def subjects_like(connection: Connection, query: SubjectsLike) -> tuple[str, ...]:
    whole = parse_subject(f"{query.noun}:{query.prefix}")
    begins = _subjects.c.subject.startswith(str(whole), autoescape=True)
    return tuple(
        connection.execute(select(_subjects.c.subject).where(begins).order_by(_subjects.c.subject).limit(20)).scalars()
    )


def _edges_where(connection: Connection, condition: object) -> tuple[Edge, ...]:
    statement = select(_edges).where(condition).order_by(*_edges.c)  # pyright: ignore[reportArgumentType]
    return tuple(Edge(row.source, row.relation, row.target) for row in connection.execute(statement))


def _facts_of(connection: Connection, subjects: Sequence[str]) -> tuple[KnownFact, ...]:
    statement = select(_facts).order_by(_facts.c.about, _facts.c.name)
    return tuple(
        KnownFact(about=row.about, name=row.name, value=row.value, subject=row.subject, stamp=row.stamp)
        for some in _portions(subjects)
        for row in connection.execute(statement.where(_facts.c.about.in_(some)))
    )


def _portions(subjects: Sequence[str]) -> Iterable[Sequence[str]]:
    """The subjects, as many at a time as one statement may bind."""
    return (subjects[start : start + MAX_BOUND] for start in range(0, len(subjects), MAX_BOUND))


PROJECTION = Projection(
    name="lineage",
    version=1,
    tables=_metadata,
    kinds=None,
    fold=fold,
    answers={
        EdgesFrom: edges_from,
        EdgesTo: edges_to,
        Walk: walk,
        FactsAbout: facts_about,
        FactsBehind: facts_behind,
        HeldDigests: held_digests,
        HoldersOf: holders_of,
        EveryHold: every_hold,
        Holds: holds,
        SubjectsLike: subjects_like,
    },
)
