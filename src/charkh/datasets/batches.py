"""Which addition brought a row: every version that brought something is a batch, and each row of a table has one.

A file belongs to the batch that brought its content to its path; where a text file only grew, its old rows stay with
the batch that brought them. A row that somebody edited inside a file came with the version that has the edited file.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import polars as pl

from charkh.core.authors import distinct_refs
from charkh.core.errors import NotFound
from charkh.core.files import FileRef, TreeEntry
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.grown import growth_of
from charkh.datasets.index import DatasetById
from charkh.datasets.read import Cache, chosen_entries, require_table, scan_entries, scan_entry, scan_table
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
    found: list[BatchRows] = []
    counts = {rows.path: rows.past - rows.first for rows in file_rows(store, version, cache=cache)}
    brought = _brought(store, version)
    for path, steps in brought.items():
        past = counts[path]
        # The newest part of a file first: each older content says where the rows that came later begin.
        parts: list[BatchRows] = []
        for place, (maker, _) in enumerate(steps):
            first = _rows_of(store, *steps[place + 1], path, cache) if place + 1 < len(steps) else 0
            parts.append(BatchRows(path, first, past, maker))
            past = first
        found.extend(reversed(parts))
    return tuple(found)


def batches(store: Store, version: DatasetVersion, *, cache: Cache | None = None) -> tuple[BatchSummary, ...]:
    """The batches that rows of a version came with, newest first.

    Raises:
        Invalid: the dataset is no table.
    """
    found = batch_rows(store, version, cache=cache)
    versions = _distinct([rows.version for rows in found])
    refs = batch_refs(versions)
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


def batch_refs(versions: Sequence[DatasetVersion]) -> dict[str, str]:
    """By id, a reference that tells each of these versions from the others: `flights@3`, or `flights@3~ann`."""
    refs: dict[str, str] = {}
    for version in versions:
        same = [each for each in versions if each.ref == version.ref]
        names = distinct_refs(same) if len(same) > 1 else (version.ref,)
        refs[version.id] = names[same.index(version)]
    return refs


def find_batch(version: DatasetVersion, found: Sequence[BatchRows], batch: str) -> DatasetVersion:
    """The version that a person means with a number, a reference or an id, of those that brought rows.

    Raises:
        NotFound: no row came with it.
    """
    versions = _distinct([rows.version for rows in found])
    refs = batch_refs(versions)
    meant = next((each for each in versions if _is_meant(batch, each, refs)), None)
    if meant is None:
        raise _no_batch(version, batch, list(refs.values()))
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
    refs = batch_refs(_distinct([rows.version for rows in found]))
    meant = find_batch(version, found, batch) if batch else None
    wanted = [rows for rows in found if meant is None or rows.version.id == meant.id]
    if not wanted:
        return scan_table(store, version, cache=cache).with_columns(pl.lit(None, pl.String).alias(BATCH))
    # Of each file one scan for each of its batches: which rows are whose is known by their place.
    entries = {entry.path: entry for entry in chosen_entries(store, version, None)}
    frames = [
        scan_entries(store, version, [entries[rows.path]], cache)
        .slice(rows.first, rows.past - rows.first)
        .with_columns(pl.lit(refs[rows.version.id]).alias(BATCH))
        for rows in wanted
    ]
    return pl.concat(frames, how="vertical_relaxed")


def _brought(store: Store, version: DatasetVersion) -> dict[str, list[tuple[DatasetVersion, FileRef]]]:
    """By path, the versions that brought rows of the file, newest first, and the file as each left it."""
    entries = chosen_entries(store, version, None)
    found: dict[str, list[tuple[DatasetVersion, FileRef]]] = {entry.path: [] for entry in entries}
    waiting = [(version, {entry.path: entry.file for entry in entries})]
    while waiting:
        now, held = waiting.pop()
        before = _parents(store, now)
        passed: dict[str, dict[str, FileRef]] = {}
        for path, file in held.items():
            there = next((parent.id for parent, files in before if _digest(files.get(path)) == file.digest), None)
            if there is not None:
                passed.setdefault(there, {})[path] = file
                continue
            found[path].append((now, file))
            grown = next(
                (
                    (parent.id, old)
                    for parent, files in before
                    if (old := files.get(path)) is not None and growth_of(store.vault, path, old, file) is not None
                ),
                None,
            )
            if grown is not None:
                passed.setdefault(grown[0], {})[path] = grown[1]
        waiting.extend((parent, passed[parent.id]) for parent, _ in before if parent.id in passed)
    return found


def _parents(store: Store, version: DatasetVersion) -> list[tuple[DatasetVersion, dict[str, FileRef]]]:
    """The versions that it was made from, with their files; those whose files are gone are left out."""
    known: list[tuple[DatasetVersion, dict[str, FileRef]]] = []
    for identifier in version.made.all_parents:
        parent = store.queries.ask(DatasetById(version=identifier))
        if parent is None or parent.made.kind != "table":
            continue
        try:
            known.append((parent, {e.path: e.file for e in store.vault.entries(parent.made.tree.root)}))
        except NotFound:
            continue
    return known


def _rows_of(store: Store, version: DatasetVersion, file: FileRef, path: str, cache: Cache | None) -> int:
    if version.made.tree.files == 1 and version.made.rows is not None:
        return version.made.rows
    lazy = scan_entry(store, version, TreeEntry(path, file), cache)
    return int(lazy.select(pl.len()).collect(engine="streaming").item())


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


def _digest(file: FileRef | None) -> str:
    return "" if file is None else file.digest
