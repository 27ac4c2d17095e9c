"""What needs the lock: the numbers of versions, the names of models, who holds an alias, and what is gone."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from charkh.core.errors import Conflict, NotFound
from charkh.core.events import Draft, Edge, Fact
from charkh.core.files import FileRef
from charkh.core.ids import new_id
from charkh.models.history import heads, rollback_target
from charkh.models.lookups import (
    all_keys,
    heads_of,
    highest_number,
    keys_of,
    moves_of,
    new_names,
    versions_where,
)
from charkh.models.model import (
    ALIAS_KIND,
    DELETED_KIND,
    VERSION_KIND,
    AliasMove,
    AliasMoved,
    ModelVersion,
    VersionDeleted,
    VersionMade,
)
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
from charkh.models.tables import DESCRIPTION, NAME, STAGE, TAG, deleted, versions
from charkh.ports.projections import Command, Decide

ARCHIVED = "Archived"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of something while it is made: tags, those too long for an event, and a description."""

    tags: dict[str, str | None] = {}
    long: dict[str, FileRef] = {}
    description: FileRef | None = None


class RegisterModel(Command, frozen=True, kw_only=True):
    """Make a version of what is in the vault; its id and number are decided here.

    Attributes:
        made: all but id, number and key.
        metrics: published as its facts.
        said: of the new version.
        always: a new version, whether or not the same was said before.
        declared: refuse where the model is not there yet, instead of making it.
        least: the smallest number that it may get: what another registry calls it, where that number is free.
    """

    made: VersionMade
    metrics: dict[str, Fact]
    said: Said = Said()
    always: bool = False
    declared: bool = False
    least: int = 0


class DeclareModel(Command, frozen=True, kw_only=True):
    """Let a model be there without a version; refused where one has the name."""

    name: str
    said: Said = Said()


class Describe(Command, frozen=True, kw_only=True):
    """Give a subject another description; None takes it away."""

    about: str
    text: FileRef | None


class Tag(Command, frozen=True, kw_only=True):
    """Set tags of a subject, None removing one."""

    about: str
    said: Said


class Stage(Command, frozen=True, kw_only=True):
    """Move a version to a stage; with `archive`, the others that are there become archived."""

    version: str
    stage: str
    archive: bool = False
    reason: str = ""


class RenameModel(Command, frozen=True, kw_only=True):
    """Give a model another name, which no other model may have."""

    name: str
    new: str
    reason: str = ""


class RemoveModel(Command, frozen=True, kw_only=True):
    """Remove a model with its versions and aliases; refused while an alias is held, unless `held` allows it."""

    name: str
    reason: str = ""
    held: bool = False


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
    override: bool = False


class Rollback(Command, frozen=True, kw_only=True):
    """Put the previous holder of an alias back; `expect` as in `MoveAlias`."""

    name: str
    alias: str
    expect: str | None = None
    reason: str = ""
    decided_by: str = ""


class DeleteModelVersion(Command, frozen=True, kw_only=True):
    """Forget a version's bytes; refused while it holds an alias, unless `aliases` takes its aliases away."""

    version: str
    reason: str = ""
    aliases: bool = False


def decide_register(connection: Connection, command: RegisterModel) -> Sequence[Draft]:
    made = command.made
    keys = keys_of(connection, made.name)
    if not keys and command.declared:
        raise no_model(connection, made.name)
    if not command.always and _said_before(connection, keys, made.content):
        return ()
    key = keys[0] if keys else _free_key(connection, made.name)
    number = max(command.least, highest_number(connection, made.name, keys) + 1)
    made = msgspec.structs.replace(made, version=new_id(), number=number, model=_shortened(key, made.name))
    subject = f"model:{made.version}"
    edges = [Edge(subject, "trained_on", f"dataset:{dataset}") for dataset in made.datasets]
    if made.run:
        edges.insert(0, Edge(subject, "produced_by", f"run:{made.run}"))
    if made.logged:
        edges.append(Edge(subject, "registered_from", f"logged_model:{made.logged}"))
    blobs = [blob.held for blob in (made.example, made.description) if blob is not None]
    holds = ([] if made.elsewhere else [made.tree.root]) + blobs
    draft = Draft(
        kind=VERSION_KIND, subject=subject, body=made, edges=tuple(edges), facts=command.metrics, holds=tuple(holds)
    )
    return [draft, *_said_drafts(connection, subject, command.said)]


def decide_declare(connection: Connection, command: DeclareModel) -> Sequence[Draft]:
    if keys_of(connection, command.name):
        raise Conflict(
            f"there is a model {command.name!r} already",
            code="model.exists",
            hint=f"`charkh model show {command.name}` shows it.",
        )
    key = _free_key(connection, command.name)
    body = ModelRegistered(name=command.name, model=_shortened(key, command.name))
    subject = name_subject(key)
    draft = Draft(kind=REGISTERED_KIND, subject=subject, body=body)
    return [draft, *_said_drafts(connection, subject, command.said)]


def decide_describe(connection: Connection, command: Describe) -> Sequence[Draft]:
    return _said_drafts(connection, command.about, Said(description=command.text), describe=True)


def decide_tag(connection: Connection, command: Tag) -> Sequence[Draft]:
    return _said_drafts(connection, command.about, command.said)


def decide_stage(connection: Connection, command: Stage) -> Sequence[Draft]:
    version = _live(connection, command.version)
    drafts = [_stage_draft(connection, version, command.stage, command.reason)]
    if command.archive:
        same = versions_where(connection, versions.c.model.in_(keys_of(connection, version.made.name)))
        drafts += [
            _stage_draft(connection, other, ARCHIVED, command.reason)
            for other in same
            if other.id != version.id and other.stage == command.stage and other.deleted is None
        ]
    return drafts


def decide_rename(connection: Connection, command: RenameModel) -> Sequence[Draft]:
    keys = keys_of(connection, command.name)
    if not keys:
        raise no_model(connection, command.name)
    if command.new == command.name:
        return ()
    if keys_of(connection, command.new):
        raise Conflict(
            f"there is a model {command.new!r} already",
            code="model.exists",
            hint="Give it a name that no other model has.",
        )
    return [_rename_draft(connection, key, command) for key in keys]


def decide_remove(connection: Connection, command: RemoveModel) -> Sequence[Draft]:
    keys = keys_of(connection, command.name)
    if not keys:
        raise no_model(connection, command.name)
    all_of_it = versions_where(connection, versions.c.model.in_(keys))
    live = [version for version in all_of_it if version.deleted is None]
    held = [alias for version in live for alias in version.aliases]
    if held and not command.held:
        raise Conflict(
            f"{command.name}@{held[0]} is held by a version",
            code="model.held_by_alias",
            hint="Remove the alias first.",
            facts={"aliases": held},
        )
    body = ModelRemoved(
        name=command.name,
        models=tuple(keys),
        versions=tuple(sorted(version.id for version in live)),
        reason=command.reason,
    )
    drops = (*map(name_subject, keys), *(version.subject for version in live))
    return [
        *_alias_removals(connection, keys, {version.id for version in live}, command.reason),
        Draft(kind=REMOVED_KIND, subject=name_subject(keys[0]), body=body, drops=drops),
    ]


def decide_move(connection: Connection, command: MoveAlias) -> Sequence[Draft]:
    keys = keys_of(connection, command.name)
    current = heads(moves_of(connection, keys, command.alias))
    held = _expected_holder(command, current)
    if command.version:
        version = next(iter(versions_where(connection, versions.c.id == command.version)), None)
        if version is None or version.made.name != command.name or version.deleted is not None:
            raise NotFound(
                f"model {command.name!r} has no live version {command.version}",
                code="model.not_found",
                hint=f"`charkh model show {command.name}` lists its versions.",
            )
    if command.version == held and len(current) <= 1:
        return ()
    return [_move_draft(command, _key_of_move(connection, command.version, current), command.version, current)]


def decide_rollback(connection: Connection, command: Rollback) -> Sequence[Draft]:
    moves = moves_of(connection, keys_of(connection, command.name), command.alias)
    current = heads(moves)
    _expected_holder(command, current)
    target = rollback_target(moves, frozenset(connection.execute(select(deleted.c.id)).scalars()))
    if not target:
        raise NotFound(
            f"{command.name}@{command.alias} has no earlier holder to go back to",
            code="model.no_earlier_holder",
            hint=f"Move the alias to a version by hand; `charkh model show {command.name}` lists them.",
        )
    key = _key_of_move(connection, target, current)
    return [_move_draft(command, key, target, current, rollback=True)]


def decide_delete(connection: Connection, command: DeleteModelVersion) -> Sequence[Draft]:
    version = next(iter(versions_where(connection, versions.c.id == command.version)), None)
    if version is None:
        raise NotFound(f"there is no model version {command.version}", code="model.not_found")
    if version.deleted is not None:
        return ()
    if version.aliases and not command.aliases:
        raise Conflict(
            f"{version.ref} is {version.made.name}@{version.aliases[0]}",
            code="model.held_by_alias",
            hint="Move or remove the alias first.",
            facts={"aliases": list(version.aliases)},
        )
    made = version.made
    body = VersionDeleted(name=made.name, version=made.version, number=made.number, reason=command.reason)
    draft = Draft(kind=DELETED_KIND, subject=version.subject, body=body, drops=(version.subject,))
    return [*_alias_removals(connection, keys_of(connection, made.name), {version.id}, command.reason), draft]


def no_model(connection: Connection, name: str) -> NotFound:
    """That there is no model of this name, and what it is called now where it was renamed."""
    renamed = new_names(connection, name)
    return NotFound(
        f"there is no model {name!r}" + (f": it was renamed to {renamed[0]!r}" if renamed else ""),
        code="model.renamed" if renamed else "model.not_found",
        hint=f"Write {renamed[0]} instead." if renamed else "`charkh model list` shows the models.",
        facts={"renamed": renamed} if renamed else None,
    )


def _said_before(connection: Connection, keys: Sequence[str], content: str) -> bool:
    condition = (versions.c.model.in_(keys), versions.c.content == content, deleted.c.id.is_(None))
    joined = versions.join(deleted, versions.c.id == deleted.c.id, isouter=True)
    return connection.execute(select(versions.c.id).select_from(joined).where(*condition)).first() is not None


def _free_key(connection: Connection, name: str) -> str:
    """The name itself, or an id where a model that was renamed or removed has it as its key."""
    return new_id() if name in all_keys(connection) else name


def _shortened(key: str, name: str) -> str:
    return "" if key == name else key


def _live(connection: Connection, identifier: str) -> ModelVersion:
    version = next(iter(versions_where(connection, versions.c.id == identifier)), None)
    if version is None or version.deleted is not None:
        raise NotFound(f"there is no live model version {identifier}", code="model.not_found")
    return version


def _said_drafts(connection: Connection, about: str, words: Said, *, describe: bool = False) -> list[Draft]:
    drafts: list[Draft] = []
    names = [*words.tags, *words.long]
    if names:
        earlier = heads_of(connection, about, [TAG + name for name in names])
        replaces = {field.removeprefix(TAG): ids for field, ids in earlier.items()}
        body: Any = ModelTagged(about=about, tags=words.tags, long=words.long, replaces=replaces)
        held = tuple(file.held for file in words.long.values())
        drafts.append(Draft(kind=TAGGED_KIND, subject=about, body=body, holds=held))
    if describe or words.description is not None:
        seen = heads_of(connection, about, [DESCRIPTION]).get(DESCRIPTION, ())
        body = ModelDescribed(about=about, text=words.description, replaces=seen)
        held = () if words.description is None else (words.description.held,)
        drafts.append(Draft(kind=DESCRIBED_KIND, subject=about, body=body, holds=held))
    return drafts


def _stage_draft(connection: Connection, version: ModelVersion, stage: str, reason: str) -> Draft:
    seen = heads_of(connection, version.subject, [STAGE]).get(STAGE, ())
    body = ModelStaged(about=version.subject, stage=stage, replaces=seen, reason=reason)
    return Draft(kind=STAGED_KIND, subject=version.subject, body=body)


def _rename_draft(connection: Connection, key: str, command: RenameModel) -> Draft:
    subject = name_subject(key)
    seen = heads_of(connection, subject, [NAME]).get(NAME, ())
    body = ModelRenamed(model=key, old=command.name, name=command.new, replaces=seen, reason=command.reason)
    return Draft(kind=RENAMED_KIND, subject=subject, body=body)


def _alias_removals(connection: Connection, keys: Sequence[str], holders: set[str], reason: str) -> list[Draft]:
    """The moves that let nobody hold what these versions hold now."""
    moves = moves_of(connection, keys)
    drafts: list[Draft] = []
    for alias in sorted({move.moved.alias for move in moves}):
        current = heads([move for move in moves if move.moved.alias == alias])
        if current and current[0].moved.version in holders:
            command = MoveAlias(name=current[0].moved.name, alias=alias, version="", reason=reason)
            drafts.append(_move_draft(command, current[0].moved.key, "", current))
    return drafts


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


def _key_of_move(connection: Connection, version: str, current: Sequence[AliasMove]) -> str:
    if not version:
        return current[0].moved.key
    return connection.execute(select(versions.c.model).where(versions.c.id == version)).scalar_one()


def _move_draft(
    command: MoveAlias | Rollback, key: str, version: str, current: Sequence[AliasMove], *, rollback: bool = False
) -> Draft:
    moved = AliasMoved(
        name=command.name,
        alias=command.alias,
        version=version,
        replaces=tuple(sorted(move.id for move in current)),
        reason=command.reason,
        decided_by=command.decided_by,
        rollback=rollback,
        override=isinstance(command, MoveAlias) and command.override,
        model=_shortened(key, command.name),
    )
    subject = version or next(move.moved.version for move in current)
    return Draft(kind=ALIAS_KIND, subject=f"model:{subject}", body=moved)


DECISIONS: Mapping[type[Command], Decide] = {
    RegisterModel: decide_register,
    DeclareModel: decide_declare,
    Describe: decide_describe,
    Tag: decide_tag,
    Stage: decide_stage,
    RenameModel: decide_rename,
    RemoveModel: decide_remove,
    MoveAlias: decide_move,
    Rollback: decide_rollback,
    DeleteModelVersion: decide_delete,
}
