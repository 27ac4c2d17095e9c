"""Put contents into a folder as files: out of the packs, or out of the cache by clones, links and copies.

Each file is there whole or not at all: it is written beside, and renamed.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from charkh.core.errors import CharkhError, Conflict, Denied, Unavailable
from charkh.core.files import TreeEntry
from charkh.core.ids import new_id
from charkh.datasets.copying import can_clone, clone_file, copy_file
from charkh.datasets.file_cache import FileCache
from charkh.datasets.walk import PARTIAL
from charkh.ports.vault import Progress, Vault

LARGE = 1024 * 1024
"""Bytes from which a file is worth a look into the cache: opening another file is cheaper than copying so many."""


class Placing:
    """One checkout's way of putting files.

    Attributes:
        written: files that were put.
        size: their bytes.
        cloned: those that share blocks with the cache.
        linked: those that are the cache's own.
    """

    def __init__(
        self,
        vault: Vault,
        folder: Path,
        cache: FileCache | None = None,
        *,
        fill: bool = False,
        link: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self._vault = vault
        self._folder = folder
        self._cache = cache if cache is not None and cache.limit else None
        self._fill = fill
        self._link = link
        self._progress = progress
        self._made: set[str] = set()
        self._clones: bool | None = None
        self._token = new_id()
        self._number = 0
        self.written = self.size = self.cloned = self.linked = 0

    def place(self, entries: Sequence[TreeEntry]) -> None:
        """Put the files of some entries.

        Raises:
            NotFound, Corrupt: bytes are not here, or damaged.
            Conflict: a folder is where a file should be.
            Denied: a link in the folder would lead a file elsewhere.
            Unavailable: the cache cannot be written, or links are asked for where there can be none.
            OSError: the folder cannot be written.
        """
        for inside in dict.fromkeys(entry.path.rpartition("/")[0] for entry in entries):
            self._make_folder(inside)
        direct = self._from_cache(entries)
        small = [entry for entry in direct if not entry.file.root]
        for position, content in self._vault.read_many([entry.file for entry in small]):
            self._write(small[position], (content,))
        for entry in direct:
            if entry.file.root:
                self._write(entry, self._vault.read(entry.file))

    def _from_cache(self, entries: Sequence[TreeEntry]) -> Sequence[TreeEntry]:
        """Put what comes out of the cache; the others."""
        cache = self._cache
        if cache is None:
            return entries
        wanted = [entry for entry in entries if self._is_cached(entry, cache)]
        if not wanted:
            return entries
        fill = self._fill or self._link or self._can_clone(cache)
        places = cache.fill(self._vault, wanted, shared=self._link) if fill else cache.find(self._vault, wanted)
        done: set[str] = set()
        for entry, place in zip(wanted, places, strict=True):
            if place is not None:
                self._put(entry, place)
                done.add(entry.path)
        return [entry for entry in entries if entry.path not in done]

    def _is_cached(self, entry: TreeEntry, cache: FileCache) -> bool:
        if entry.file.size > cache.limit:
            return False
        return self._fill or self._link or (entry.file.size >= LARGE and self._can_clone(cache))

    def _can_clone(self, cache: FileCache) -> bool:
        if self._clones is None:
            cache.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._clones = can_clone(cache.folder, self._folder)
        return self._clones

    def _put(self, entry: TreeEntry, place: str) -> None:
        """Put a file of the cache: under a second name where that is asked for and possible, else cloned or copied."""
        # A link has the permissions of the file in the cache.
        if not (self._link and not entry.executable and self._linked(entry, place)):
            self._place(entry, self._copying(entry, place))
        if self._progress:
            self._progress(entry.file.size)

    def _copying(self, entry: TreeEntry, place: str) -> Callable[[str], None]:
        mode = 0o777 if entry.executable else 0o666

        def make(beside: str) -> None:
            if (self._clones is None or self._clones) and clone_file(place, beside, mode):
                self.cloned += 1
            else:
                self._clones = bool(self.cloned)
                copy_file(place, beside, mode)

        return make

    def _linked(self, entry: TreeEntry, place: str) -> bool:
        """Whether a second name was given; False where the file has as many as it can have."""
        try:
            try:
                os.link(place, f"{self._folder}/{entry.path}")
            except FileExistsError:
                self._place(entry, partial(os.link, place))
            else:
                self.written += 1
                self.size += entry.file.size
        except OSError as error:
            if isinstance(error, CharkhError):
                raise
            if error.errno == errno.EMLINK:
                return False
            raise Unavailable(
                f"{self._folder} can have no hard links to {self._cache.folder if self._cache else place}: "
                f"{error.strerror}",
                code="dataset.no_links",
                hint="Both must lie on one file system that has them; check out without --link.",
            ) from error
        self.linked += 1
        return True

    def _write(self, entry: TreeEntry, content: Iterable[bytes]) -> None:
        mode = 0o777 if entry.executable else 0o666

        def make(beside: str) -> None:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            try:
                for chunk in content:
                    written = os.write(descriptor, chunk)
                    while written < len(chunk):
                        written += os.write(descriptor, memoryview(chunk)[written:])
                    if self._progress:
                        self._progress(len(chunk))
            finally:
                os.close(descriptor)

        self._place(entry, make)

    def _place(self, entry: TreeEntry, make: Callable[[str], None]) -> None:
        """Make a file beside, and give it its name."""
        target = f"{self._folder}/{entry.path}"
        self._number += 1
        beside = f"{target.rpartition('/')[0]}/{PARTIAL}{self._token}-{self._number}"
        try:
            make(beside)
            os.rename(beside, target)  # noqa: PTH104 - a hot path
            if self._link:
                # A rename to another name of the same file does nothing (rename(2)).
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(beside)  # noqa: PTH108 - a hot path
        except IsADirectoryError as error:
            _remove(beside)
            raise Conflict(
                f"{target} is a folder, the dataset has a file there", code="dataset.folder_there", hint="Move it away."
            ) from error
        except BaseException:
            _remove(beside)
            raise
        self.written += 1
        self.size += entry.file.size

    def _make_folder(self, inside: str) -> None:
        """Make a folder inside; no part of its path may be a link that leads elsewhere."""
        if inside in self._made:
            return
        self._made.add(inside)
        parent = self._folder / inside
        parent.mkdir(parents=True, exist_ok=True)
        while parent != self._folder:
            if parent.is_symlink():
                raise Denied(
                    f"{parent} is a link, so the files would not come to lie in {self._folder}",
                    code="dataset.link",
                    hint="Remove the link, or check out into another folder.",
                )
            parent = parent.parent


def _remove(beside: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside)  # noqa: PTH108 - a hot path
