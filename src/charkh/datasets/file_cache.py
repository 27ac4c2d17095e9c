"""Whole files of the vault on local disk, so that a scan streams from them and a checkout links them.

The hot cache: bounded, shared by processes, and made again when it is lost. A file is verified when it is filled, and
its size, times and inode are noted; while they stay, it is trusted, and where one differs it is read again. A file that
somebody wrote into, through a hard link that was made on request, is so found and never given out. Giving a file
another name, or taking one away, touches it too: of files that have been linked, the time of the last touch says
nothing, and one that was written into and got its time of change set back is found by `verify` alone.

A file is found by what its chunks are *now*: after an erasure nothing older is found, whoever erased it.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from charkh.assets.hashing import hash_threads
from charkh.core.errors import Corrupt, Unavailable
from charkh.core.files import TreeEntry
from charkh.core.ids import new_id
from charkh.datasets.cache_database import MAX_BOUND, CacheDatabase, marks
from charkh.ports.vault import Vault

DEFAULT_LIMIT = 10 * 1000**3
FILLING = ".filling"
ABANDONED_SECONDS = 24 * 3600
SCHEMA = 1
_USED_SECONDS = 3600
"""How exactly the order of use is kept: noting it for every use would cost more than it is worth."""
_TABLES = {
    "file": """CREATE TABLE file (
        name TEXT PRIMARY KEY, digest TEXT NOT NULL, size INTEGER NOT NULL, used INTEGER NOT NULL,
        changed INTEGER NOT NULL, touched INTEGER NOT NULL, inode INTEGER NOT NULL) WITHOUT ROWID"""
}
_FIND = "SELECT name, digest, size, used, changed, touched, inode FROM file WHERE name IN"


class _Row(NamedTuple):
    """A file as it was when it was last known to be whole.

    Attributes:
        name: in its folder.
        digest: of its bytes; empty while it is being filled.
        size: bytes.
        used: when it was last asked for, in seconds; roughly.
        changed: when its bytes last changed, in nanoseconds.
        touched: when it was last touched, in nanoseconds; 0 where it has had other names, which touch it too.
        inode: number of the file.
    """

    name: str
    digest: str
    size: int
    used: int
    changed: int
    touched: int
    inode: int


_NO_ROWS: list[_Row] = []
_NONE_NAMED: dict[str, _Row] = {}


class FileCache:
    """Files by digest in one folder; the least recently used go when there are too many bytes.

    What this process has been given a path to stays: a scan may open it later. Files are read-only.

    Args:
        folder: where they lie; made when it is needed.
        limit: bytes to keep at most, beside what is in use.
    """

    def __init__(self, folder: Path, limit: int = DEFAULT_LIMIT) -> None:
        self.folder = folder
        self.limit = limit
        self._database = CacheDatabase(folder / "index.sqlite", SCHEMA, _TABLES)
        self._anew = 0
        self._used: set[str] = set()
        self._lock = threading.Lock()

    def path_of(self, vault: Vault, entry: TreeEntry) -> Path:
        """A file with the entry's content and its suffix, filled from the vault at the first use.

        Raises:
            NotFound: the bytes are not in the vault.
            Corrupt: they are not what their digest says.
            Unavailable: the folder cannot be written.
        """
        (path,) = self.fill(vault, [entry])
        return Path(path)

    def fill(self, vault: Vault, entries: Sequence[TreeEntry], *, shared: bool = False) -> list[str]:
        """The places of the entries' files, in order; those that are not here are filled first, together.

        Args:
            vault: has the bytes.
            entries: the files.
            shared: they will get other names, by hard links.

        Raises:
            NotFound, Corrupt, Unavailable: as `path_of`.
        """
        names = [_name(vault, entry) for entry in entries]
        with self._lock:
            self._used.update(names)
        try:
            found = self._whole(names, shared=shared)
            missing = {name: entry for name, entry in zip(names, entries, strict=True) if name not in found}
            if missing:
                self._make(vault, missing, shared=shared)
        except OSError as error:
            raise self._unavailable(error) from error
        return [self._place(name) for name in names]

    def find(self, vault: Vault, entries: Sequence[TreeEntry]) -> list[str | None]:
        """Where each entry's file lies, None where it is not here or not whole."""
        names = [_name(vault, entry) for entry in entries]
        try:
            found = self._whole(names)
        except OSError as error:
            raise self._unavailable(error) from error
        return [self._place(name) if name in found else None for name in names]

    def forget(self, digests: Iterable[str]) -> int:
        """Delete what an erasure concerns; how many files went.

        These are the files with these contents or of these chunks, and every file of several chunks: which chunks
        they have is not known here, and they can be filled again.
        """
        gone = set(digests)
        rows = self._database.run(_all_rows, _NO_ROWS)
        names = [row.name for row in rows if row.digest in gone or row.name[:64] in gone or row.name[64:65] == "-"]
        return self._delete(names)

    def verify(self) -> list[str]:
        """Read every file and delete those that are not what they were; their digests."""
        damaged: list[str] = []
        for row in self._database.run(_all_rows, _NO_ROWS):
            if row.digest and not self._is_sound(row):
                damaged.append(row.digest)
                self._delete([row.name])
        return damaged

    def close(self) -> None:
        """Let go of the database; the next call opens it again."""
        self._database.close()

    def _whole(self, names: Sequence[str], *, shared: bool = False) -> set[str]:
        """The names of those files that are here as they were filled."""
        found, touched, now = set[str](), list[_Row](), int(time.time())
        for row in self._rows(names).values():
            seen = self._seen(row) if row.digest else None
            if seen is None:
                continue
            if seen is not row and not self._is_sound(row):
                self._delete([row.name])
                continue
            if shared and seen.touched:
                seen = seen._replace(touched=0)
            if seen is not row or now - row.used > _USED_SECONDS:
                touched.append(seen._replace(used=now))
            found.add(row.name)
        self._note(touched)
        return found

    def _rows(self, names: Sequence[str]) -> dict[str, _Row]:
        self._list_lost()
        found: dict[str, _Row] = {}
        for start in range(0, len(names), MAX_BOUND):
            found.update(self._database.run(partial(_rows_of, names[start : start + MAX_BOUND]), _NONE_NAMED))
        return found

    def _seen(self, row: _Row) -> _Row | None:
        """The row as the file is now; None where there is none of its size."""
        try:
            status = os.lstat(self._place(row.name))
        except (FileNotFoundError, NotADirectoryError):
            return None
        if status.st_size != row.size:
            return None
        # Where it has had other names, no touch is noted.
        touched = status.st_ctime_ns if row.touched else 0
        inode = status.st_ino & 0x7FFF_FFFF_FFFF_FFFF
        if (status.st_mtime_ns, touched, inode) == (row.changed, row.touched, row.inode):
            return row
        return row._replace(changed=status.st_mtime_ns, touched=touched, inode=inode)

    def _is_sound(self, row: _Row) -> bool:
        hasher = blake3(max_threads=hash_threads())
        try:
            return hasher.update_mmap(self._place(row.name)).hexdigest() == row.digest
        except OSError:
            return False

    def _make(self, vault: Vault, missing: dict[str, TreeEntry], *, shared: bool) -> None:
        """Fill files; they are listed before they are there, so that none is ever unknown."""
        now = int(time.time())
        self._make_room(sum(entry.file.size for entry in missing.values()))
        self._note([_Row(name, "", entry.file.size, now, 0, 0, 0) for name, entry in missing.items()])
        filling = self.folder / FILLING
        filling.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_abandoned(filling)
        filled: list[_Row] = []
        try:
            names = list(missing)
            small = [name for name in names if not missing[name].file.root]
            for position, content in vault.read_many([missing[name].file for name in small]):
                filled.append(self._keep(small[position], [content], now, shared))
            for name in names:
                if missing[name].file.root:
                    filled.append(self._keep(name, vault.read(missing[name].file), now, shared))
        finally:
            self._note(filled)

    def _keep(self, name: str, content: Iterable[bytes], now: int, shared: bool) -> _Row:
        partial_place = f"{self.folder}/{FILLING}/{new_id()}"
        place = self._place(name)
        hasher, size = blake3(), 0
        try:
            descriptor = os.open(partial_place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
            with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - a hot path
                for chunk in content:
                    hasher.update(chunk)
                    size += len(chunk)
                    view = memoryview(chunk)
                    while view:
                        view = view[file.write(view) :]
            digest = hasher.hexdigest()
            # A content of one chunk has its digest as its name; others are verified chunk by chunk by the vault.
            if "-" not in name and digest != name[:64]:
                raise Corrupt(
                    f"the file {name[:16]} is not what its digest says",
                    code="asset.corrupt",
                    hint="Run `charkh fsck`.",
                    facts={"digest": name[:64]},
                )
            _rename(partial_place, place)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial_place)  # noqa: PTH108 - a hot path
            raise
        row = _Row(name, digest, size, now, 0, 0 if shared else 1, 0)
        return self._seen(row) or row._replace(digest="")

    def _note(self, rows: Sequence[_Row]) -> None:
        if rows:
            self._database.change(partial(_insert, rows), None)

    def _delete(self, names: Sequence[str]) -> int:
        for name in names:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(self._place(name))  # noqa: PTH108 - a hot path
        self._database.change(partial(_drop, names), None)
        return len(names)

    def _make_room(self, coming: int) -> None:
        """Delete the least recently used until `coming` bytes fit."""
        self._list_lost()
        rows = sorted(self._database.run(_all_rows, _NO_ROWS), key=lambda row: row.used)
        excess = sum(row.size for row in rows) + coming - self.limit
        gone: list[str] = []
        for row in rows:
            if excess <= 0:
                break
            if row.name not in self._used:
                gone.append(row.name)
                excess -= row.size
        self._delete(gone)

    def _list_lost(self) -> None:
        """List the files that a database had listed which was lost; each is read before it is given out."""
        self._database.run(_look, None)
        if self._database.made_anew == self._anew:
            return
        self._anew = self._database.made_anew
        rows: list[_Row] = []
        for path in self.folder.glob("??/*"):
            status = path.lstat()
            digest = "" if "-" in path.name else path.name[:64]
            rows.append(_Row(path.name, digest, status.st_size, int(status.st_mtime), 0, 0, 0))
        self._database.change(partial(_insert_missing, rows), None)

    def _place(self, name: str) -> str:
        return f"{self.folder}/{name[:2]}/{name}"

    def _unavailable(self, error: OSError) -> Unavailable:
        return Unavailable(
            f"cannot use the cache {self.folder}: {error.strerror or error}",
            code="dataset.cache",
            hint="Free some space there, or let [store] path name another disk.",
            facts={"errno": error.errno},
        )


def _name(vault: Vault, entry: TreeEntry) -> str:
    """`DIGEST.suffix` of a content of one chunk, else `DIGEST-CHUNKS.suffix`: what its chunks are as they are read."""
    suffix = os.path.splitext(entry.path)[1].lower()  # noqa: PTH122 - a hot path
    file = entry.file
    spans = list(vault.chunks(file))
    if len(spans) == 1 and not file.root:
        return spans[0][0] + suffix
    hasher = blake3()
    for digest, length in spans:
        hasher.update(f"{digest}{length}".encode())
    return f"{file.digest}-{hasher.hexdigest(16)}{suffix}"


def _rename(source: str, target: str) -> None:
    try:
        os.rename(source, target)  # noqa: PTH104 - a hot path
    except FileNotFoundError:
        Path(target).parent.mkdir(mode=0o700, exist_ok=True)
        os.rename(source, target)  # noqa: PTH104 - a hot path


def _remove_abandoned(folder: Path) -> None:
    """Delete what killed processes left."""
    oldest = time.time() - ABANDONED_SECONDS
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def _rows_of(names: Sequence[str], database: sqlite3.Connection) -> dict[str, _Row]:
    return {row[0]: _Row._make(row) for row in database.execute(f"{_FIND} {marks(names)}", names)}


def _all_rows(database: sqlite3.Connection) -> list[_Row]:
    return [_Row._make(row) for row in database.execute(_FIND.replace("WHERE name IN", "ORDER BY name"))]


def _look(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA schema_version")


def _insert(rows: Sequence[_Row], database: sqlite3.Connection) -> None:
    database.executemany("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _insert_missing(rows: Sequence[_Row], database: sqlite3.Connection) -> None:
    database.executemany("INSERT OR IGNORE INTO file VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _drop(names: Sequence[str], database: sqlite3.Connection) -> None:
    database.executemany("DELETE FROM file WHERE name = ?", [(name,) for name in names])
