"""Datasets' part of the catalog: versions, and the decisions that need the lock."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    and_,
    func,
    select,
)

from charkh.assets.flush import refuse_erased_since
from charkh.core.authors import is_authored_by, refs_of, the_one
from charkh.core.clock import seconds
from charkh.core.errors import Conflict, NotFound
from charkh.core.events import Draft, Edge, Event, Fact, body_of
from charkh.core.ids import new_id
from charkh.core.refs import VersionRef
from charkh.datasets.dataset import (
    AGAIN_KIND,
    DELETED_KIND,
    VERSION_KIND,
    DatasetSummary,
    DatasetVersion,
    VersionDeleted,
    VersionMade,
    VersionMadeAgain,
)
from charkh.ports.folding import add_rows, keep_rows
from charkh.ports.projections import Command, Description, Projection, Query

_metadata = MetaData()
_versions = Table(
    "dataset_version",
    _metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("made_by", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("created", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_deleted = Table(
    "dataset_deleted",
    _metadata,
    Column("id", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)

_decode_made = msgspec.msgpack.Decoder(VersionMade).decode
_live = _deleted.c.id.is_(None)


class AddVersion(Command, frozen=True, kw_only=True):
    """Make a version of what is in the vault; its id and number are decided here.

    Attributes:
        made: what is said about it; `parent` is the newest version that the caller saw, or empty.
        origins: (relation, subject) of what it was made from, beside the run.
        erased: how many digests were erased when its files were looked at (`charkh.assets.flush`); None where it
            has no others than an older version.
    """

    made: VersionMade
    origins: tuple[tuple[str, str], ...] = ()
    erased: int | None = None


class DeleteVersion(Command, frozen=True, kw_only=True):
    """Forget a version's bytes; its number is never given again."""

    version: str


class DatasetByRef(Query[DatasetVersion | None], frozen=True, kw_only=True):
    """The version that a reference means; deleted ones are found by number only. `Conflict` when it means several."""

    ref: VersionRef


class DatasetById(Query[DatasetVersion | None], frozen=True, kw_only=True):
    """The version with this id."""

    version: str


class NewestVersion(Query[DatasetVersion | None], frozen=True, kw_only=True):
    """The live version with the greatest number; of several that were made apart, the last by the clock."""

    name: str


class DatasetVersions(Query[tuple[DatasetVersion, ...]], frozen=True, kw_only=True):
    """Versions of a dataset, newest number first."""

    name: str
    deleted: bool = False


class DatasetsOfRun(Query[tuple[DatasetVersion, ...]], frozen=True, kw_only=True):
    """The live versions that a run made."""

    run: str


class Datasets(Query[tuple[DatasetSummary, ...]], frozen=True, kw_only=True):
    """Datasets with a live version whose name begins with `prefix`, by name."""

    prefix: str = ""


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add versions and deletions; nothing is computed from them here."""
    made = [_version_row(event) for event in events if event.kind == VERSION_KIND]
    gone = [_deleted_row(event) for event in events if event.kind == DELETED_KIND]
    add_rows(connection, _versions, made)
    keep_rows(connection, _deleted, gone, stamp="stamp", keep="earliest")


def _version_row(event: Event) -> dict[str, object]:
    made = body_of(event, VersionMade)
    return {
        "id": made.version,
        "name": made.name,
        "number": made.number,
        "made_by": made.made_by,
        "body": bytes(event.body),
        "actor": event.actor,
        "created": seconds(event.clock),
        "stamp": event.stamp,
    }


def _deleted_row(event: Event) -> dict[str, object]:
    return {"id": body_of(event, VersionDeleted).version, "at": seconds(event.clock), "stamp": event.stamp}


def decide_add(connection: Connection, command: AddVersion) -> Sequence[Draft]:
    made = command.made
    newest = newest_version(connection, NewestVersion(name=made.name))
    if (newest.id if newest else "") != made.parent:
        raise Conflict(
            f"somebody added to {made.name!r} meanwhile",
            code="dataset.moved",
            hint="Run it again on what is there now.",
        )
    if newest is not None and _says_the_same(newest.made, made):
        return _made_again(newest, command)
    refuse_erased_since(connection, command.erased)
    highest = connection.execute(select(func.max(_versions.c.number)).where(_versions.c.name == made.name)).scalar()
    made = msgspec.structs.replace(made, version=new_id(), number=(highest or 0) + 1)
    facts: dict[str, Fact] = {"files": made.tree.files, "bytes": made.tree.size}
    if made.rows is not None:
        facts["rows"] = made.rows
    subject = f"dataset:{made.version}"
    return [
        Draft(
            kind=VERSION_KIND,
            subject=subject,
            body=made,
            edges=_edges(subject, command),
            facts=facts,
            holds=(made.tree.root,),
        )
    ]


def _says_the_same(there: VersionMade, made: VersionMade) -> bool:
    # A merge is a version even where it says what one of its parents says: it ends that there are two.
    if made.merged and there.merged != made.merged:
        return False
    return (there.tree.root, there.kind, there.reading) == (made.tree.root, made.kind, made.reading)


def _made_again(there: DatasetVersion, command: AddVersion) -> Sequence[Draft]:
    """The version stays; origins that it may not have had are edges of their own."""
    made = command.made
    edges = _edges(there.subject, command)
    if not edges or (made.made_by == there.made.made_by and not command.origins):
        return ()
    body = VersionMadeAgain(name=made.name, version=there.id, made_by=made.made_by)
    return [Draft(kind=AGAIN_KIND, subject=there.subject, body=body, edges=edges)]


def _edges(subject: str, command: AddVersion) -> tuple[Edge, ...]:
    run = command.made.made_by
    produced = [Edge(subject, "produced_by", f"run:{run}")] if run else []
    origins = [Edge(subject, relation, origin) for relation, origin in dict.fromkeys(command.origins)]
    return (*produced, *(edge for edge in origins if edge.target != subject))


def decide_delete(connection: Connection, command: DeleteVersion) -> Sequence[Draft]:
    version = dataset_by_id(connection, DatasetById(version=command.version))
    if version is None:
        raise NotFound(
            f"there is no dataset version {command.version}",
            code="dataset.not_found",
            hint="`charkh dataset list` shows what there is.",
        )
    if version.deleted is not None:
        return ()
    body = VersionDeleted(name=version.made.name, version=version.id, number=version.made.number)
    return [Draft(kind=DELETED_KIND, subject=version.subject, body=body, drops=(version.subject,))]


def dataset_by_ref(connection: Connection, query: DatasetByRef) -> DatasetVersion | None:
    name, selector, author = query.ref
    number = query.ref.number
    if number is None and selector == "latest":
        newest = newest_version(connection, NewestVersion(name=name))
        return None if newest is None else the_one(query.ref, _numbered(connection, name, newest, author), "dataset")
    if number is None:
        return None
    found = _versions_where(connection, _versions.c.name == name, _versions.c.number == number)
    meant = [version for version in found if not author or is_authored_by(version, author)]
    return the_one(query.ref, [version for version in meant if version.deleted is None] or meant, "dataset")


def _numbered(connection: Connection, name: str, newest: DatasetVersion, author: str) -> list[DatasetVersion]:
    """The live versions with the greatest number; with an author, with that author's greatest."""
    if author:
        live = dataset_versions(connection, DatasetVersions(name=name))
        mine = [version for version in live if is_authored_by(version, author)]
        return [version for version in mine if version.made.number == mine[0].made.number]
    same = _versions.c.number == newest.made.number
    return _versions_where(connection, _versions.c.name == name, same, _live)


def dataset_by_id(connection: Connection, query: DatasetById) -> DatasetVersion | None:
    return next(iter(_versions_where(connection, _versions.c.id == query.version)), None)


def newest_version(connection: Connection, query: NewestVersion) -> DatasetVersion | None:
    return next(iter(_versions_where(connection, _versions.c.name == query.name, _live, limit=1)), None)


def dataset_versions(connection: Connection, query: DatasetVersions) -> tuple[DatasetVersion, ...]:
    conditions = [_versions.c.name == query.name, *(() if query.deleted else (_live,))]
    return tuple(_versions_where(connection, *conditions))


def datasets_of_run(connection: Connection, query: DatasetsOfRun) -> tuple[DatasetVersion, ...]:
    return tuple(_versions_where(connection, _versions.c.made_by == query.run, _live))


def datasets(connection: Connection, query: Datasets) -> tuple[DatasetSummary, ...]:
    begins = _versions.c.name.startswith(query.prefix, autoescape=True)
    counts = (
        select(_versions.c.name, func.max(_versions.c.number).label("number"), func.count().label("versions"))
        .join(_deleted, _versions.c.id == _deleted.c.id, isouter=True)
        .where(begins, _live)
        .group_by(_versions.c.name)
    )
    versions = {row.name: row.versions for row in connection.execute(counts)}
    top = counts.subquery()
    heads = _versions.c.id.in_(
        select(_versions.c.id).join(top, and_(top.c.name == _versions.c.name, top.c.number == _versions.c.number))
    )
    latest: dict[str, list[DatasetVersion]] = {}
    for version in _versions_where(connection, heads, _live):
        latest.setdefault(version.made.name, []).append(version)
    return tuple(
        DatasetSummary(name=name, versions=versions[name], latest=tuple(found)) for name, found in latest.items()
    )


def portray(connection: Connection, identifier: str) -> Description | None:
    version = dataset_by_id(connection, DatasetById(version=identifier))
    if version is None:
        return None
    made = version.made
    parent = dataset_by_id(connection, DatasetById(version=made.parent)) if made.parent else None
    refs = {each.id: _told_apart(connection, each) for each in (version, parent) if each is not None}
    content = f"{made.tree.files} files, {made.tree.size} bytes"
    lines = [
        ("content", f"{made.rows} rows of {made.columns} columns, {content}" if made.rows is not None else content),
        ("tree", made.tree.root),
        ("added by", version.actor),
        *((("sources", ", ".join(made.sources)),) if made.sources else ()),
        *((("appended to" if made.appended else "after", refs[parent.id]),) if parent else ()),
        *((("message", made.message),) if made.message else ()),
        *((("deleted", "its bytes may be gone"),) if version.deleted is not None else ()),
    ]
    return Description(title=refs[version.id], lines=tuple(lines))


def _told_apart(connection: Connection, version: DatasetVersion) -> str:
    """What a person calls the version: with its author where another one has its name and number."""
    made = version.made
    same = _versions_where(connection, _versions.c.name == made.name, _versions.c.number == made.number)
    return refs_of(same)[version.id]


def _versions_where(connection: Connection, *conditions: Any, limit: int | None = None) -> list[DatasetVersion]:
    """Versions, by name, then the greatest number and stamp first."""
    statement: Select[Any] = (
        select(_versions, _deleted.c.at.label("deleted"))
        .join(_deleted, _versions.c.id == _deleted.c.id, isouter=True)
        .where(*conditions)
        .order_by(_versions.c.name, _versions.c.number.desc(), _versions.c.stamp.desc())
        .limit(limit)
    )
    return [
        DatasetVersion(
            made=_decode_made(row.body),
            actor=row.actor,
            created=row.created,
            stamp=row.stamp,
            deleted=row.deleted,
        )
        for row in connection.execute(statement)
    ]


PROJECTION = Projection(
    name="dataset",
    version=1,
    tables=_metadata,
    kinds=frozenset({VERSION_KIND, DELETED_KIND}),
    fold=fold,
    answers={
        DatasetByRef: dataset_by_ref,
        DatasetById: dataset_by_id,
        NewestVersion: newest_version,
        DatasetVersions: dataset_versions,
        DatasetsOfRun: datasets_of_run,
        Datasets: datasets,
    },
    portraits={"dataset": portray},
    decisions={AddVersion: decide_add, DeleteVersion: decide_delete},
)
