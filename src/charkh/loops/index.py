"""Loops' part of the catalog: every decision, and what is still owed after a crash."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Float,
    LargeBinary,
    MetaData,
    Row,
    Select,
    String,
    Table,
    func,
    select,
)

from charkh.core.clock import seconds
from charkh.core.events import Draft, Event, body_of
from charkh.loops.loop import (
    CONCLUDED_KIND,
    DECIDED_KIND,
    OPEN,
    PAUSED_KIND,
    RESUMED_KIND,
    SUPERSEDED_KIND,
    Concluded,
    Decided,
    Decision,
    Outcome,
    Pause,
    Paused,
    Resumed,
    Superseded,
)
from charkh.ports.folding import add_rows, keep_rows
from charkh.ports.projections import Command, Description, Projection, Query

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

_concluded = Table(
    "loop_concluded",
    _metadata,
    Column("event", String, primary_key=True),
    Column("id", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)
_pauses = Table(
    "loop_pause",
    _metadata,
    Column("id", String, primary_key=True),
    Column("loop", String, nullable=False, index=True),
    Column("paused", Boolean, nullable=False),
    Column("reason", String, nullable=False),
    Column("replaces", JSON, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)

_decode = msgspec.msgpack.Decoder(Decided).decode
_decode_concluded = msgspec.msgpack.Decoder(Concluded).decode


class Decisions(Query[tuple[Decision, ...]], frozen=True, kw_only=True):
    """Decisions of a loop, newest first; with an empty name of all loops, and of people who asked for a promotion."""

    loop: str = ""
    limit: int = 1000


class DecisionById(Query[Decision | None], frozen=True, kw_only=True):
    """The decision with this id."""

    decision: str


class Loops(Query[tuple[Decision, ...]], frozen=True, kw_only=True):
    """The newest decision of each loop, by name."""


class PauseOf(Query[Pause | None], frozen=True, kw_only=True):
    """That a loop is stopped; None while it may run."""

    loop: str


class PauseLoop(Command, frozen=True, kw_only=True):
    """Stop a loop, or let it go on; saying what is so already changes nothing."""

    loop: str
    paused: bool
    reason: str = ""


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
    add_rows(connection, _concluded, [_concluded_row(event) for event in events if event.kind == CONCLUDED_KIND])
    stops = [_pause_row(event) for event in events if event.kind in {PAUSED_KIND, RESUMED_KIND}]
    add_rows(connection, _pauses, stops)


def _concluded_row(event: Event) -> dict[str, object]:
    decision = body_of(event, Concluded).decision
    return {"event": event.id, "id": decision, "body": bytes(event.body), "stamp": event.stamp}


def _pause_row(event: Event) -> dict[str, object]:
    body = body_of(event, Paused if event.kind == PAUSED_KIND else Resumed)
    return {
        "id": event.id,
        "loop": body.loop,
        "paused": event.kind == PAUSED_KIND,
        "reason": body.reason,
        "replaces": list(body.replaces),
        "actor": event.actor,
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


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
    return _decisions_of(connection, statement)


def decision_by_id(connection: Connection, query: DecisionById) -> Decision | None:
    return next(iter(_decisions_of(connection, _joined().where(_decisions.c.id == query.decision))), None)


def loops(connection: Connection, _query: Loops) -> tuple[Decision, ...]:
    newest = select(func.max(_decisions.c.stamp)).where(_decisions.c.loop != "").group_by(_decisions.c.loop)
    statement = _joined().where(_decisions.c.stamp.in_(newest)).order_by(_decisions.c.loop)
    return _decisions_of(connection, statement)


def pause_of(connection: Connection, query: PauseOf) -> Pause | None:
    head = next(iter(_heads(connection, query.loop)), None)
    if head is None or not head.paused:
        return None
    return Pause(loop=head.loop, actor=head.actor, at=head.at, reason=head.reason)


def decide_pause(connection: Connection, command: PauseLoop) -> Sequence[Draft]:
    heads = _heads(connection, command.loop)
    if (bool(heads) and all(head.paused for head in heads)) == command.paused and len(heads) < 2:
        return ()
    replaces = tuple(sorted(head.id for head in heads))
    if command.paused:
        body, kind = Paused(loop=command.loop, reason=command.reason, replaces=replaces), PAUSED_KIND
    else:
        body, kind = Resumed(loop=command.loop, reason=command.reason, replaces=replaces), RESUMED_KIND
    return [Draft(kind=kind, subject=f"loopname:{command.loop}", body=body)]


def _heads(connection: Connection, loop: str) -> list[Row[Any]]:
    """Stops and goes that no other replaces, the latest first; of several, one that stops stands before."""
    rows = connection.execute(select(_pauses).where(_pauses.c.loop == loop).order_by(_pauses.c.stamp.desc())).all()
    replaced = {identifier for row in rows for identifier in row.replaces}
    return sorted((row for row in rows if row.id not in replaced), key=lambda row: not row.paused)


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


def _decisions_of(connection: Connection, statement: Select[Any]) -> tuple[Decision, ...]:
    rows = connection.execute(statement).all()
    ids = [row.id for row in rows if row.outcome in OPEN]
    steps: dict[str, list[Concluded]] = {identifier: [] for identifier in ids}
    if ids:
        followed = select(_concluded).where(_concluded.c.id.in_(ids)).order_by(_concluded.c.stamp)
        for row in connection.execute(followed):
            steps[row.id].append(_decode_concluded(row.body))
    return tuple(_decision(row, steps.get(row.id, [])) for row in rows)


def _decision(row: Row[Any], steps: Sequence[Concluded]) -> Decision:
    decided = _decode(row.body)
    first = decided.outcome
    # The first last word stands: of two servers that both concluded, the earlier.
    ended = next((step for step in steps if step.outcome not in OPEN), None)
    now = ended or next(reversed(steps), None)
    if now is not None:
        verdicts = now.verdicts or decided.verdicts
        changed = {"outcome": now.outcome, "reason": now.reason, "verdicts": verdicts}
        decided = msgspec.structs.replace(decided, **changed)
    if row.superseded is not None:
        decided = msgspec.structs.replace(decided, outcome="superseded", reason=row.superseded)
    return Decision(
        decided=decided, actor=row.actor, at=row.at, stamp=row.stamp, first=cast(Outcome, first), steps=tuple(steps)
    )


PROJECTION = Projection(
    name="loop",
    version=3,
    tables=_metadata,
    kinds=frozenset({DECIDED_KIND, SUPERSEDED_KIND, CONCLUDED_KIND, PAUSED_KIND, RESUMED_KIND}),
    fold=fold,
    answers={Decisions: decisions, DecisionById: decision_by_id, Loops: loops, LooksAt: looks_at, PauseOf: pause_of},
    portraits={"loop": portray},
    decisions={PauseLoop: decide_pause},
)
