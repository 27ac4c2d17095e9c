"""Reading models' tables: which keys a name means now, versions with all that is said of them, and moves."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, and_, func, literal, or_, select, union_all

from charkh.core.files import FileRef
from charkh.models.history import heads
from charkh.models.model import AliasMove, AliasMoved, ModelVersion, VersionMade
from charkh.models.registered import name_subject
from charkh.models.tables import (
    DESCRIPTION,
    NAME,
    STAGE,
    TAG,
    decode_file,
    deleted,
    known,
    moves,
    removed,
    said,
    versions,
)
from charkh.models.tables import replaced as replaced_words

AT_ONCE = 400
_UNSTAGED = "None"
_decode_made = msgspec.msgpack.Decoder(VersionMade).decode
_decode_moved = msgspec.msgpack.Decoder(AliasMoved).decode


class Words(msgspec.Struct):
    """What is said of one subject now: of several words that nothing supersedes, the latest."""

    tags: dict[str, str]
    long_tags: dict[str, FileRef]
    description: FileRef | None = None
    described: bool = False
    stage: str = ""
    name: str = ""
    updated: float = 0.0
    staged: float = 0.0


def keys_of(connection: Connection, name: str, *, gone: bool = False) -> list[str]:
    """The keys of the models that are called `name` now; with `gone`, of those that were when they were removed too."""
    candidates = _once_called(connection, name)
    names = names_of(connection, candidates)
    living = candidates if gone else candidates - gone_keys(connection, candidates)
    return sorted(key for key in living if names.get(key) == name)


def gone_keys(connection: Connection, keys: Iterable[str]) -> set[str]:
    """Those of these models that were removed, and of which no version is left."""
    found: set[str] = set()
    for some in _portions(keys):
        found |= set(connection.execute(select(removed.c.model).where(removed.c.model.in_(some))).scalars())
    for some in _portions(found.copy()):
        live = (
            select(versions.c.model)
            .join(deleted, versions.c.id == deleted.c.id, isouter=True)
            .where(versions.c.model.in_(some), deleted.c.id.is_(None))
        )
        found -= set(connection.execute(live).scalars())
    return found


def all_keys(connection: Connection) -> set[str]:
    """Every key there ever was."""
    found = set(connection.execute(select(known.c.model)).scalars())
    return found | set(connection.execute(select(versions.c.model).distinct()).scalars())


def names_of(connection: Connection, keys: Iterable[str]) -> dict[str, str]:
    """By key, the name that the model has now."""
    wanted = set(keys)
    names: dict[str, str] = {}
    for some in _portions(wanted):
        # A version may have come without the fact that registered its model: it still says the name.
        made = select(versions.c.model, versions.c.name, versions.c.stamp, literal(0).label("rank"))
        registered = select(known.c.model, known.c.name, known.c.stamp, literal(1).label("rank"))
        both = union_all(made.where(versions.c.model.in_(some)), registered.where(known.c.model.in_(some)))
        rows = sorted(connection.execute(both), key=lambda row: row.stamp, reverse=True)
        names |= {row.model: row.name for row in sorted(rows, key=lambda row: row.rank)}
    new = words_about(connection, map(name_subject, wanted), fields=(NAME,))
    return names | {about.partition(":")[2]: words.name for about, words in new.items() if words.name}


def new_names(connection: Connection, name: str) -> list[str]:
    """What models that were once called `name` are called now."""
    keys = _once_called(connection, name)
    names = names_of(connection, keys - gone_keys(connection, keys))
    return sorted({new for new in names.values() if new != name})


def _once_called(connection: Connection, name: str) -> set[str]:
    """The keys of all models that ever had a name."""
    renamed = select(said.c.about.label("key"), literal(1).label("subject"))
    registered = select(known.c.model.label("key"), literal(0).label("subject"))
    made = select(versions.c.model.label("key"), literal(0).label("subject")).distinct()
    rows = connection.execute(
        union_all(
            renamed.where(said.c.field == NAME, said.c.value == name),
            registered.where(known.c.name == name),
            made.where(versions.c.name == name),
        )
    )
    return {row.key.partition(":")[2] if row.subject else row.key for row in rows}


def highest_number(connection: Connection, name: str, keys: Sequence[str]) -> int:
    """The greatest number that any model of this name ever had, deleted ones included."""
    condition = or_(versions.c.name == name, versions.c.model.in_(keys))
    return connection.execute(select(func.max(versions.c.number)).where(condition)).scalar() or 0


def words_about(connection: Connection, subjects: Iterable[str], *, fields: Sequence[str] = ()) -> dict[str, Words]:
    """By subject, what is said of it now; of `fields` alone where they are named."""
    found: dict[str, Words] = {}
    for some in _portions(subjects):
        superseded = (
            select(said, replaced_words.c.event.label("superseded"))
            .join(
                replaced_words,
                and_(
                    said.c.about == replaced_words.c.about,
                    said.c.field == replaced_words.c.field,
                    said.c.event == replaced_words.c.event,
                ),
                isouter=True,
            )
            .where(said.c.about.in_(some), *([said.c.field.in_(fields)] if fields else []))
            .order_by(said.c.stamp)
        )
        for row in connection.execute(superseded):
            words = found.get(row.about) or found.setdefault(row.about, Words({}, {}))
            _hear(words, row)
    return found


def _hear(words: Words, row: Any) -> None:
    """Take one word in; they come in the order of their stamps, so that a later one wins over an earlier."""
    if not row.field.startswith(TAG):
        words.updated = max(words.updated, row.at)
    if row.field == STAGE:
        words.staged = max(words.staged, row.at)
    if row.superseded is not None:
        return
    if row.field == DESCRIPTION:
        words.description, words.described = None if row.file is None else decode_file(row.file), True
    elif row.field == STAGE:
        words.stage = "" if row.value == _UNSTAGED else row.value
    elif row.field == NAME:
        words.name = row.value
    else:
        tag = row.field.removeprefix(TAG)
        words.tags.pop(tag, None)
        words.long_tags.pop(tag, None)
        if row.file is not None:
            words.long_tags[tag] = decode_file(row.file)
        elif row.value is not None:
            words.tags[tag] = row.value


def heads_of(connection: Connection, about: str, fields: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """By field, ids of the events that said what nothing supersedes yet."""
    found: dict[str, list[str]] = {}
    for some in _portions(fields):
        superseded = select(replaced_words.c.event).where(
            replaced_words.c.about == said.c.about,
            replaced_words.c.field == said.c.field,
            replaced_words.c.event == said.c.event,
        )
        rows = select(said.c.field, said.c.event).where(
            said.c.about == about, said.c.field.in_(some), ~superseded.exists()
        )
        for row in connection.execute(rows):
            found.setdefault(row.field, []).append(row.event)
    return {field: tuple(sorted(ids)) for field, ids in found.items()}


def versions_where(connection: Connection, *conditions: Any) -> list[ModelVersion]:
    """Versions, by name, then the greatest number and stamp first, with all that is said of them."""
    statement: Select[Any] = (
        select(versions, deleted.c.at.label("deleted"))
        .join(deleted, versions.c.id == deleted.c.id, isouter=True)
        .where(*conditions)
    )
    rows = connection.execute(statement).all()
    keys = {row.model for row in rows}
    names = names_of(connection, keys)
    words = words_about(connection, [f"model:{row.id}" for row in rows])
    held = _aliases_by_version(connection, keys, names)
    found = [_version(row, names[row.model], words.get(f"model:{row.id}"), held.get(row.id, ())) for row in rows]
    # Two stable sorts: names rise while numbers and stamps fall.
    found.sort(key=lambda version: (version.made.number, version.stamp), reverse=True)
    return sorted(found, key=lambda version: version.made.name)


def _version(row: Any, name: str, words: Words | None, aliases: Sequence[str]) -> ModelVersion:
    made = _decode_made(row.body)
    words = words or Words({}, {})
    return ModelVersion(
        made=made if made.name == name else msgspec.structs.replace(made, name=name, model=made.key),
        metrics=row.metrics,
        aliases=tuple(aliases),
        actor=row.actor,
        created=row.created,
        stamp=row.stamp,
        deleted=row.deleted,
        tags=words.tags,
        long_tags=words.long_tags,
        description=words.description if words.described else made.description,
        stage=words.stage,
        staged=words.staged,
        updated=max(row.created, words.updated),
    )


def _aliases_by_version(connection: Connection, keys: Iterable[str], names: Mapping[str, str]) -> dict[str, list[str]]:
    by_alias: dict[tuple[str, str], list[AliasMove]] = {}
    for some in _portions(keys):
        for move in moves_where(connection, moves.c.model.in_(some), numbers={}, names=names):
            by_alias.setdefault((move.moved.name, move.moved.alias), []).append(move)
    held: dict[str, list[str]] = {}
    for (_name, alias), those in sorted(by_alias.items()):
        for move in heads(those)[:1]:
            held.setdefault(move.moved.version, []).append(alias)
    return held


def moves_of(connection: Connection, keys: Sequence[str], alias: str = "") -> list[AliasMove]:
    """The moves of an alias of the models with these keys, or of all of them; the earliest first."""
    rows = connection.execute(select(versions.c.id, versions.c.number).where(versions.c.model.in_(keys)))
    numbers = {row.id: row.number for row in rows}
    conditions = [moves.c.model.in_(keys), *([moves.c.alias == alias] if alias else [])]
    return moves_where(connection, *conditions, numbers=numbers)


def moves_where(
    connection: Connection, *conditions: Any, numbers: Mapping[str, int], names: Mapping[str, str] | None = None
) -> list[AliasMove]:
    """Moves under the names that their models have now, the earliest first."""
    rows = connection.execute(select(moves).where(*conditions).order_by(moves.c.stamp)).all()
    if names is None:
        names = names_of(connection, {row.model for row in rows})
    bodies = [_decode_moved(row.body) for row in rows]
    superseded = {identifier for moved in bodies for identifier in moved.replaces}
    return [
        AliasMove(
            id=row.id,
            moved=moved if moved.name == (name := names.get(row.model, moved.name)) else _called(moved, name),
            number=numbers.get(moved.version, 0),
            current=row.id not in superseded,
            actor=row.actor,
            at=row.at,
            stamp=row.stamp,
        )
        for row, moved in zip(rows, bodies, strict=True)
    ]


def _called(moved: AliasMoved, name: str) -> AliasMoved:
    return msgspec.structs.replace(moved, name=name, model=moved.key)


def _portions(items: Iterable[str]) -> Iterator[list[str]]:
    """A bounded number of parameters a statement, in a fixed order."""
    ordered = sorted(set(items))
    for start in range(0, len(ordered), AT_ONCE):
        yield ordered[start : start + AT_ONCE]
