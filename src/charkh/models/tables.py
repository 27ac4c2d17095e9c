"""Models' tables, and how events fold into them: sets of what was said, nothing computed."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import JSON, Column, Connection, Float, Index, Integer, LargeBinary, MetaData, String, Table
from sqlalchemy import Text as TextColumn

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.core.files import FileRef
from charkh.models.model import ALIAS_KIND, DELETED_KIND, VERSION_KIND, AliasMoved, VersionDeleted, VersionMade
from charkh.models.registered import (
    DESCRIBED_KIND,
    REGISTERED_KIND,
    REMOVED_KIND,
    RENAMED_KIND,
    STAGED_KIND,
    TAGGED_KIND,
    ModelDescribed,
    ModelRegistered,
    ModelRemoved,
    ModelRenamed,
    ModelStaged,
    ModelTagged,
    name_subject,
)
from charkh.ports.folding import Row, add_rows, keep_rows

DESCRIPTION = "description"
STAGE = "stage"
NAME = "name"
TAG = "tag:"
"""Fields of `said`; a tag's name follows `TAG`."""

METADATA = MetaData()
versions = Table(
    "model_version",
    METADATA,
    Column("id", String, primary_key=True),
    Column("model", String, nullable=False, index=True),
    Column("name", String, nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("run", String, nullable=False, index=True),
    Column("logged", String, nullable=False, index=True),
    Column("content", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("actor", String, nullable=False),
    Column("created", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
"""`model` is the key, `name` the name at the time."""

moves = Table(
    "model_move",
    METADATA,
    Column("id", String, primary_key=True),
    Column("model", String, nullable=False, index=True),
    Column("alias", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
deleted = Table(
    "model_deleted",
    METADATA,
    Column("id", String, primary_key=True),
    Column("reason", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
"""Versions that are gone, by themselves or with their model."""

known = Table(
    "model_known",
    METADATA,
    Column("model", String, primary_key=True),
    Column("name", String, nullable=False, index=True),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
removed = Table(
    "model_removed",
    METADATA,
    Column("model", String, primary_key=True),
    Column("reason", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
said = Table(
    "model_said",
    METADATA,
    Column("about", String, primary_key=True),
    Column("field", String, primary_key=True),
    Column("event", String, primary_key=True),
    Column("value", TextColumn),
    Column("file", LargeBinary),
    Column("reason", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
    Index("model_said_value", "field", "value"),
    sqlite_with_rowid=False,
)
"""Every description, stage, tag and new name that was ever given; neither value nor file means: taken away."""

replaced = Table(
    "model_replaced",
    METADATA,
    Column("about", String, primary_key=True),
    Column("field", String, primary_key=True),
    Column("event", String, primary_key=True),
    sqlite_with_rowid=False,
)
"""What a later decision has seen and superseded."""

encode_file = msgspec.msgpack.Encoder().encode
decode_file = msgspec.msgpack.Decoder(FileRef).decode


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add what the events say, kind by kind."""
    by_kind: dict[str, list[Event]] = {}
    for event in events:
        by_kind.setdefault(event.kind, []).append(event)
    for kind, those in by_kind.items():
        _FOLDS[kind](connection, those)


def _fold_versions(connection: Connection, events: Sequence[Event]) -> None:
    add_rows(connection, versions, [_version_row(event) for event in events])


def _version_row(event: Event) -> Row:
    made = body_of(event, VersionMade)
    return {
        "id": made.version,
        "model": made.key,
        "name": made.name,
        "number": made.number,
        "run": made.run,
        "logged": made.logged,
        "content": made.content,
        "body": bytes(event.body),
        "metrics": event.facts,
        "actor": event.actor,
        "created": made.created or seconds(event.clock),
        "stamp": event.stamp,
    }


def _fold_moves(connection: Connection, events: Sequence[Event]) -> None:
    rows: list[Row] = []
    for event in events:
        moved = body_of(event, AliasMoved)
        row = {"id": event.id, "model": moved.key, "alias": moved.alias, "body": bytes(event.body)}
        rows.append({**row, "actor": event.actor, "at": seconds(event.clock), "stamp": event.stamp})
    add_rows(connection, moves, rows)


def _fold_deleted(connection: Connection, events: Sequence[Event]) -> None:
    rows: list[Row] = []
    for event in events:
        body = body_of(event, VersionDeleted)
        rows.append({"id": body.version, "reason": body.reason, **_when(event)})
    keep_rows(connection, deleted, rows, stamp="stamp", keep="earliest")


def _fold_known(connection: Connection, events: Sequence[Event]) -> None:
    rows: list[Row] = []
    for event in events:
        body = body_of(event, ModelRegistered)
        rows.append({"model": body.key, "name": body.name, **_when(event)})
    keep_rows(connection, known, rows, stamp="stamp", keep="earliest")


def _fold_removed(connection: Connection, events: Sequence[Event]) -> None:
    models: list[Row] = []
    gone: list[Row] = []
    for event in events:
        body = body_of(event, ModelRemoved)
        when = {"reason": body.reason, **_when(event)}
        models += [{"model": key, **when} for key in body.models]
        gone += [{"id": version, **when} for version in body.versions]
    keep_rows(connection, removed, models, stamp="stamp", keep="earliest")
    keep_rows(connection, deleted, gone, stamp="stamp", keep="earliest")


def _fold_described(connection: Connection, events: Sequence[Event]) -> None:
    for event in events:
        body = body_of(event, ModelDescribed)
        _say(connection, event, body.about, {DESCRIPTION: (None, body.text)}, {DESCRIPTION: body.replaces})


def _fold_staged(connection: Connection, events: Sequence[Event]) -> None:
    for event in events:
        body = body_of(event, ModelStaged)
        _say(connection, event, body.about, {STAGE: (body.stage, None)}, {STAGE: body.replaces}, body.reason)


def _fold_renamed(connection: Connection, events: Sequence[Event]) -> None:
    for event in events:
        body = body_of(event, ModelRenamed)
        about = name_subject(body.model)
        _say(connection, event, about, {NAME: (body.name, None)}, {NAME: body.replaces}, body.reason)


def _fold_tagged(connection: Connection, events: Sequence[Event]) -> None:
    for event in events:
        body = body_of(event, ModelTagged)
        values: dict[str, tuple[str | None, FileRef | None]] = {
            TAG + name: (value, None) for name, value in body.tags.items()
        }
        values |= {TAG + name: (None, file) for name, file in body.long.items()}
        _say(connection, event, body.about, values, {TAG + name: ids for name, ids in body.replaces.items()})


def _say(
    connection: Connection,
    event: Event,
    about: str,
    values: dict[str, tuple[str | None, FileRef | None]],
    replaces: dict[str, tuple[str, ...]],
    reason: str = "",
) -> None:
    rows = [
        {
            "about": about,
            "field": field,
            "event": event.id,
            "value": value,
            "file": None if file is None else encode_file(file),
            "reason": reason,
            **_when(event),
        }
        for field, (value, file) in values.items()
    ]
    add_rows(connection, said, rows)
    earlier = [{"about": about, "field": field, "event": each} for field, ids in replaces.items() for each in ids]
    add_rows(connection, replaced, earlier)


def _when(event: Event) -> Row:
    return {"actor": event.actor, "at": seconds(event.clock), "stamp": event.stamp}


_FOLDS = {
    VERSION_KIND: _fold_versions,
    ALIAS_KIND: _fold_moves,
    DELETED_KIND: _fold_deleted,
    REGISTERED_KIND: _fold_known,
    REMOVED_KIND: _fold_removed,
    DESCRIBED_KIND: _fold_described,
    STAGED_KIND: _fold_staged,
    RENAMED_KIND: _fold_renamed,
    TAGGED_KIND: _fold_tagged,
}
KINDS = frozenset(_FOLDS)
