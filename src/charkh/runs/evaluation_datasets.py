"""Make, change and read evaluation datasets and their records."""

import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from charkh.core.errors import NotFound
from charkh.core.events import Draft
from charkh.core.redact import redact
from charkh.ports.store import Store
from charkh.runs.evaluation_dataset import (
    CHANGED_KIND,
    DELETED_KIND,
    MADE_KIND,
    RECORDS_KIND,
    EvaluationDataset,
    EvaluationDatasetChanged,
    EvaluationDatasetDeleted,
    EvaluationDatasetMade,
    EvaluationDatasets,
    EvaluationRecords,
    RecordPlace,
    RecordsOf,
)
from charkh.runs.json_values import kept_value

MAX_NAME = 500
MAX_TAG = 1000
AT_ONCE = 500
USER = "mlflow.user"
"""The label by which clients say who changes something."""

Fields = dict[str, Any]


class Merged(NamedTuple):
    """How many records were new, and how many were there before."""

    added: int
    changed: int


def make_evaluation_dataset(
    store: Store, name: str, *, tags: Mapping[str, str] | None = None, projects: Sequence[str] = ()
) -> EvaluationDataset:
    """Make an evaluation dataset without records; `projects` are ids of those that it belongs to.

    Raises:
        Unavailable: the store cannot be written.
    """
    dataset = f"d-{secrets.token_hex(16)}"
    body = EvaluationDatasetMade(dataset=dataset, name=redact(name)[:MAX_NAME], user=_label((tags or {}).get(USER, "")))
    drafts = [Draft(kind=MADE_KIND, subject=_subject(dataset), body=body)]
    if tags or projects:
        drafts.append(_changed(dataset, tags or {}, dict.fromkeys(projects, True)))
    store.record(*drafts)
    return find_evaluation_dataset(store, dataset)


def change_evaluation_dataset(
    store: Store,
    dataset: str,
    *,
    tags: Mapping[str, str | None] | None = None,
    projects: Mapping[str, bool] | None = None,
) -> None:
    """Set labels (None removes one), and say to which projects it belongs or no longer belongs.

    Raises:
        NotFound: there is none with this id.
        Unavailable: the store cannot be written.
    """
    find_evaluation_dataset(store, dataset)
    store.record(_changed(dataset, tags or {}, projects or {}))


def delete_evaluation_dataset(store: Store, dataset: str) -> None:
    """Delete it for good: `charkh gc` frees its bytes.

    Raises:
        Unavailable: the store cannot be written.
    """
    body = EvaluationDatasetDeleted(dataset=dataset)
    store.record(
        Draft(kind=DELETED_KIND, subject=_subject(dataset), body=body, drops=(_subject(dataset),)), durable=True
    )


def merge_records(store: Store, dataset: str, given: Sequence[Fields]) -> Merged:
    """Add records, or change those that have the same inputs: labels and expectations are added to what is there.

    Raises:
        NotFound: there is no such dataset.
        Unavailable: the store cannot be written.
    """
    find_evaluation_dataset(store, dataset)
    by_id: dict[str, list[Fields]] = {}
    for each in given:
        by_id.setdefault(_record_id(dataset, each.get("inputs") or {}), []).append(each)
    held = {str(each["dataset_record_id"]): each for each in read_records(store, dataset, tuple(by_id))}
    now = int(time.time() * 1000)
    merged: list[Fields] = []
    for identifier, several in by_id.items():
        record = held.get(identifier)
        for each in several:
            record = _merged(record, each, dataset, identifier, now)
        merged.append(cast(Fields, kept_value(record)))
    for start in range(0, len(merged), AT_ONCE):
        some = merged[start : start + AT_ONCE]
        file = store.vault.put_bytes(msgspec.json.encode(some), "records.json")
        store.vault.flush()
        body = EvaluationRecords(
            dataset=dataset, records=tuple(str(each["dataset_record_id"]) for each in some), content=file
        )
        store.record(Draft(kind=RECORDS_KIND, subject=_subject(dataset), body=body, holds=(file.held,)))
    changed = sum(identifier in held for identifier in by_id)
    repeated = sum(len(several) - 1 for several in by_id.values())
    return Merged(len(by_id) - changed, changed + repeated)


def remove_records(store: Store, dataset: str, records: Sequence[str]) -> int:
    """Take records away; how many were there.

    Raises:
        Unavailable: the store cannot be written.
    """
    there = [each.id for each in _places(store, dataset, tuple(records))]
    if there:
        body = EvaluationRecords(dataset=dataset, removed=tuple(there))
        store.record(Draft(kind=RECORDS_KIND, subject=_subject(dataset), body=body))
    return len(there)


def read_records(store: Store, dataset: str, among: tuple[str, ...] | None = None) -> list[Fields]:
    """The records of a dataset in the order in which they were added; those with some ids, where they are named.

    Raises:
        NotFound: bytes are not here.
    """
    places = _places(store, dataset, among)
    files = list(dict.fromkeys(each.content for each in places))
    lists: dict[int, list[Any]] = {}
    for at, content in store.vault.read_many(files):
        try:
            lists[at] = msgspec.json.decode(content, type=list[Any])
        except msgspec.MsgspecError:
            # What was erased shows as nothing.
            lists[at] = []
    where = {file: at for at, file in enumerate(files)}
    found = [lists[where[each.content]][each.place] for each in places if each.place < len(lists[where[each.content]])]
    return sorted(
        found, key=lambda each: (each.get("created_time", 0), each.get("place", 0), each["dataset_record_id"])
    )


def find_evaluation_dataset(store: Store, dataset: str) -> EvaluationDataset:
    """The evaluation dataset with this id.

    Raises:
        NotFound: there is none.
    """
    found = store.queries.ask(EvaluationDatasets(dataset=dataset)) if dataset else ()
    if not found:
        raise NotFound(
            f"there is no evaluation dataset {redact(dataset)[:80]!r}",
            code="evaluation_dataset.not_found",
            hint="Ask for the list of them.",
        )
    return found[0]


def _places(store: Store, dataset: str, among: tuple[str, ...] | None) -> list[RecordPlace]:
    if among is None:
        return list(store.queries.ask(RecordsOf(dataset=dataset)))
    return [
        each
        for start in range(0, len(among), AT_ONCE)
        for each in store.queries.ask(RecordsOf(dataset=dataset, among=among[start : start + AT_ONCE]))
    ]


def _merged(record: Fields | None, given: Fields, dataset: str, identifier: str, now: int) -> Fields:
    labels: Fields = given.get("tags") or {}
    user = labels.get(USER)
    if record is None:
        record = {
            "dataset_record_id": identifier,
            "dataset_id": dataset,
            "inputs": given.get("inputs") or {},
            "created_time": now,
            **({"created_by": user} if user else {}),
        }
    merged = dict(record) | {"last_update_time": now}
    for name in ("expectations", "tags"):
        if given.get(name):
            merged[name] = (record.get(name) or {}) | given[name]
    for name in ("outputs", "source"):
        if given.get(name) is not None:
            merged[name] = given[name]
    if user:
        merged["last_updated_by"] = user
    return merged


def _record_id(dataset: str, inputs: object) -> str:
    """The same inputs are the same record, wherever they are added."""
    text = msgspec.json.encode(kept_value(inputs), order="sorted")
    return f"dr-{hashlib.sha256(dataset.encode() + text).hexdigest()[:32]}"


def _changed(dataset: str, tags: Mapping[str, str | None], projects: Mapping[str, bool]) -> Draft:
    plain = {_label(key): None if value is None else _label(value) for key, value in tags.items()}
    body = EvaluationDatasetChanged(dataset=dataset, tags=plain, projects=dict(projects))
    return Draft(kind=CHANGED_KIND, subject=_subject(dataset), body=body)


def _label(text: str) -> str:
    return redact(text)[:MAX_TAG].replace("\0", "")


def _subject(dataset: str) -> str:
    return f"evaluation_dataset:{dataset}"
