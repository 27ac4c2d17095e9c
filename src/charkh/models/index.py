"""Models' part of the catalog: versions, aliases, and the decisions that need the lock."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    func,
    select,
)

from charkh.core.authors import refs_of, the_one
from charkh.core.clock import seconds
from charkh.core.errors import Conflict, NotFound
from charkh.core.events import Draft, Edge, Event, Fact, body_of
from charkh.core.ids import new_id
from charkh.core.refs import VersionRef
from charkh.models.history import heads, heads_at, rollback_target
from charkh.models.model import (
    ALIAS_KIND,
    DELETED_KIND,
    VERSION_KIND,
    AliasHolder,
    AliasMove,
    AliasMoved,
    ModelSummary,
    ModelVersion,
    VersionDeleted,
    VersionMade,
)
from charkh.ports.folding import add_rows, keep_rows
from charkh.ports.projections import Command, Description, Projection, Query

_metadata = MetaData()
_versions = Table(
    "model_version",
    _metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("run", String, nullable=False, index=True),
    Column("content", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("actor", String, nullable=False),
    Column("created", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_moves = Table(
    "model_move",
    _metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, index=True),
    Column("alias", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_deleted = Table(
    "model_deleted",
    _metadata,
    Column("id", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)

_decode_made = msgspec.msgpack.Decoder(VersionMade).decode
_decode_moved = msgspec.msgpack.Decoder(AliasMoved).decode


class RegisterModel(Command, frozen=True, kw_only=True):
    """Make a version of what is in the vault; its id and number are decided here."""

    made: VersionMade
    metrics: dict[str, Fact]


class MoveAlias(Command, frozen=True, kw_only=True):
    """Let `version` (an id; empty to remove) hold the alias.

    `expect` is the id of the version that the caller believes holds it now, empty for nobody; None
    where the caller does not care.
    """

    name: str
    alias: str
    version: str
    expect: str | None = None
    reason: str = ""
    decided_by: str = ""


class Rollback(Command, frozen=True, kw_only=True):
    """Put the previous holder of an alias back; `expect` as in `MoveAlias`."""

    name: str
    alias: str
    expect: str | None = None
    reason: str = ""
    decided_by: str = ""


class DeleteModelVersion(Command, frozen=True, kw_only=True):
    """Forget a version's bytes; refused while it holds an alias."""

    version: str
    reason: str = ""


class ModelByRef(Query[ModelVersion | None], frozen=True, kw_only=True):
    """The version that a reference means; deleted ones are found by number only. `Conflict` when it means several."""

    ref: VersionRef


class ModelById(Query[ModelVersion | None], frozen=True, kw_only=True):
    """The version with this id."""

    version: str


class ModelByContent(Query[ModelVersion | None], frozen=True, kw_only=True):
    """The live version of `name` about which exactly this was said; the first of several."""

    name: str
    content: str


class ModelVersions(Query[tuple[ModelVersion, ...]], frozen=True, kw_only=True):
    """Versions of a model, newest number first."""

    name: str
    deleted: bool = False


class ModelsOfRun(Query[tuple[ModelVersion, ...]], frozen=True, kw_only=True):
    """The live versions that a run made."""

    run: str


class Models(Query[tuple[ModelSummary, ...]], frozen=True, kw_only=True):
    """Models with a live version whose name begins with `prefix`, by name."""

    prefix: str = ""


class AliasesOf(Query[tuple[AliasHolder, ...]], frozen=True, kw_only=True):
    """The aliases of a model that somebody holds, by name."""

    name: str


class AliasHolderOf(Query[AliasHolder | None], frozen=True, kw_only=True):
    """Who holds an alias: now, or at `moment` (seconds since the epoch). None when it had never been moved."""

    name: str
    alias: str
    moment: float | None = None


class AliasHistory(Query[tuple[AliasMove, ...]], frozen=True, kw_only=True):
    """Every move of an alias, newest first; with an empty alias, of all aliases of the model."""

    name: str
    alias: str = ""


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add versions, moves and deletions; nothing is computed from them here."""
    by_kind: dict[str, list[dict[str, object]]] = {VERSION_KIND: [], ALIAS_KIND: [], DELETED_KIND: []}
    for event in events:
        by_kind[event.kind].append(_ROWS[event.kind](event))
    add_rows(connection, _versions, by_kind[VERSION_KIND])
    add_rows(connection, _moves, by_kind[ALIAS_KIND])
    keep_rows(connection, _deleted, by_kind[DELETED_KIND], stamp="stamp", keep="earliest")


def _version_row(event: Event) -> dict[str, object]:
    made = body_of(event, VersionMade)
    return {
        "id": made.version,
        "name": made.name,
        "number": made.number,
        "run": made.run,
        "content": made.content,
        "body": bytes(event.body),
        "metrics": event.facts,
        "actor": event.actor,
        "created": seconds(event.clock),
        "stamp": event.stamp,
    }


def _move_row(event: Event) -> dict[str, object]:
    moved = body_of(event, AliasMoved)
    return {
        "id": event.id,
        "name": moved.name,
        "alias": moved.alias,
        "body": bytes(event.body),
        "actor": event.actor,
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def _deleted_row(event: Event) -> dict[str, object]:
    return {"id": body_of(event, VersionDeleted).version, "at": seconds(event.clock), "stamp": event.stamp}


_ROWS = {VERSION_KIND: _version_row, ALIAS_KIND: _move_row, DELETED_KIND: _deleted_row}


def decide_register(connection: Connection, command: RegisterModel) -> Sequence[Draft]:
    made = command.made
    if model_by_content(connection, ModelByContent(name=made.name, content=made.content)) is not None:
        return ()
    highest = connection.execute(select(func.max(_versions.c.number)).where(_versions.c.name == made.name)).scalar()
    made = msgspec.structs.replace(made, version=new_id(), number=(highest or 0) + 1)
    subject = f"model:{made.version}"
    blobs = [blob.held for blob in (made.example, made.description) if blob is not None]
    edges = [Edge(subject, "trained_on", f"dataset:{dataset}") for dataset in made.datasets]
    if made.run:
        edges.insert(0, Edge(subject, "produced_by", f"run:{made.run}"))
    return [
        Draft(
            kind=VERSION_KIND,
            subject=subject,
            body=made,
            edges=tuple(edges),
            facts=command.metrics,
            holds=(made.tree.root, *blobs),
        )
    ]


def decide_move(connection: Connection, command: MoveAlias) -> Sequence[Draft]:
    current = heads(_moves_of(connection, command.name, command.alias))
    held = _expected_holder(command, current)
    if command.version:
        version = model_by_id(connection, ModelById(version=command.version))
        if version is None or version.made.name != command.name or version.deleted is not None:
            raise NotFound(
                f"model {command.name!r} has no live version {command.version}",
                code="model.not_found",
                hint=f"`charkh model show {command.name}` lists its versions.",
            )
    if command.version == held and len(current) <= 1:
        return ()
    return [_move_draft(command, command.version, current, rollback=False)]


def decide_rollback(connection: Connection, command: Rollback) -> Sequence[Draft]:
    moves = _moves_of(connection, command.name, command.alias)
    current = heads(moves)
    _expected_holder(command, current)
    target = rollback_target(moves, frozenset(connection.execute(select(_deleted.c.id)).scalars()))
    if not target:
        raise NotFound(
            f"{command.name}@{command.alias} has no earlier holder to go back to",
            code="model.no_earlier_holder",
            hint=f"Move the alias to a version by hand; `charkh model show {command.name}` lists them.",
        )
    return [_move_draft(command, target, current, rollback=True)]


def decide_delete(connection: Connection, command: DeleteModelVersion) -> Sequence[Draft]:
    version = model_by_id(connection, ModelById(version=command.version))
    if version is None:
        raise NotFound(f"there is no model version {command.version}", code="model.not_found")
    if version.deleted is not None:
        return ()
    if version.aliases:
        raise Conflict(
            f"{version.ref} is {version.made.name}@{version.aliases[0]}",
            code="model.held_by_alias",
            hint="Move or remove the alias first.",
            facts={"aliases": list(version.aliases)},
        )
    made = version.made
    body = VersionDeleted(name=made.name, version=made.version, number=made.number, reason=command.reason)
    return [Draft(kind=DELETED_KIND, subject=version.subject, body=body, drops=(version.subject,))]


def _expected_holder(command: MoveAlias | Rollback, current: Sequence[AliasMove]) -> str:
    held = current[0].moved.version if current else ""
    if command.expect is not None and command.expect != held:
        raise Conflict(
            f"{command.name}@{command.alias} is held by {held or 'nobody'}, not by {command.expect or 'nobody'}",
            code="model.alias_moved",
            hint="Somebody moved it meanwhile: look at the alias's history and decide again.",
            facts={"holder": held, "expected": command.expect},
        )
    return held


def _move_draft(command: MoveAlias | Rollback, version: str, current: Sequence[AliasMove], *, rollback: bool) -> Draft:
    moved = AliasMoved(
        name=command.name,
        alias=command.alias,
        version=version,
        replaces=tuple(sorted(move.id for move in current)),
        reason=command.reason,
        decided_by=command.decided_by,
        rollback=rollback,
    )
    subject = version or next(move.moved.version for move in current)
    return Draft(kind=ALIAS_KIND, subject=f"model:{subject}", body=moved)


def model_by_ref(connection: Connection, query: ModelByRef) -> ModelVersion | None:
    name, selector, _ = query.ref
    if query.ref.number is not None:
        found = _versions_where(connection, _versions.c.name == name, _versions.c.number == query.ref.number)
        return the_one(query.ref, found, "model")
    if selector == "latest":
        live = model_versions(connection, ModelVersions(name=name))
        top = [version for version in live if version.made.number == live[0].made.number]
        return the_one(query.ref, top, "model")
    holder = alias_holder(connection, AliasHolderOf(name=name, alias=selector))
    version = holder.version if holder else None
    return version if version is not None and version.deleted is None else None


def model_by_id(connection: Connection, query: ModelById) -> ModelVersion | None:
    return next(iter(_versions_where(connection, _versions.c.id == query.version)), None)


def model_by_content(connection: Connection, query: ModelByContent) -> ModelVersion | None:
    found = _versions_where(connection, _versions.c.name == query.name, _versions.c.content == query.content)
    return next((version for version in reversed(found) if version.deleted is None), None)


def model_versions(connection: Connection, query: ModelVersions) -> tuple[ModelVersion, ...]:
    found = _versions_where(connection, _versions.c.name == query.name)
    return tuple(version for version in found if query.deleted or version.deleted is None)


def models_of_run(connection: Connection, query: ModelsOfRun) -> tuple[ModelVersion, ...]:
    found = _versions_where(connection, _versions.c.run == query.run)
    return tuple(version for version in found if version.deleted is None)


def models(connection: Connection, query: Models) -> tuple[ModelSummary, ...]:
    by_name: dict[str, list[ModelVersion]] = {}
    for version in _versions_where(connection, _versions.c.name.startswith(query.prefix, autoescape=True)):
        if version.deleted is None:
            by_name.setdefault(version.made.name, []).append(version)
    return tuple(
        ModelSummary(
            name=name,
            versions=len(versions),
            latest=versions[0],
            aliases={alias: version.made.number for version in versions for alias in version.aliases},
        )
        for name, versions in sorted(by_name.items())
    )


def aliases_of(connection: Connection, query: AliasesOf) -> tuple[AliasHolder, ...]:
    words = sorted({move.moved.alias for move in _moves_of(connection, query.name)})
    holders = [alias_holder(connection, AliasHolderOf(name=query.name, alias=word)) for word in words]
    return tuple(holder for holder in holders if holder is not None and holder.version is not None)


def alias_holder(connection: Connection, query: AliasHolderOf) -> AliasHolder | None:
    moves = _moves_of(connection, query.name, query.alias)
    current = heads(moves) if query.moment is None else heads_at(moves, query.moment)
    if not current:
        return None
    move, *rivals = current
    version = model_by_id(connection, ModelById(version=move.moved.version)) if move.moved.version else None
    return AliasHolder(move=move, rivals=tuple(rivals), version=version)


def alias_history(connection: Connection, query: AliasHistory) -> tuple[AliasMove, ...]:
    moves = _moves_of(connection, query.name, query.alias)
    return tuple(sorted(moves, key=lambda move: move.stamp, reverse=True))


def portray(connection: Connection, identifier: str) -> Description | None:
    version = model_by_id(connection, ModelById(version=identifier))
    if version is None:
        return None
    made = version.made
    same = _versions_where(connection, _versions.c.name == made.name, _versions.c.number == made.number)
    lines = [
        ("runtime", made.runtime),
        ("safety", made.safety.level),
        ("files", made.tree.root),
        ("registered by", version.actor),
        *((("aliases", ", ".join(version.aliases)),) if version.aliases else ()),
        *((name, str(value)) for name, value in version.metrics.items()),
        *((("deleted", "its bytes may be gone"),) if version.deleted is not None else ()),
    ]
    return Description(title=refs_of(same)[version.id], lines=tuple(lines))


def _versions_where(connection: Connection, *conditions: Any) -> list[ModelVersion]:
    """Versions, by name, then the greatest number and stamp first, with the aliases that they hold."""
    statement: Select[Any] = (
        select(_versions, _deleted.c.at.label("deleted"))
        .join(_deleted, _versions.c.id == _deleted.c.id, isouter=True)
        .where(*conditions)
        .order_by(_versions.c.name, _versions.c.number.desc(), _versions.c.stamp.desc())
    )
    rows = connection.execute(statement).all()
    held = _aliases_by_version(connection, {row.name for row in rows})
    return [
        ModelVersion(
            made=_decode_made(row.body),
            metrics=row.metrics,
            aliases=tuple(held.get(row.id, ())),
            actor=row.actor,
            created=row.created,
            stamp=row.stamp,
            deleted=row.deleted,
        )
        for row in rows
    ]


def _aliases_by_version(connection: Connection, names: set[str]) -> dict[str, list[str]]:
    by_alias: dict[tuple[str, str], list[AliasMove]] = {}
    for move in _moves_where(connection, _moves.c.name.in_(sorted(names)), numbers={}):
        by_alias.setdefault((move.moved.name, move.moved.alias), []).append(move)
    held: dict[str, list[str]] = {}
    for (_name, alias), moves in sorted(by_alias.items()):
        for move in heads(moves)[:1]:
            held.setdefault(move.moved.version, []).append(alias)
    return held


def _moves_of(connection: Connection, name: str, alias: str = "") -> list[AliasMove]:
    rows = connection.execute(select(_versions.c.id, _versions.c.number).where(_versions.c.name == name))
    numbers = {row.id: row.number for row in rows}
    conditions = [_moves.c.name == name, *([_moves.c.alias == alias] if alias else [])]
    return _moves_where(connection, *conditions, numbers=numbers)


def _moves_where(connection: Connection, *conditions: Any, numbers: dict[str, int]) -> list[AliasMove]:
    rows = connection.execute(select(_moves).where(*conditions).order_by(_moves.c.stamp)).all()
    bodies = [_decode_moved(row.body) for row in rows]
    replaced = {identifier for moved in bodies for identifier in moved.replaces}
    return [
        AliasMove(
            id=row.id,
            moved=moved,
            number=numbers.get(moved.version, 0),
            current=row.id not in replaced,
            actor=row.actor,
            at=row.at,
            stamp=row.stamp,
        )
        for row, moved in zip(rows, bodies, strict=True)
    ]


PROJECTION = Projection(
    name="model",
    version=1,
    tables=_metadata,
    kinds=frozenset(_ROWS),
    fold=fold,
    answers={
        ModelByRef: model_by_ref,
        ModelById: model_by_id,
        ModelByContent: model_by_content,
        ModelVersions: model_versions,
        ModelsOfRun: models_of_run,
        Models: models,
        AliasesOf: aliases_of,
        AliasHolderOf: alias_holder,
        AliasHistory: alias_history,
    },
    portraits={"model": portray},
    decisions={
        RegisterModel: decide_register,
        MoveAlias: decide_move,
        Rollback: decide_rollback,
        DeleteModelVersion: decide_delete,
    },
)
