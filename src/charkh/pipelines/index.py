"""Pipelines' part of the catalog: step outputs by key, and executions."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Float, LargeBinary, MetaData, String, Table, select

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.pipelines.execution import (
    ENDED_KIND,
    STARTED_KIND,
    STEP_DONE_KIND,
    STEP_FAILED_KIND,
    STEP_FORGOTTEN_KIND,
    Execution,
    PipelineEnded,
    PipelineStarted,
    StepDone,
    StepFailed,
    StepForgotten,
    StepRecord,
)
from charkh.ports.folding import add_rows, keep_rows
from charkh.ports.projections import Description, Projection, Query

_metadata = MetaData()
_steps = Table(
    "pipeline_step",
    _metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, index=True),
    Column("key", String, nullable=False, index=True),
    Column("run", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_forgotten = Table("pipeline_forgotten", _metadata, Column("id", String, primary_key=True))
_failures = Table(
    "pipeline_failure",
    _metadata,
    Column("id", String, primary_key=True),
    Column("run", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)
_started = Table(
    "pipeline_started",
    _metadata,
    Column("run", String, primary_key=True),
    Column("pipeline", String, nullable=False, index=True),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_ended = Table(
    "pipeline_ended",
    _metadata,
    Column("run", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)

_decode_done = msgspec.msgpack.Decoder(StepDone).decode
_decode_failed = msgspec.msgpack.Decoder(StepFailed).decode
_decode_ended = msgspec.msgpack.Decoder(PipelineEnded).decode


class StepsByKey(Query[tuple[StepRecord, ...]], frozen=True, kw_only=True):
    """Executions with this key whose output has not been forgotten, newest first."""

    key: str


class StepsNamed(Query[tuple[StepRecord, ...]], frozen=True, kw_only=True):
    """The newest executions of a function (`module:qualname`), forgotten ones included; of all with an empty name."""

    name: str = ""
    limit: int = 50


class StepById(Query[StepRecord | None], frozen=True, kw_only=True):
    """The execution with this id."""

    step: str


class StepsOfRun(Query[tuple[StepRecord, ...]], frozen=True, kw_only=True):
    """The steps that a run executed, in order."""

    run: str


class FailuresOfRun(Query[tuple[StepFailed, ...]], frozen=True, kw_only=True):
    """The steps that failed in a run, in order."""

    run: str


class Executions(Query[tuple[Execution, ...]], frozen=True, kw_only=True):
    """Executions of a pipeline, newest first; of all pipelines with an empty name."""

    pipeline: str = ""
    limit: int = 100


class ExecutionByRun(Query[Execution | None], frozen=True, kw_only=True):
    """The execution that a run is."""

    run: str


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add what was done, failed and forgotten; of two ends of one run, the later stays."""
    by_kind: dict[str, list[dict[str, object]]] = {kind: [] for kind in _ROWS}
    for event in events:
        by_kind[event.kind].append(_ROWS[event.kind](event))
    keep_rows(connection, _steps, by_kind[STEP_DONE_KIND], stamp="stamp", keep="earliest")
    add_rows(connection, _failures, by_kind[STEP_FAILED_KIND])
    add_rows(connection, _forgotten, by_kind[STEP_FORGOTTEN_KIND])
    keep_rows(connection, _started, by_kind[STARTED_KIND], stamp="stamp", keep="earliest")
    keep_rows(connection, _ended, by_kind[ENDED_KIND], stamp="stamp")


def _done_row(event: Event) -> dict[str, object]:
    done = body_of(event, StepDone)
    return {
        "id": done.step,
        "name": done.name,
        "key": done.key,
        "run": done.run,
        "body": bytes(event.body),
        "actor": event.actor,
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def _failed_row(event: Event) -> dict[str, object]:
    run = body_of(event, StepFailed).run
    return {"id": event.id, "run": run, "body": bytes(event.body), "stamp": event.stamp}


def _forgotten_row(event: Event) -> dict[str, object]:
    return {"id": body_of(event, StepForgotten).step}


def _started_row(event: Event) -> dict[str, object]:
    started = body_of(event, PipelineStarted)
    at = seconds(event.clock)
    return {
        "run": started.run,
        "pipeline": started.pipeline,
        "actor": event.actor,
        "at": at,
        "stamp": event.stamp,
    }


def _ended_row(event: Event) -> dict[str, object]:
    return {"run": body_of(event, PipelineEnded).run, "body": bytes(event.body), "stamp": event.stamp}


_ROWS = {
    STEP_DONE_KIND: _done_row,
    STEP_FAILED_KIND: _failed_row,
    STEP_FORGOTTEN_KIND: _forgotten_row,
    STARTED_KIND: _started_row,
    ENDED_KIND: _ended_row,
}


def steps_by_key(connection: Connection, query: StepsByKey) -> tuple[StepRecord, ...]:
    return _records(connection, _steps.c.key == query.key, _forgotten.c.id.is_(None))


def steps_named(connection: Connection, query: StepsNamed) -> tuple[StepRecord, ...]:
    conditions = [_steps.c.name == query.name] if query.name else []
    return _records(connection, *conditions, limit=query.limit)


def step_by_id(connection: Connection, query: StepById) -> StepRecord | None:
    return next(iter(_records(connection, _steps.c.id == query.step)), None)


def steps_of_run(connection: Connection, query: StepsOfRun) -> tuple[StepRecord, ...]:
    return tuple(reversed(_records(connection, _steps.c.run == query.run)))


def failures_of_run(connection: Connection, query: FailuresOfRun) -> tuple[StepFailed, ...]:
    statement = select(_failures.c.body).where(_failures.c.run == query.run).order_by(_failures.c.stamp)
    return tuple(_decode_failed(body) for body in connection.execute(statement).scalars())


def executions(connection: Connection, query: Executions) -> tuple[Execution, ...]:
    conditions = [_started.c.pipeline == query.pipeline] if query.pipeline else []
    return _executions(connection, *conditions, limit=query.limit)


def execution_by_run(connection: Connection, query: ExecutionByRun) -> Execution | None:
    return next(iter(_executions(connection, _started.c.run == query.run)), None)


def portray(connection: Connection, identifier: str) -> Description | None:
    record = step_by_id(connection, StepById(step=identifier))
    if record is None:
        return None
    done = record.done
    lines = [
        ("key", done.key),
        ("output", done.output.root),
        ("took", f"{done.seconds:.3g} s"),
        ("executed by", record.actor),
        *((("pipeline", done.pipeline),) if done.pipeline else ()),
        *((f"param {name}", str(value)) for name, value in done.parts.params.items()),
        *((f"read {path}", digest[:16]) for path, digest in done.reads.items()),
        *((name, str(value)) for name, value in done.metrics.items()),
        *((("forgotten", "its output may be gone"),) if record.forgotten else ()),
    ]
    return Description(title=f"step {done.name}", lines=tuple(lines))


def _records(connection: Connection, *conditions: Any, limit: int = 1000) -> tuple[StepRecord, ...]:
    statement = (
        select(_steps, _forgotten.c.id.label("forgotten"))
        .join(_forgotten, _steps.c.id == _forgotten.c.id, isouter=True)
        .where(*conditions)
        .order_by(_steps.c.stamp.desc())
        .limit(limit)
    )
    return tuple(
        StepRecord(
            done=_decode_done(row.body),
            actor=row.actor,
            at=row.at,
            stamp=row.stamp,
            forgotten=row.forgotten is not None,
        )
        for row in connection.execute(statement)
    )


def _executions(connection: Connection, *conditions: Any, limit: int = 1000) -> tuple[Execution, ...]:
    statement = (
        select(_started, _ended.c.body)
        .join(_ended, _started.c.run == _ended.c.run, isouter=True)
        .where(*conditions)
        .order_by(_started.c.stamp.desc())
        .limit(limit)
    )
    found: list[Execution] = []
    for row in connection.execute(statement):
        ended = None if row.body is None else _decode_ended(row.body)
        found.append(
            Execution(
                pipeline=row.pipeline,
                run=row.run,
                status="running" if ended is None else ended.status,
                started=row.at,
                actor=row.actor,
                stamp=row.stamp,
                ended=ended,
            )
        )
    return tuple(found)


PROJECTION = Projection(
    name="pipeline",
    version=1,
    tables=_metadata,
    kinds=frozenset(_ROWS),
    fold=fold,
    answers={
        StepsByKey: steps_by_key,
        StepsNamed: steps_named,
        StepById: step_by_id,
        StepsOfRun: steps_of_run,
        FailuresOfRun: failures_of_run,
        Executions: executions,
        ExecutionByRun: execution_by_run,
    },
    portraits={"step": portray},
)
