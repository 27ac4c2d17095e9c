"""Which addition brought a row: every version that brought something is a batch, and each row of a table has one.

A row came with the first version, back from the one that is looked at, since which it has stood in its file with all
its cells as they are: who edits a row brings it. Of a file that changed, rows are told by their cells, and of equal
rows the first came first; a file that did not change is not read, nor the old rows of a text file that only grew.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import polars as pl

from charkh.core.authors import refs_of
from charkh.core.errors import NotFound
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.file_history import FileHistory
from charkh.datasets.index import DatasetVersions
from charkh.datasets.read import Cache, chosen_entries, require_table, scan_entries, scan_table
from charkh.datasets.rows import file_rows
from charkh.ports.store import Store

BATCH = "_batch"
"""The column that says which batch a row came with, where it is asked for."""


class BatchRows(NamedTuple):
    """The rows `first` (inclusive, from 0) to `past` (exclusive) of the file `path` came with `version`."""

    path: str
    first: int
    past: int
    version: DatasetVersion


class BatchSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch brought to a version.

    Attributes:
        ref: of the version that brought it; with the author where two versions have one number.
        version: that version.
        files: how many files of the version have rows of it.
        rows: how many rows of the version came with it.
    """

    ref: str
    version: DatasetVersion
    files: int
    rows: int


def batch_rows(store: Store, version: DatasetVersion, *, cache: Cache | None = None) -> tuple[BatchRows, ...]:
    """Which rows of each file came with which version, in the order of the table.

    What came with a version whose files are gone is that of the version after it.

    Raises:
        Invalid: the dataset is no table.
        NotFound: the bytes of its files are not here.
    """
    require_table(version)
    counts = {rows.path: rows.past - rows.first for rows in file_rows(store, version, cache=cache)}
    history = FileHistory(store, cache)
    found: list[BatchRows] = []
    for entry in chosen_entries(store, version, None):
        first = 0
        for rows, maker in history.runs(version, entry.path, counts[entry.path]):
            found.append(BatchRows(entry.path, first, first + rows, maker))
            first += rows
    return tuple(found)


def batches(store: Store, version: DatasetVersion, *, cache: Cache | None = None) -> tuple[BatchSummary, ...]:
    """The batches that rows of a version came with, newest first.

    Raises:
        Invalid: the dataset is no table.
    """
    found = batch_rows(store, version, cache=cache)
    versions = _distinct([rows.version for rows in found])
    refs = batch_refs(store, versions)
    summaries = [
        BatchSummary(
            ref=refs[each.id],
            version=each,
            files=len({rows.path for rows in found if rows.version.id == each.id}),
            rows=sum(rows.past - rows.first for rows in found if rows.version.id == each.id),
        )
        for each in versions
    ]
    return tuple(sorted(summaries, key=lambda each: (each.version.created, each.version.stamp), reverse=True))


def batch_refs(store: Store, versions: Sequence[DatasetVersion]) -> dict[str, str]:
    """By id, what a person calls each of these and of all versions beside them: `flights@3`, or `flights@3~ann`."""
    names = dict.fromkeys(version.made.name for version in versions)
    return refs_of([each for name in names for each in store.queries.ask(DatasetVersions(name=name, deleted=True))])


def find_batch(store: Store, version: DatasetVersion, found: Sequence[BatchRows], batch: str) -> DatasetVersion:
    """The version that a person means with a number, a reference or an id, of those that brought rows.

    Raises:
        NotFound: no row came with it.
    """
    versions = _distinct([rows.version for rows in found])
    refs = batch_refs(store, versions)
    meant = next((each for each in versions if _is_meant(batch, each, refs)), None)
    if meant is None:
        raise _no_batch(version, batch, [refs[each.id] for each in versions])
    return meant


def scan_batches(store: Store, version: DatasetVersion, *, batch: str = "", cache: Cache | None = None) -> pl.LazyFrame:
    """The table with one more column, `_batch`: the reference of the version that each row came with.

    Args:
        store: where it lies.
        version: of the dataset.
        batch: only the rows of this one: a number, a reference, or the id of the version or of its batch; files that
            have none of it are not read.
        cache: keeps files on disk.

    Raises:
        Invalid: the dataset is no table.
        NotFound: no row came with that batch.
    """
    found = batch_rows(store, version, cache=cache)
    refs = batch_refs(store, _distinct([rows.version for rows in found]))
    meant = find_batch(store, version, found, batch) if batch else None
    runs: dict[str, list[BatchRows]] = {}
    for rows in found:
        runs.setdefault(rows.path, []).append(rows)
    frames: list[pl.LazyFrame] = []
    for entry in chosen_entries(store, version, None):
        told = runs.get(entry.path, [])
        if any(meant is None or rows.version.id == meant.id for rows in told):
            frame = _marked(scan_entries(store, version, [entry], cache), told, refs)
            frames.append(frame if meant is None else frame.filter(pl.col(BATCH) == refs[meant.id]))
    if not frames:
        return scan_table(store, version, cache=cache).with_columns(pl.lit(None, pl.String).alias(BATCH))
    return pl.concat(frames, how="vertical_relaxed")


def _marked(rows: pl.LazyFrame, told: Sequence[BatchRows], refs: dict[str, str]) -> pl.LazyFrame:
    """The rows of a file, each with the reference of its batch."""
    if len(told) == 1:
        return rows.with_columns(pl.lit(refs[told[0].version.id]).alias(BATCH))
    names = pl.Series(BATCH, [refs[each.version.id] for each in told], dtype=pl.String)
    counts = pl.Series([each.past - each.first for each in told])
    column = pl.LazyFrame({BATCH: names, "rows": counts}).select(pl.col(BATCH).repeat_by("rows").explode())
    return pl.concat([rows, column], how="horizontal")


def _distinct(versions: Sequence[DatasetVersion]) -> list[DatasetVersion]:
    return list({version.id: version for version in versions}.values())


def _is_meant(batch: str, version: DatasetVersion, refs: dict[str, str]) -> bool:
    made = version.made
    return batch in {str(made.number), version.ref, refs[version.id], version.id, version.subject, made.batch.id}


def _no_batch(version: DatasetVersion, batch: str, refs: Sequence[str]) -> NotFound:
    return NotFound(
        f"no row of {version.ref} came with the batch {batch}",
        code="dataset.no_batch",
        hint=f"Its rows came with: {', '.join(refs[:20])}; `charkh dataset log --batches` says how many each.",
    )
