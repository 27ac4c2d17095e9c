"""Loops' part of the catalog: every decision, and what is still owed after a crash."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Column, Connection, Float, LargeBinary, MetaData, String, Table, func, select

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.loops.loop import DECIDED_KIND, Decided, Decision
from charkh.ports.folding import add_rows
from charkh.ports.projections import Description, Projection, Query

_metadata = MetaData()
_decisions = Table(
    "loop_decision",
    _metadata,
    Column("id", String, primary_key=True),
    Column("loop", String, nullable=False, index=True),
    Column("outcome", String, nullable=False),
    Column("candidate", String, nullable=False),
    Column("judged_on", String, nullable=False, index=True),
    Column("trigger", String, nullable=False),
    Column("moment", Float, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)

_decode = msgspec.msgpack.Decoder(Decided).decode


class Decisions(Query[tuple[Decision, ...]], frozen=True, kw_only=True):
    """Decisions of a loop, newest first; of all loops with an empty name."""

    loop: str = ""
    limit: int = 1000


class DecisionById(Query[Decision | None], frozen=True, kw_only=True):
    """The decision with this id."""

    decision: str


class Loops(Query[tuple[Decision, ...]], frozen=True, kw_only=True):
    """The newest decision of each loop, by name."""


class LooksAt(Query[int], frozen=True, kw_only=True):
    """How many candidates a loop has judged on one dataset version."""

    loop: str
    judged_on: str


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add decisions."""
    add_rows(connection, _decisions, [_row(event) for event in events])


def _row(event: Event) -> dict[str, object]:
    decided = body_of(event, Decided)
    return {
        "id": decided.decision,
        "loop": decided.loop,
        "outcome": decided.outcome,
        "candidate": decided.candidate,
        "judged_on": decided.judged_on,
        "trigger": decided.trigger,
        "moment": decided.moment,
        "body": bytes(event.body),
        "actor": event.actor,
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def decisions(connection: Connection, query: Decisions) -> tuple[Decision, ...]:
    statement = select(_decisions).order_by(_decisions.c.stamp.desc()).limit(query.limit)
    if query.loop:
        statement = statement.where(_decisions.c.loop == query.loop)
    return tuple(_decision(row) for row in connection.execute(statement))


def decision_by_id(connection: Connection, query: DecisionById) -> Decision | None:
    row = connection.execute(select(_decisions).where(_decisions.c.id == query.decision)).first()
    return None if row is None else _decision(row)


def loops(connection: Connection, _query: Loops) -> tuple[Decision, ...]:
    newest = select(func.max(_decisions.c.stamp)).group_by(_decisions.c.loop)
    statement = select(_decisions).where(_decisions.c.stamp.in_(newest)).order_by(_decisions.c.loop)
    return tuple(_decision(row) for row in connection.execute(statement))


def looks_at(connection: Connection, query: LooksAt) -> int:
    statement = (
        select(func.count(func.distinct(_decisions.c.candidate)))
        .where(_decisions.c.loop == query.loop, _decisions.c.judged_on == query.judged_on)
        .where(_decisions.c.candidate != "")
    )
    return connection.execute(statement).scalar() or 0


def portray(connection: Connection, identifier: str) -> Description | None:
    decision = decision_by_id(connection, DecisionById(decision=identifier))
    if decision is None:
        return None
    decided = decision.decided
    lines = [("outcome", decided.outcome), ("reason", decided.reason)]
    if decided.looks:
        lines.append(("looks at this truth", str(decided.looks)))
    lines += [
        ("met" if verdict.met else "not met", f"{verdict.condition}: {verdict.reason}") for verdict in decided.verdicts
    ]
    return Description(title=f"decision of loop {decided.loop}", lines=tuple(lines))


def _decision(row: object) -> Decision:
    body, actor, at, stamp = (getattr(row, name) for name in ("body", "actor", "at", "stamp"))
    return Decision(decided=_decode(body), actor=actor, at=at, stamp=stamp)


PROJECTION = Projection(
    name="loop",
    version=1,
    tables=_metadata,
    kinds=frozenset({DECIDED_KIND}),
    fold=fold,
    answers={Decisions: decisions, DecisionById: decision_by_id, Loops: loops, LooksAt: looks_at},
    portraits={"loop": portray},
)
