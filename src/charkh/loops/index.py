"""Loops' part of the catalog: every decision, and what is still owed after a crash."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Float, LargeBinary, MetaData, Row, Select, String, Table, func, select

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.loops.loop import DECIDED_KIND, SUPERSEDED_KIND, Decided, Decision, Superseded
from charkh.ports.folding import add_rows, keep_rows
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

_superseded = Table(
    "loop_superseded",
    _metadata,
    Column("id", String, primary_key=True),
    Column("reason", String, nullable=False),
    Column("stamp", String, nullable=False),
)

_decode = msgspec.msgpack.Decoder(Decided).decode


class Decisions(Query[tuple[Decision, ...]], frozen=True, kw_only=True):
    """Decisions of a loop, newest first; with an empty name of all loops, and of people who asked for a promotion."""

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
    """Add decisions, and which of them were not carried out."""
    add_rows(connection, _decisions, [_row(event) for event in events if event.kind == DECIDED_KIND])
    later = [(event, body_of(event, Superseded)) for event in events if event.kind == SUPERSEDED_KIND]
    rows = [{"id": body.decision, "reason": body.reason, "stamp": event.stamp} for event, body in later]
    keep_rows(connection, _superseded, rows, stamp="stamp", keep="earliest")


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
    statement = _joined().order_by(_decisions.c.stamp.desc()).limit(query.limit)
    if query.loop:
        statement = statement.where(_decisions.c.loop == query.loop)
    return tuple(_decision(row) for row in connection.execute(statement))


def decision_by_id(connection: Connection, query: DecisionById) -> Decision | None:
    row = connection.execute(_joined().where(_decisions.c.id == query.decision)).first()
    return None if row is None else _decision(row)


def loops(connection: Connection, _query: Loops) -> tuple[Decision, ...]:
    newest = select(func.max(_decisions.c.stamp)).where(_decisions.c.loop != "").group_by(_decisions.c.loop)
    statement = _joined().where(_decisions.c.stamp.in_(newest)).order_by(_decisions.c.loop)
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
    title = f"decision of loop {decided.loop}" if decided.loop else f"promotion to {decided.model}@{decided.alias}"
    return Description(title=title, lines=tuple(lines))


def _joined() -> Select[Any]:
    why = _superseded.c.reason.label("superseded")
    return select(_decisions, why).join(_superseded, _decisions.c.id == _superseded.c.id, isouter=True)


def _decision(row: Row[Any]) -> Decision:
    decided = _decode(row.body)
    if row.superseded is not None:
        decided = msgspec.structs.replace(decided, outcome="superseded", reason=row.superseded)
    return Decision(decided=decided, actor=row.actor, at=row.at, stamp=row.stamp)


PROJECTION = Projection(
    name="loop",
    version=2,
    tables=_metadata,
    kinds=frozenset({DECIDED_KIND, SUPERSEDED_KIND}),
    fold=fold,
    answers={Decisions: decisions, DecisionById: decision_by_id, Loops: loops, LooksAt: looks_at},
    portraits={"loop": portray},
)
