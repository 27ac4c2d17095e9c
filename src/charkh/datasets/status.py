"""What an `add` would bring: files on disk against those of a version, compared as two streams in path order.

Nothing is stored in the vault, and nothing is held whole: a folder of a million files needs no more memory than its
names. What is known by size and times is not read; a file is read where it might be equal and nobody knows.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import msgspec
from blake3 import blake3

from charkh.assets.hashing import hash_threads
from charkh.core.errors import NotFound, Unavailable
from charkh.core.files import FileRef, TreeEntry
from charkh.core.refs import parse_name
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.index import NewestVersion
from charkh.datasets.put import together
from charkh.datasets.stat_cache import Known, Learnt, StatCache
from charkh.datasets.walk import LocalFile, walk_files
from charkh.ports.store import Store
from charkh.ports.vault import Progress

SMALL = 64 * 1024
"""Bytes up to which a content is one chunk, so that its digest is all of its reference."""
_READ_AT_ONCE = 1 << 20


class DatasetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How files on disk differ from a version.

    Attributes:
        name: of the dataset.
        against: the version, `name@number`; empty where there is none yet.
        new: files at paths that the version does not have.
        changed: files with another content, or that became executable or no longer are.
        removed: paths of the version at which no file is.
        unchanged: files that are as the version has them.
        size: bytes of the new and changed files.
        read: files that had to be read to know.
        new_paths: the first of them, by path; likewise the other two.
    """

    name: str
    against: str
    new: int
    changed: int
    removed: int
    unchanged: int
    size: int
    read: int
    new_paths: tuple[str, ...]
    changed_paths: tuple[str, ...]
    removed_paths: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing differs."""
        return not (self.new or self.changed or self.removed)


def dataset_status(
    store: Store,
    name: str,
    paths: Sequence[Path],
    *,
    against: DatasetVersion | None = None,
    append: bool = False,
    stats: StatCache | None = None,
    limit: int = 100,
    progress: Progress | None = None,
) -> DatasetStatus:
    """What adding these paths would bring.

    Args:
        store: where the version is.
        name: of the dataset.
        paths: files, and folders with everything in them.
        against: the version to compare with; the newest by default.
        append: the version's other files would stay, so none is removed.
        stats: what files held when they were last read; what had to be read now is remembered there.
        limit: at most so many paths of each sort.
        progress: called with the bytes that were read since the last call.

    Raises:
        NotFound, Invalid, Unavailable: as for `charkh.datasets.walk.walk_files`.
    """
    name = parse_name(name, "dataset name")
    version = against or store.queries.ask(NewestVersion(name=name))
    entries = store.vault.entries(version.made.tree.root) if version else iter(())
    counts, sizes = dict.fromkeys(Sort, 0), dict.fromkeys(Sort, 0)
    shown: dict[Sort, list[str]] = {sort: [] for sort in Sort}
    look = _Look(stats, progress)
    for path, sort, size in look.compare(walk_files(paths), entries):
        counts[sort] += 1
        if sort is not Sort.SAME:
            sizes[sort] += size
            if len(shown[sort]) < limit:
                shown[sort].append(path)
    return DatasetStatus(
        name=name,
        against=version.ref if version else "",
        new=counts[Sort.NEW],
        changed=counts[Sort.CHANGED],
        removed=0 if append else counts[Sort.REMOVED],
        unchanged=counts[Sort.SAME],
        size=sizes[Sort.NEW] + sizes[Sort.CHANGED],
        read=look.read,
        new_paths=tuple(shown[Sort.NEW]),
        changed_paths=tuple(shown[Sort.CHANGED]),
        removed_paths=() if append else tuple(shown[Sort.REMOVED]),
    )


class Sort(Enum):
    """How one path stands."""

    SAME = "unchanged"
    NEW = "new"
    CHANGED = "changed"
    REMOVED = "removed"


class _Standing(NamedTuple):
    path: str
    sort: Sort
    size: int


class _Look:
    """Compares, and counts what had to be read."""

    def __init__(self, stats: StatCache | None, progress: Progress | None) -> None:
        self._stats = stats
        self._progress = progress
        self.read = 0

    def compare(self, files: Iterable[LocalFile], entries: Iterator[TreeEntry]) -> Iterator[_Standing]:
        """How each path of both stands, by path."""
        entry = next(entries, None)
        for batch in together(files):
            known = self._stats.look_up(batch) if self._stats is not None else [None] * len(batch)
            learnt: list[Learnt] = []
            for file, what in zip(batch, known, strict=True):
                path = file.path
                while entry is not None and entry.path < path:
                    yield _Standing(entry.path, Sort.REMOVED, entry.file.size)
                    entry = next(entries, None)
                if entry is None or entry.path != path:
                    yield _Standing(path, Sort.NEW, file.size)
                    continue
                same = self._is_same(file, what, entry, learnt)
                yield _Standing(path, Sort.SAME if same else Sort.CHANGED, file.size)
                entry = next(entries, None)
            if self._stats is not None and learnt:
                self._stats.learn(learnt)
        while entry is not None:
            yield _Standing(entry.path, Sort.REMOVED, entry.file.size)
            entry = next(entries, None)

    def _is_same(self, file: LocalFile, known: Known | None, entry: TreeEntry, learnt: list[Learnt]) -> bool:
        if file.executable != entry.executable or file.size != entry.file.size:
            return False
        if known is not None:
            return known.file.digest == entry.file.digest
        self.read += 1
        digest = _digest_of(file.place, self._progress)
        if digest == entry.file.digest:
            learnt.append(Learnt(file, entry.file))
        elif file.size <= SMALL:
            learnt.append(Learnt(file, FileRef(digest, file.size)))
        return digest == entry.file.digest


def _digest_of(place: str, progress: Progress | None) -> str:
    hasher = blake3(max_threads=hash_threads())
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            while data := os.read(descriptor, _READ_AT_ONCE):
                hasher.update(data)
                if progress:
                    progress(len(data))
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise NotFound(
            f"{place} is gone since the folder was read", code="dataset.no_such_file", hint="Run it once more."
        ) from error
    except OSError as error:
        raise Unavailable(
            f"cannot read {place}: {error.strerror or error}",
            code="dataset.unreadable",
            hint="Look at its owner and permissions.",
        ) from error
    return hasher.hexdigest()
