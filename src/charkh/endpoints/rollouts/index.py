"""Rollouts' part of the catalog: what was begun, moved and ended, what processes count, and feedback."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Float, LargeBinary, MetaData, String, Table, func, select

from charkh.core.clock import seconds
from charkh.core.errors import Conflict, NotFound
from charkh.core.events import Draft, Edge, Event, body_of
from charkh.core.gates import CHAMPION
from charkh.core.ids import new_id
from charkh.core.sequential import Sums
from charkh.endpoints.rollouts.rollout import (
    AGAINST,
    BEGUN_KIND,
    COUNTED_KIND,
    ENDED_KIND,
    FEEDBACK_KIND,
    MOVED_KIND,
    TRIES,
    Begun,
    Counted,
    Counts,
    Ended,
    Feedback,
    Moved,
    Rollout,
)
from charkh.ports.folding import add_rows, keep_rows
from charkh.ports.projections import Command, Description, Projection, Query

_metadata = MetaData()
_begun = Table(
    "rollout",
    _metadata,
    Column("id", String, primary_key=True),
    Column("endpoint", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_moves = Table(
    "rollout_move",
    _metadata,
    Column("id", String, primary_key=True),
    Column("rollout", String, nullable=False, index=True),
    Column("kind", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_counts = Table(
    "rollout_count",
    _metadata,
    Column("rollout", String, primary_key=True),
    Column("writer", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)
_feedback = Table(
    "endpoint_feedback",
    _metadata,
    Column("endpoint", String, primary_key=True),
    Column("rollout", String, primary_key=True),
    Column("about", LargeBinary, primary_key=True),
    Column("route", String, nullable=False),
    Column("reward", Float, nullable=False),
    Column("stamp", String, nullable=False),
)

_decode_begun = msgspec.msgpack.Decoder(Begun).decode
_decode_moved = msgspec.msgpack.Decoder(Moved).decode
_decode_ended = msgspec.msgpack.Decoder(Ended).decode
_decode_counted = msgspec.msgpack.Decoder(Counted).decode


class BeginRollout(Command, frozen=True, kw_only=True):
    """Let candidates in at an endpoint; the id is decided here, and one rollout at a time goes on."""

    made: Begun


class MoveRollout(Command, frozen=True, kw_only=True):
    """Give candidates other shares; nothing happens where `after` moves are not the moves so far."""

    rollout: str
    shares: dict[str, float]
    after: int | None = None
    reason: str = ""
    decided_by: str = ""


class EndRollout(Command, frozen=True, kw_only=True):
    """End a rollout; nothing happens where it has ended."""

    ended: Ended


class CurrentRollout(Query[Rollout | None], frozen=True, kw_only=True):
    """The rollout that goes on at an endpoint; None where there is none."""

    endpoint: str


class RolloutById(Query[Rollout | None], frozen=True, kw_only=True):
    """The rollout with this id."""

    rollout: str


class Rollouts(Query[tuple[Rollout, ...]], frozen=True, kw_only=True):
    """Every rollout of an endpoint, or of all for an empty name, newest first."""

    endpoint: str = ""


class FeedbackSums(Query[dict[str, Sums]], frozen=True, kw_only=True):
    """By route, what came of the answers of an endpoint outside of rollouts, or of one rollout."""

    endpoint: str
    rollout: str = ""


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add what was begun and moved, keep each process's last counts, and the last word about each answer."""
    add_rows(connection, _begun, [_begun_row(event) for event in events if event.kind == BEGUN_KIND])
    moved = [event for event in events if event.kind in {MOVED_KIND, ENDED_KIND}]
    add_rows(connection, _moves, [_move_row(event) for event in moved])
    counted = [_counted_row(event) for event in events if event.kind == COUNTED_KIND]
    keep_rows(connection, _counts, _latest(counted, ("rollout", "writer")), stamp="stamp")
    said = [row for event in events if event.kind == FEEDBACK_KIND for row in _feedback_rows(event)]
    keep_rows(connection, _feedback, _latest(said, ("endpoint", "rollout", "about")), stamp="stamp")


def _latest(rows: Sequence[dict[str, Any]], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row a key, because one insert may not touch a row twice (PostgreSQL)."""
    kept: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["stamp"]):
        kept[tuple(row[key] for key in keys)] = row
    return list(kept.values())


def _begun_row(event: Event) -> dict[str, Any]:
    body = body_of(event, Begun)
    return {
        "id": body.rollout,
        "endpoint": body.endpoint,
        "body": bytes(event.body),
        "actor": event.actor,
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def _move_row(event: Event) -> dict[str, Any]:
    body = body_of(event, Moved if event.kind == MOVED_KIND else Ended)
    return {
        "id": event.id,
        "rollout": body.rollout,
        "kind": event.kind,
        "body": bytes(event.body),
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def _counted_row(event: Event) -> dict[str, Any]:
    body = body_of(event, Counted)
    return {"rollout": body.rollout, "writer": body.writer, "body": bytes(event.body), "stamp": event.stamp}


def _feedback_rows(event: Event) -> list[dict[str, Any]]:
    body = body_of(event, Feedback)
    return [
        {
            "endpoint": body.endpoint,
            "rollout": body.rollout,
            "about": item.about,
            "route": item.route,
            "reward": item.reward,
            # Two words about one answer in one event: the later one is the last.
            "stamp": f"{event.stamp}{number:06d}",
        }
        for number, item in enumerate(body.items)
    ]


def decide_begin(connection: Connection, command: BeginRollout) -> Sequence[Draft]:
    made = command.made
    going_on = _open(connection, made.endpoint)
    if going_on is not None:
        if (going_on.begun.arms, going_on.begun.champion, going_on.begun.plan) == (made.arms, made.champion, made.plan):
            return ()
        raise Conflict(
            f"a rollout goes on at {made.endpoint!r}: {', '.join(arm.model for arm in going_on.begun.arms)}",
            code="rollout.open",
            hint=f"End it first: charkh endpoint rollout end {made.endpoint}.",
            facts={"rollout": going_on.id},
        )
    made = msgspec.structs.replace(made, rollout=new_id())
    subject = f"rollout:{made.rollout}"
    edges = [Edge(subject, TRIES, arm.model) for arm in made.arms]
    edges += [Edge(subject, AGAINST, made.champion), Edge(f"endpoint:{made.endpoint}", "rolled_out_by", subject)]
    return [Draft(kind=BEGUN_KIND, subject=subject, body=made, edges=tuple(edges))]


def decide_move(connection: Connection, command: MoveRollout) -> Sequence[Draft]:
    found = _require(connection, command.rollout)
    if found.ended is not None:
        raise Conflict(
            f"the rollout at {found.begun.endpoint!r} has ended: {found.ended.outcome}",
            code="rollout.ended",
            hint="Begin another one.",
        )
    if (command.after is not None and command.after != found.moves) or command.shares == found.shares:
        return ()
    body = Moved(
        endpoint=found.begun.endpoint,
        rollout=found.id,
        number=found.moves + 1,
        shares=command.shares,
        reason=command.reason,
        decided_by=command.decided_by,
    )
    return [Draft(kind=MOVED_KIND, subject=found.subject, body=body)]


def decide_end(connection: Connection, command: EndRollout) -> Sequence[Draft]:
    found = _require(connection, command.ended.rollout)
    if found.ended is not None:
        return ()
    body = msgspec.structs.replace(command.ended, endpoint=found.begun.endpoint, counts=found.counts)
    facts = {"rollout.outcome": body.outcome}
    about = body.model or found.begun.arms[0].model
    return [Draft(kind=ENDED_KIND, subject=found.subject, body=body, facts=facts, about=about)]


def _require(connection: Connection, rollout: str) -> Rollout:
    found = rollout_by_id(connection, RolloutById(rollout=rollout))
    if found is None:
        raise NotFound(
            f"there is no rollout {rollout!r}",
            code="rollout.not_found",
            hint="`charkh endpoint rollout list` shows them.",
        )
    return found


def current_rollout(connection: Connection, query: CurrentRollout) -> Rollout | None:
    return _open(connection, query.endpoint)


def rollout_by_id(connection: Connection, query: RolloutById) -> Rollout | None:
    row = connection.execute(select(_begun).where(_begun.c.id == query.rollout)).first()
    return None if row is None else _rollout(connection, row)


def rollouts(connection: Connection, query: Rollouts) -> tuple[Rollout, ...]:
    statement = select(_begun).order_by(_begun.c.stamp.desc())
    if query.endpoint:
        statement = statement.where(_begun.c.endpoint == query.endpoint)
    return tuple(_rollout(connection, row) for row in list(connection.execute(statement)))


def feedback_sums(connection: Connection, query: FeedbackSums) -> dict[str, Sums]:
    reward = _feedback.c.reward
    statement = (
        select(_feedback.c.route, func.count(), func.sum(reward), func.sum(reward * reward))
        .where(_feedback.c.endpoint == query.endpoint, _feedback.c.rollout == query.rollout)
        .group_by(_feedback.c.route)
    )
    return {route: Sums(count, total, squares) for route, count, total, squares in connection.execute(statement)}


def _open(connection: Connection, endpoint: str) -> Rollout | None:
    """The latest rollout of an endpoint that has not ended."""
    ended = select(_moves.c.rollout).where(_moves.c.kind == ENDED_KIND)
    statement = select(_begun).where(_begun.c.endpoint == endpoint, _begun.c.id.not_in(ended))
    row = connection.execute(statement.order_by(_begun.c.stamp.desc())).first()
    return None if row is None else _rollout(connection, row)


def _rollout(connection: Connection, row: Any) -> Rollout:
    begun = _decode_begun(row.body)
    statement = select(_moves).where(_moves.c.rollout == row.id).order_by(_moves.c.stamp)
    moves = list(connection.execute(statement))
    moved = [(each.at, _decode_moved(each.body)) for each in moves if each.kind == MOVED_KIND]
    ends = [(each.at, _decode_ended(each.body)) for each in moves if each.kind == ENDED_KIND]
    ended_at, ended = ends[0] if ends else (None, None)
    return Rollout(
        begun=begun,
        shares={} if ended is not None else moved[-1][1].shares if moved else begun.shares,
        moves=len(moved),
        moved_at=moved[-1][0] if moved else row.at,
        ended=ended,
        counts=_counts_of(connection, begun),
        actor=row.actor,
        at=row.at,
        ended_at=ended_at,
        stamp=row.stamp,
    )


def _counts_of(connection: Connection, begun: Begun) -> dict[str, Counts]:
    whole = {CHAMPION: Counts(), **{arm.route: Counts() for arm in begun.arms}}
    statement = select(_counts.c.body).where(_counts.c.rollout == begun.rollout).order_by(_counts.c.writer)
    for body in connection.execute(statement).scalars():
        for route, counts in _decode_counted(body).routes.items():
            whole[route] = whole.get(route, Counts()) + counts
    said = feedback_sums(connection, FeedbackSums(endpoint=begun.endpoint, rollout=begun.rollout))
    for route, rewards in said.items():
        whole[route] = whole.get(route, Counts()) + Counts(rewards=rewards)
    return whole


def portray_rollout(connection: Connection, identifier: str) -> Description | None:
    found = rollout_by_id(connection, RolloutById(rollout=identifier))
    if found is None:
        return None
    state = found.ended.outcome if found.ended else "goes on"
    lines = [
        ("endpoint", found.begun.endpoint),
        ("tries", ", ".join(f"{arm.model} as {arm.route}" for arm in found.begun.arms)),
        ("against", found.begun.champion),
        ("way", found.begun.plan.way),
        ("begun by", found.actor),
        ("state", state),
        *((("because", found.ended.reason),) if found.ended and found.ended.reason else ()),
    ]
    return Description(title=f"rollout at {found.begun.endpoint}", lines=tuple(lines))


PROJECTION = Projection(
    name="rollout",
    version=1,
    tables=_metadata,
    kinds=frozenset({BEGUN_KIND, MOVED_KIND, ENDED_KIND, COUNTED_KIND, FEEDBACK_KIND}),
    fold=fold,
    answers={
        CurrentRollout: current_rollout,
        RolloutById: rollout_by_id,
        Rollouts: rollouts,
        FeedbackSums: feedback_sums,
    },
    portraits={"rollout": portray_rollout},
    decisions={BeginRollout: decide_begin, MoveRollout: decide_move, EndRollout: decide_end},
)
