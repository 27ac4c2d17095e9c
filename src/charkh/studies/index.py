"""Studies' part of the catalog: searches, their trials, and how they ended."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Float, LargeBinary, MetaData, String, Table, select

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.ports.folding import keep_rows
from charkh.ports.projections import Description, Projection, Query
from charkh.studies.study import (
    ENDED_KIND,
    STARTED_KIND,
    TRIAL_KIND,
    StudyEnded,
    StudyRecord,
    StudyStarted,
    TrialDone,
)

_metadata = MetaData()
_started = Table(
    "study_started",
    _metadata,
    Column("run", String, primary_key=True),
    Column("study", String, nullable=False, index=True),
    Column("name", String, nullable=False, index=True),
    Column("content", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_trials = Table(
    "study_trial",
    _metadata,
    Column("run", String, primary_key=True),
    Column("study", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)
_ended = Table(
    "study_ended",
    _metadata,
    Column("run", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)

_decode_started = msgspec.msgpack.Decoder(StudyStarted).decode
_decode_trial = msgspec.msgpack.Decoder(TrialDone).decode
_decode_ended = msgspec.msgpack.Decoder(StudyEnded).decode


class Studies(Query[tuple[StudyRecord, ...]], frozen=True, kw_only=True):
    """Studies of this name, newest first; all of them with an empty name."""

    name: str = ""
    limit: int = 100


class StudyById(Query[StudyRecord | None], frozen=True, kw_only=True):
    """The study with this id."""

    study: str


class StudyByContent(Query[StudyRecord | None], frozen=True, kw_only=True):
    """The newest study of this name that searches for the same in the same space."""

    name: str
    content: str


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add starts and trials; of two ends of one search, keep the later."""
    by_kind: dict[str, list[dict[str, object]]] = {kind: [] for kind in _ROWS}
    for event in events:
        by_kind[event.kind].append(_ROWS[event.kind](event))
    keep_rows(connection, _started, by_kind[STARTED_KIND], stamp="stamp", keep="earliest")
    keep_rows(connection, _trials, by_kind[TRIAL_KIND], stamp="stamp", keep="earliest")
    keep_rows(connection, _ended, by_kind[ENDED_KIND], stamp="stamp")


def _started_row(event: Event) -> dict[str, object]:
    started = body_of(event, StudyStarted)
    return {
        "run": started.run,
        "study": started.study,
        "name": started.name,
        "content": started.content,
        "body": bytes(event.body),
        "actor": event.actor,
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def _trial_row(event: Event) -> dict[str, object]:
    trial = body_of(event, TrialDone)
    return {"run": trial.run, "study": trial.study, "body": bytes(event.body), "stamp": event.stamp}


def _ended_row(event: Event) -> dict[str, object]:
    return {"run": body_of(event, StudyEnded).run, "body": bytes(event.body), "stamp": event.stamp}


_ROWS = {STARTED_KIND: _started_row, TRIAL_KIND: _trial_row, ENDED_KIND: _ended_row}


def studies(connection: Connection, query: Studies) -> tuple[StudyRecord, ...]:
    conditions = [_started.c.name == query.name] if query.name else []
    return _records(connection, *conditions)[: query.limit]


def study_by_id(connection: Connection, query: StudyById) -> StudyRecord | None:
    return next(iter(_records(connection, _started.c.study == query.study)), None)


def study_by_content(connection: Connection, query: StudyByContent) -> StudyRecord | None:
    same = (_started.c.name == query.name, _started.c.content == query.content)
    return next(iter(_records(connection, *same)), None)


def portray(connection: Connection, identifier: str) -> Description | None:
    record = study_by_id(connection, StudyById(study=identifier))
    if record is None:
        return None
    best = record.best_trial
    lines = [("status", record.status), ("trials", str(len(record.trials)))]
    if best is not None:
        lines.append((record.started.metric or "value", f"{best.value:.6g}"))
        lines += [(f"best {name}", str(value)) for name, value in best.params.items()]
    return Description(title=f"study {record.name}", lines=tuple(lines))


def _records(connection: Connection, *conditions: Any) -> tuple[StudyRecord, ...]:
    """Studies by their first start, newest first."""
    statement = (
        select(_started, _ended.c.body.label("ended"))
        .join(_ended, _started.c.run == _ended.c.run, isouter=True)
        .where(*conditions)
        .order_by(_started.c.stamp)
    )
    starts: dict[str, list[Any]] = {}
    for row in connection.execute(statement):
        starts.setdefault(row.study, []).append(row)
    trials: dict[str, list[TrialDone]] = {}
    told = select(_trials).where(_trials.c.study.in_(list(starts))).order_by(_trials.c.stamp)
    for row in connection.execute(told):
        trials.setdefault(row.study, []).append(_decode_trial(row.body))
    return tuple(
        _record(rows, trials.get(study, [])) for study, rows in sorted(starts.items(), key=_first_stamp, reverse=True)
    )


def _first_stamp(item: tuple[str, list[Any]]) -> str:
    return item[1][0].stamp


def _record(starts: Sequence[Any], trials: Sequence[TrialDone]) -> StudyRecord:
    first, latest = starts[0], starts[-1]
    return StudyRecord(
        started=_decode_started(latest.body),
        status="running" if latest.ended is None else _decode_ended(latest.ended).status,
        trials=tuple(sorted(trials, key=lambda trial: trial.number)),
        actor=first.actor,
        created=first.at,
        stamp=first.stamp,
    )


PROJECTION = Projection(
    name="study",
    version=1,
    tables=_metadata,
    kinds=frozenset(_ROWS),
    fold=fold,
    answers={Studies: studies, StudyById: study_by_id, StudyByContent: study_by_content},
    portraits={"study": portray},
)
