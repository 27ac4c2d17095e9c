"""With which version each row of a file came, back through the versions that the file changed in."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from charkh.core.errors import NotFound
from charkh.core.files import FileRef, TreeEntry
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.grown import growth_of
from charkh.datasets.index import DatasetById
from charkh.datasets.read import Cache, collect_table, scan_entry
from charkh.datasets.schema_diff import comparable
from charkh.ports.store import Store

_MAKER, _ROW, _COPY = "__maker__", "__row__", "__copy__"


class _Stage(NamedTuple):
    """A content of a file, at the first version that has it."""

    version: str
    digest: str


class FileHistory:
    """The files of versions and of those that they were made from, looked up once each."""

    def __init__(self, store: Store, cache: Cache | None) -> None:
        self._store = store
        self._cache = cache
        self._versions: dict[str, DatasetVersion | None] = {}
        self._files: dict[str, dict[str, FileRef]] = {}

    def runs(self, version: DatasetVersion, path: str, rows: int) -> list[tuple[int, DatasetVersion]]:
        """How many rows, from the first on, came with which version.

        Args:
            version: that has the file.
            path: of the file.
            rows: how many it has.
        """
        self._versions[version.id] = version
        start = self._stage(version.id, path)
        before = self._before(start, path)
        if not before:
            return [(rows, self._version(start.version))] if rows else []
        numbers: dict[str, int] = {}
        known: dict[_Stage, pl.Series] = {}
        waiting = [start]
        while waiting:
            stage = waiting[-1]
            missing = [each for each in self._before(stage, path) if each not in known]
            if missing:
                waiting.extend(missing)
                continue
            waiting.pop()
            if stage not in known:
                known[stage] = self._makers(stage, path, known, numbers)
        makers = {number: self._version(identifier) for identifier, number in numbers.items()}
        return [(len(list(run)), makers[number]) for number, run in itertools.groupby(known[start].to_list())]

    def _makers(self, stage: _Stage, path: str, known: dict[_Stage, pl.Series], numbers: dict[str, int]) -> pl.Series:
        """The number of the version that each row of this content came with."""
        mine = numbers.setdefault(stage.version, len(numbers))
        before = self._before(stage, path)
        file = self._files_of(stage.version)[path]
        for each in before:
            old = self._files_of(each.version)[path]
            if growth_of(self._store.vault, path, old, file) is not None:
                gained = self._count(stage.version, path) - known[each].len()
                return pl.concat([known[each], pl.repeat(mine, gained, dtype=pl.Int64, eager=True)])
        now = self._rows(stage.version, path) if before else None
        if now is None:
            return pl.repeat(mine, self._count(stage.version, path), dtype=pl.Int64, eager=True)
        makers = pl.repeat(None, now.height, dtype=pl.Int64, eager=True)
        for each in before:
            then = self._rows(each.version, path)
            if set(then.columns) == set(now.columns):
                makers = makers.zip_with(makers.is_not_null(), _met(now, then, known[each]))
        return makers.fill_null(mine)

    def _stage(self, identifier: str, path: str) -> _Stage:
        """The first version, back from this one, since which the file has been as it is."""
        digest = self._files_of(identifier)[path].digest
        while True:
            same = next((each for each in self._parents(identifier) if self._digest(each, path) == digest), None)
            if same is None:
                return _Stage(identifier, digest)
            identifier = same

    def _before(self, stage: _Stage, path: str) -> list[_Stage]:
        """The contents that the file had before, on each side of a merge."""
        found = [self._stage(each, path) for each in self._parents(stage.version) if self._digest(each, path)]
        return list(dict.fromkeys(found))

    def _parents(self, identifier: str) -> Sequence[str]:
        made = self._version(identifier).made
        return [each for each in made.all_parents if self._has_table(each)]

    def _has_table(self, identifier: str) -> bool:
        if identifier not in self._versions:
            self._versions[identifier] = self._store.queries.ask(DatasetById(version=identifier))
        version = self._versions[identifier]
        return version is not None and version.made.kind == "table" and bool(self._files_of(identifier))

    def _version(self, identifier: str) -> DatasetVersion:
        version = self._versions[identifier]
        assert version is not None, "only versions that are known are walked"
        return version

    def _files_of(self, identifier: str) -> dict[str, FileRef]:
        """The files of a version; none where they are gone."""
        if identifier not in self._files:
            root = self._version(identifier).made.tree.root
            try:
                self._files[identifier] = {entry.path: entry.file for entry in self._store.vault.entries(root)}
            except NotFound:
                self._files[identifier] = {}
        return self._files[identifier]

    def _digest(self, identifier: str, path: str) -> str:
        file = self._files_of(identifier).get(path)
        return "" if file is None else file.digest

    def _scan(self, identifier: str, path: str) -> pl.LazyFrame:
        entry = TreeEntry(path, self._files_of(identifier)[path])
        return scan_entry(self._store, self._version(identifier), entry, self._cache)

    def _rows(self, identifier: str, path: str) -> pl.DataFrame:
        return collect_table(self._version(identifier), self._scan(identifier, path))

    def _count(self, identifier: str, path: str) -> int:
        made = self._version(identifier).made
        if made.tree.files == 1 and made.rows is not None:
            return made.rows
        return int(self._scan(identifier, path).select(pl.len()).collect(engine="streaming").item())


def _met(now: pl.DataFrame, then: pl.DataFrame, makers: pl.Series) -> pl.Series:
    """For each row of `now` the maker of its equal in `then`, the first of equal ones of the first; null for none."""
    names = now.columns
    casts = comparable(then.schema, now.schema, names)
    sides = (
        then.select(*(old for old, _ in casts), makers.alias(_MAKER)),
        now.select(new for _, new in casts).with_row_index(_ROW),
    )
    before, after = (side.with_columns(pl.int_range(pl.len()).over(names).alias(_COPY)) for side in sides)
    met = after.join(before, on=[*names, _COPY], how="left", nulls_equal=True).sort(_ROW)
    return met[_MAKER]
