"""Evaluation datasets: questions with what should come out, as clients collect them for judging answers.

Facts, and their part of the catalog. A dataset of this store is a version of bytes; what stands here is a set of
records that grows and changes one record at a time, as MLflow's clients keep it. A record is told from others by its
inputs alone; records are bytes in the vault, and the fact says where in them each one is.
"""

from collections.abc import Sequence

import msgspec
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    func,
    select,
)

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.core.files import FileRef
from charkh.ports.folding import add_rows, keep_rows
from charkh.ports.projections import Projection, Query

MADE_KIND = "run.evaluation_dataset/1"
CHANGED_KIND = "run.evaluation_dataset_changed/1"
RECORDS_KIND = "run.evaluation_records/1"
DELETED_KIND = "run.evaluation_dataset_deleted/1"


class EvaluationDatasetMade(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.evaluation_dataset/1`: `dataset` is its id, `user` who made it as the client says."""

    dataset: str
    name: str
    user: str = ""


class EvaluationDatasetChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.evaluation_dataset_changed/1`.

    Attributes:
        dataset: id.
        tags: labels that were set, None removing one.
        projects: by id, whether it belongs to a project.
    """

    dataset: str
    tags: dict[str, str | None] = {}
    projects: dict[str, bool] = {}


class EvaluationRecords(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.evaluation_records/1`: records were added, changed or removed; of each the latest word stays.

    Attributes:
        dataset: id.
        records: ids, in the order in which they stand in `content`.
        content: JSON list of the records, whole.
        removed: ids of records that are gone.
    """

    dataset: str
    records: tuple[str, ...] = ()
    content: FileRef | None = None
    removed: tuple[str, ...] = ()


class EvaluationDatasetDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.evaluation_dataset_deleted/1`: it is gone for good, and holds nothing any more."""

    dataset: str


class EvaluationDataset(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation dataset as the catalog answers it; moments are seconds since the epoch, `stamp` changes with it."""

    id: str
    name: str
    user: str
    actor: str
    created: float
    updated: float
    stamp: str
    tags: dict[str, str]
    projects: tuple[str, ...]
    records: int


class RecordPlace(msgspec.Struct, frozen=True, array_like=True):
    """Where a record is: at `place` of the list that `content` holds."""

    id: str
    content: FileRef
    place: int


METADATA = MetaData()
made = Table(
    "run_evaluation_dataset",
    METADATA,
    Column("id", String, primary_key=True),
    Column("actor", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)
tags = Table(
    "run_evaluation_tag",
    METADATA,
    Column("dataset", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", String),
    Column("stamp", String, nullable=False),
)
projects = Table(
    "run_evaluation_project",
    METADATA,
    Column("dataset", String, primary_key=True),
    Column("project", String, primary_key=True, index=True),
    Column("belongs", Boolean, nullable=False),
    Column("stamp", String, nullable=False),
)
records = Table(
    "run_evaluation_record",
    METADATA,
    Column("dataset", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("content", LargeBinary),
    Column("place", Integer, nullable=False),
    Column("stamp", String, nullable=False),
)
gone = Table("run_evaluation_gone", METADATA, Column("dataset", String, primary_key=True))
_made = msgspec.msgpack.Decoder(EvaluationDatasetMade).decode
_file = msgspec.msgpack.Decoder(FileRef).decode


class EvaluationDatasets(Query[tuple[EvaluationDataset, ...]], frozen=True, kw_only=True):
    """The evaluation datasets that are there, or the one with an id."""

    dataset: str = ""


class RecordsOf(Query[tuple[RecordPlace, ...]], frozen=True, kw_only=True):
    """The records of an evaluation dataset, by id; those with some ids only, where they are named."""

    dataset: str
    among: tuple[str, ...] | None = None


def evaluation_datasets(connection: Connection, query: EvaluationDatasets) -> tuple[EvaluationDataset, ...]:
    there = [made.c.id.not_in(select(gone.c.dataset))]
    there += [made.c.id == query.dataset] if query.dataset else []
    rows = list(connection.execute(select(made).where(*there)))
    labels: dict[str, dict[str, str]] = {}
    belongs: dict[str, list[str]] = {}
    stamps: dict[str, str] = {}
    for row in connection.execute(select(tags).order_by(tags.c.name)):
        stamps[row.dataset] = max(row.stamp, stamps.get(row.dataset, ""))
        if row.value is not None:
            labels.setdefault(row.dataset, {})[row.name] = row.value
    for row in connection.execute(select(projects).order_by(projects.c.stamp, projects.c.project)):
        stamps[row.dataset] = max(row.stamp, stamps.get(row.dataset, ""))
        if row.belongs:
            belongs.setdefault(row.dataset, []).append(row.project)
    counting = select(records.c.dataset, func.count(records.c.content), func.max(records.c.stamp))
    counts: dict[str, int] = {}
    for dataset, count, stamp in connection.execute(counting.group_by(records.c.dataset)):
        counts[dataset] = count
        stamps[dataset] = max(stamp, stamps.get(dataset, ""))
    found: list[EvaluationDataset] = []
    for row in rows:
        body, stamp = _made(row.body), max(row.stamp, stamps.get(row.id, ""))
        found.append(
            EvaluationDataset(
                id=row.id,
                name=body.name,
                user=body.user,
                actor=row.actor,
                created=_moment(row.stamp),
                updated=_moment(stamp),
                stamp=stamp,
                tags=labels.get(row.id, {}),
                projects=tuple(belongs.get(row.id, ())),
                records=counts.get(row.id, 0),
            )
        )
    return tuple(sorted(found, key=lambda each: (each.created, each.id)))


def records_of(connection: Connection, query: RecordsOf) -> tuple[RecordPlace, ...]:
    conditions = [records.c.dataset == query.dataset, records.c.content.is_not(None)]
    conditions += [] if query.among is None else [records.c.id.in_(query.among)]
    rows = connection.execute(select(records).where(*conditions).order_by(records.c.id))
    return tuple(RecordPlace(row.id, _file(row.content), row.place) for row in rows)


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Fold events of this part's kinds, whatever their order and grouping."""
    by_kind: dict[str, list[Event]] = {}
    for event in events:
        by_kind.setdefault(event.kind, []).append(event)
    rows = [
        {
            "id": body_of(event, EvaluationDatasetMade).dataset,
            "actor": event.actor,
            "body": bytes(event.body),
            "stamp": event.stamp,
        }
        for event in by_kind.get(MADE_KIND, ())
    ]
    keep_rows(connection, made, rows, stamp="stamp", keep="earliest")
    changes = [(event.stamp, body_of(event, EvaluationDatasetChanged)) for event in by_kind.get(CHANGED_KIND, ())]
    keep_rows(
        connection,
        tags,
        [
            {"dataset": body.dataset, "name": name, "value": value, "stamp": stamp}
            for stamp, body in changes
            for name, value in body.tags.items()
        ],
        stamp="stamp",
    )
    keep_rows(
        connection,
        projects,
        [
            {"dataset": body.dataset, "project": project, "belongs": belongs, "stamp": stamp}
            for stamp, body in changes
            for project, belongs in body.projects.items()
        ],
        stamp="stamp",
    )
    keep_rows(
        connection,
        records,
        [row for event in by_kind.get(RECORDS_KIND, ()) for row in _record_rows(event)],
        stamp="stamp",
    )
    dead = sorted({body_of(event, EvaluationDatasetDeleted).dataset for event in by_kind.get(DELETED_KIND, ())})
    add_rows(connection, gone, [{"dataset": dataset} for dataset in dead])


def _record_rows(event: Event) -> list[dict[str, object]]:
    body = body_of(event, EvaluationRecords)
    content = None if body.content is None else msgspec.msgpack.encode(body.content)
    kept = [(identifier, place, content) for place, identifier in enumerate(body.records)]
    return [
        {"dataset": body.dataset, "id": identifier, "content": file, "place": place, "stamp": event.stamp}
        for identifier, place, file in [*kept, *((each, 0, None) for each in body.removed)]
    ]


def _moment(stamp: str) -> float:
    return seconds(int(stamp[:16], 16))


PROJECTION = Projection(
    name="run_evaluation",
    version=1,
    tables=METADATA,
    kinds=frozenset({MADE_KIND, CHANGED_KIND, RECORDS_KIND, DELETED_KIND}),
    fold=fold,
    answers={EvaluationDatasets: evaluation_datasets, RecordsOf: records_of},
)
