"""Logged models' part of the catalog: tables, folds, and the questions about them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    select,
)

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.core.files import FileRef
from charkh.models.logged import (
    ARTIFACT_KIND,
    CHANGED_KIND,
    DELETED_KIND,
    LINKED_KIND,
    LOGGED_KIND,
    MEASURED_KIND,
    NOUN,
    LoggedArtifact,
    LoggedChanged,
    LoggedDeleted,
    LoggedFile,
    LoggedLinked,
    LoggedModel,
    LoggedStatus,
    Measurement,
    ModelLink,
    ModelLogged,
    ModelMeasured,
    RunMeasurement,
)
from charkh.ports.folding import Row, keep_rows
from charkh.ports.projections import Description, Projection, Query

AT_ONCE = 400

_metadata = MetaData()
_logged = Table(
    "logged_model",
    _metadata,
    Column("id", String, primary_key=True),
    Column("project", String, nullable=False, index=True),
    Column("name", String, nullable=False, index=True),
    Column("run", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_status = Table(
    "logged_model_status",
    _metadata,
    Column("id", String, primary_key=True),
    Column("status", String, nullable=False),
    Column("message", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_params = Table(
    "logged_model_param",
    _metadata,
    Column("id", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", Text),
    Column("file", LargeBinary),
    Column("stamp", String, nullable=False),
)
_tags = Table(
    "logged_model_tag",
    _metadata,
    Column("id", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", Text),
    Column("file", LargeBinary),
    Column("stamp", String, nullable=False),
)
_metrics = Table(
    "logged_model_metric",
    _metadata,
    Column("id", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("time", Integer, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("run", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)
"""Of two values for one key, time, step and run, the first stays: a call that was sent again counts once."""

_files = Table(
    "logged_model_file",
    _metadata,
    Column("id", String, primary_key=True),
    Column("path", String, primary_key=True),
    Column("file", LargeBinary),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_links = Table(
    "logged_model_link",
    _metadata,
    Column("run", String, primary_key=True),
    Column("id", String, primary_key=True, index=True),
    Column("role", String, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("stamp", String, nullable=False),
)
_deleted = Table(
    "logged_model_deleted",
    _metadata,
    Column("id", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_encode = msgspec.msgpack.Encoder().encode
_decode_logged = msgspec.msgpack.Decoder(ModelLogged).decode
_decode_value = msgspec.msgpack.Decoder(Measurement).decode
_decode_file = msgspec.msgpack.Decoder(FileRef).decode


class LoggedById(Query[LoggedModel | None], frozen=True, kw_only=True):
    """The logged model with this id, a deleted one included."""

    logged: str


class LoggedModels(Query[tuple[LoggedModel, ...]], frozen=True, kw_only=True):
    """Logged models that are not deleted, newest first: of some projects, of one run, or all."""

    projects: tuple[str, ...] | None = None
    run: str = ""


class LoggedFiles(Query[tuple[LoggedFile, ...]], frozen=True, kw_only=True):
    """The files of a logged model, by path."""

    logged: str


class ModelLinks(Query[tuple[ModelLink, ...]], frozen=True, kw_only=True):
    """What these runs left and used, by run, then in the order in which it was said."""

    runs: tuple[str, ...]


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add what the events say, kind by kind."""
    by_kind: dict[str, list[Event]] = {}
    for event in events:
        by_kind.setdefault(event.kind, []).append(event)
    for kind, those in by_kind.items():
        _FOLDS[kind](connection, those)


def _fold_logged(connection: Connection, events: Sequence[Event]) -> None:
    rows: list[Row] = []
    for event in events:
        made = body_of(event, ModelLogged)
        row = {"id": made.logged, "project": made.project, "name": made.name, "run": made.run}
        rows.append({**row, "body": bytes(event.body), "actor": event.actor, **_when(event)})
    keep_rows(connection, _logged, rows, stamp="stamp", keep="earliest")


def _fold_changed(connection: Connection, events: Sequence[Event]) -> None:
    statuses: list[Row] = []
    params: list[Row] = []
    tags: list[Row] = []
    for event in events:
        body = body_of(event, LoggedChanged)
        if body.status:
            statuses.append({"id": body.logged, "status": body.status, "message": body.message, **_when(event)})
        params += _texts(body.logged, body.params, body.long_params, event.stamp)
        tags += _texts(body.logged, body.tags, body.long_tags, event.stamp)
    keep_rows(connection, _status, statuses, stamp="stamp")
    keep_rows(connection, _params, params, stamp="stamp", keep="earliest")
    keep_rows(connection, _tags, tags, stamp="stamp")


def _texts(logged: str, texts: dict[str, Any], files: dict[str, FileRef], stamp: str) -> list[Row]:
    rows = [{"id": logged, "name": name, "value": text, "file": None, "stamp": stamp} for name, text in texts.items()]
    rows += [
        {"id": logged, "name": name, "value": None, "file": _encode(file), "stamp": stamp}
        for name, file in files.items()
    ]
    return list[Row](rows)


def _fold_measured(connection: Connection, events: Sequence[Event]) -> None:
    rows: list[Row] = []
    for event in events:
        body = body_of(event, ModelMeasured)
        for value in body.values:
            key = {"id": body.logged, "key": value.key, "time": value.time, "step": value.step, "run": body.run}
            rows.append({**key, "body": _encode(value), "stamp": event.stamp})
    keep_rows(connection, _metrics, rows, stamp="stamp", keep="earliest")


def _fold_files(connection: Connection, events: Sequence[Event]) -> None:
    rows: list[Row] = []
    for event in events:
        body = body_of(event, LoggedArtifact)
        file = None if body.file is None else _encode(body.file)
        rows.append({"id": body.logged, "path": body.path, "file": file, **_when(event)})
    keep_rows(connection, _files, rows, stamp="stamp")


def _fold_links(connection: Connection, events: Sequence[Event]) -> None:
    rows: list[Row] = []
    for event in events:
        body = body_of(event, LoggedLinked)
        rows.append({"run": body.run, "id": body.logged, "role": body.role, "step": body.step, "stamp": event.stamp})
    keep_rows(connection, _links, rows, stamp="stamp", keep="earliest")


def _fold_deleted(connection: Connection, events: Sequence[Event]) -> None:
    rows: list[Row] = [{"id": body_of(event, LoggedDeleted).logged, **_when(event)} for event in events]
    keep_rows(connection, _deleted, rows, stamp="stamp", keep="earliest")


def _when(event: Event) -> Row:
    return {"at": seconds(event.clock), "stamp": event.stamp}


_FOLDS = {
    LOGGED_KIND: _fold_logged,
    CHANGED_KIND: _fold_changed,
    MEASURED_KIND: _fold_measured,
    ARTIFACT_KIND: _fold_files,
    LINKED_KIND: _fold_links,
    DELETED_KIND: _fold_deleted,
}


def logged_by_id(connection: Connection, query: LoggedById) -> LoggedModel | None:
    return next(iter(_models_where(connection, _logged.c.id == query.logged)), None)


def logged_models(connection: Connection, query: LoggedModels) -> tuple[LoggedModel, ...]:
    conditions: list[ColumnElement[bool]] = [_deleted.c.id.is_(None)]
    if query.run:
        conditions.append(_logged.c.run == query.run)
    if query.projects is None:
        return tuple(_models_where(connection, *conditions))
    found: list[LoggedModel] = []
    for some in _portions(query.projects):
        found += _models_where(connection, *conditions, _logged.c.project.in_(some))
    return tuple(sorted(found, key=lambda model: model.stamp, reverse=True))


def logged_files(connection: Connection, query: LoggedFiles) -> tuple[LoggedFile, ...]:
    rows = connection.execute(
        select(_files).where(_files.c.id == query.logged, _files.c.file.is_not(None)).order_by(_files.c.path)
    )
    return tuple(LoggedFile(path=row.path, file=_decode_file(row.file), at=row.at) for row in rows)


def model_links(connection: Connection, query: ModelLinks) -> tuple[ModelLink, ...]:
    found: list[ModelLink] = []
    for some in _portions(query.runs):
        rows = connection.execute(
            select(_links).where(_links.c.run.in_(some)).order_by(_links.c.run, _links.c.stamp, _links.c.step)
        )
        found += [ModelLink(run=row.run, logged=row.id, role=row.role, step=row.step) for row in rows]
    return tuple(found)


def portray(connection: Connection, identifier: str) -> Description | None:
    model = logged_by_id(connection, LoggedById(logged=identifier))
    if model is None:
        return None
    lines = [("status", model.status), ("logged by", model.actor), *model.params.items()]
    if model.deleted is not None:
        lines.append(("deleted", "its bytes may be gone"))
    return Description(title=model.made.name or identifier, lines=tuple(lines))


def _models_where(connection: Connection, *conditions: Any) -> list[LoggedModel]:
    rows = connection.execute(
        select(_logged, _deleted.c.at.label("deleted"))
        .join(_deleted, _logged.c.id == _deleted.c.id, isouter=True)
        .where(*conditions)
        .order_by(_logged.c.stamp.desc())
    ).all()
    parts = {row.id: _Parts() for row in rows}
    for some in _portions(parts):
        _gather(connection, some, parts)
    return [_model(row, parts[row.id]) for row in rows]


class _Parts:
    def __init__(self) -> None:
        self.status, self.message, self.updated = "", "", 0.0
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.long_params: dict[str, FileRef] = {}
        self.long_tags: dict[str, FileRef] = {}
        self.metrics: list[RunMeasurement] = []


def _gather(connection: Connection, some: Sequence[str], parts: dict[str, _Parts]) -> None:
    for row in connection.execute(select(_status).where(_status.c.id.in_(some))):
        part = parts[row.id]
        part.status, part.message, part.updated = row.status, row.message, row.at
    for row in connection.execute(select(_params).where(_params.c.id.in_(some)).order_by(_params.c.stamp)):
        _place(row, parts[row.id].params, parts[row.id].long_params)
    for row in connection.execute(select(_tags).where(_tags.c.id.in_(some)).order_by(_tags.c.name)):
        _place(row, parts[row.id].tags, parts[row.id].long_tags)
    order = (_metrics.c.key, _metrics.c.time, _metrics.c.step, _metrics.c.run)
    for row in connection.execute(select(_metrics).where(_metrics.c.id.in_(some)).order_by(*order)):
        parts[row.id].metrics.append(RunMeasurement(run=row.run, value=_decode_value(row.body)))


def _place(row: Any, texts: dict[str, str], files: dict[str, FileRef]) -> None:
    if row.file is not None:
        files[row.name] = _decode_file(row.file)
    elif row.value is not None:
        texts[row.name] = row.value


def _model(row: Any, part: _Parts) -> LoggedModel:
    made = _decode_logged(row.body)
    return LoggedModel(
        made=made,
        actor=row.actor,
        stamp=row.stamp,
        status=_status_of(part.status or ("pending" if made.content is None else "ready")),
        message=part.message,
        updated=max(made.created or row.at, part.updated, row.deleted or 0.0),
        params=part.params,
        tags=part.tags,
        long_params=part.long_params,
        long_tags=part.long_tags,
        metrics=tuple(part.metrics),
        deleted=row.deleted,
    )


def _status_of(word: str) -> LoggedStatus:
    return "ready" if word == "ready" else "failed" if word == "failed" else "pending"


def _portions(items: Iterable[str]) -> Iterator[list[str]]:
    ordered = list(dict.fromkeys(items))
    for start in range(0, len(ordered), AT_ONCE):
        yield ordered[start : start + AT_ONCE]


PROJECTION = Projection(
    name="logged_model",
    version=1,
    tables=_metadata,
    kinds=frozenset(_FOLDS),
    fold=fold,
    answers={
        LoggedById: logged_by_id,
        LoggedModels: logged_models,
        LoggedFiles: logged_files,
        ModelLinks: model_links,
    },
    portraits={NOUN: portray},
)
