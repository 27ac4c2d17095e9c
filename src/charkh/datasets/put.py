"""Put local files into the vault, one after the other, reading only those that it does not have as they are."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from charkh.core.files import FileRef, TreeEntry
from charkh.datasets.stat_cache import Learnt, StatCache
from charkh.datasets.walk import LocalFile
from charkh.ports.vault import Progress, Vault

Item = TypeVar("Item")

LARGE = 16 * 1024 * 1024
"""Bytes from which a file is compared with what stood at its path before: it may only have grown."""
TOGETHER = 4096
"""Files that caches and vault are asked about at once."""


def put_files(
    vault: Vault,
    files: Iterable[LocalFile],
    *,
    before: Iterable[TreeEntry] = (),
    stats: StatCache | None = None,
    learn: Callable[[Sequence[Learnt]], None] | None = None,
    progress: Progress | None = None,
) -> Iterator[TreeEntry]:
    """The files' entries in a tree, in their order; few are held at once.

    Args:
        vault: where they go.
        files: by path.
        before: entries, by path, that may stand at the same paths; read as far as it is needed.
        stats: what files held when they were last read. One whose bytes the vault has lost is read again.
        learn: takes what was found out; by default, `stats` does.
        progress: called with the bytes that were read since the last call.

    Raises:
        NotFound, Conflict, Denied, Unavailable: as `Vault.put_file`.
    """
    stood = _Sought(before)
    for batch in together(files):
        known = held(vault, batch, stats)
        learnt: list[Learnt] = []
        for file, ref in zip(batch, known, strict=True):
            if ref is None:
                like = stood.at(file.path) if file.size >= LARGE else None
                ref = vault.put_file(file.place, progress, like)
                learnt.append(Learnt(file, ref))
            yield TreeEntry(file.path, ref, file.executable)
        if learn is not None:
            learn(learnt)
        elif stats is not None:
            stats.learn(learnt)


def held(vault: Vault, files: Sequence[LocalFile], stats: StatCache | None) -> list[FileRef | None]:
    """The content of each file that did not change and whose bytes the vault has; None for the others."""
    if stats is None:
        return [None] * len(files)
    refs = [known.file if known else None for known in stats.look_up(files)]
    here = iter(vault.rely_on([ref for ref in refs if ref is not None]))
    return [ref if ref is not None and next(here) else None for ref in refs]


def together(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items, some thousand at a time."""
    rest = iter(items)
    while batch := list(islice(rest, TOGETHER)):
        yield batch


class _Sought:
    """Entries in path order, read up to the path that is asked for; the paths asked for rise."""

    def __init__(self, entries: Iterable[TreeEntry]) -> None:
        self._entries = iter(entries)
        self._head: TreeEntry | None = None

    def at(self, path: str) -> FileRef | None:
        while self._head is None or self._head.path < path:
            self._head = next(self._entries, None)
            if self._head is None:
                return None
        return self._head.file if self._head.path == path else None
