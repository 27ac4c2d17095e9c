"""The journal in a folder: open segments, sealed archives and their chain (docs/formats/journal.md).

open/SEGMENT.facts     written by one live process, or left behind by a crashed one
open/SEGMENT.data      points, console lines, predictions
sealed/NNNNNNNN.facts  sealed fact segments, one after another
sealed/chain           one record for each sealed segment
damaged/               bytes that stood behind a frame whose checksum was wrong
lock                   held while deciding, folding and sealing
"""

import contextlib
import os
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from blake3 import blake3

from charkh.core.errors import CharkhError, Unavailable
from charkh.core.frames import encode_frames, scan_frames
from charkh.core.ids import new_id
from charkh.ports.journal import Batch, Cursor, DataHeader, DataSegment, DataWriter, Record
from charkh.stores.archive import Archive
from charkh.stores.data_folder import DataFolder
from charkh.stores.data_received import ReceivedFolder
from charkh.stores.durable import make_folder, read_range, sync_folder, unavailable, write_at
from charkh.stores.folder_lock import FolderLock
from charkh.stores.forks import watch_forks
from charkh.stores.segment_file import HIDDEN, SegmentFile, is_header, is_live, new_header, read_segment

SUFFIX = ".facts"
CHAIN = "chain"
"""The cursor's entry for the chain; every other entry is an open segment's id."""

ROTATE_BYTES = 8 * 1024 * 1024
SEAL_PATIENCE = 5.0
SEAL_AT_ONCE = 500
STALE_SECONDS = 3600.0


class FolderJournal:
    """The journal port over a folder.

    Whoever takes the exclusive lock first seals what dead writers left behind, so open segments never pile up.

    Args:
        folder: the journal's folder, created when missing.
        store: id of the store, written into every segment.
        spool: folder on a local disk for open segments, where `folder` is on a network file system.
    """

    def __init__(self, folder: Path, store: str, spool: Path | None = None) -> None:
        self._folder = folder
        self._store = store
        self._open_folder = spool or folder / "open"
        self._archive = Archive(folder / "sealed")
        self._data = DataFolder(self._open_folder, folder / "damaged", store)
        self._received = ReceivedFolder(self._open_folder, store)
        self._lock = FolderLock(folder / "lock")
        self._own_lock = threading.Lock()
        self._file: SegmentFile | None = None
        watch_forks(self)

    def after_fork(self) -> None:
        """See `charkh.stores.forks.Forkable`."""
        self._own_lock = threading.Lock()

    @property
    def archive(self) -> Archive:
        """The sealed segments and their chain."""
        return self._archive

    def append(self, payloads: Sequence[bytes], *, durable: bool = False) -> None:
        """See `charkh.ports.journal.Journal`."""
        frames = encode_frames(payloads)
        with self._own_lock:
            file = self._own_file()
            end = file.write(frames)
        if durable:
            try:
                file.sync()
            except Unavailable:
                file.take_back(end - len(frames), end)
                raise

    def read(self, cursor: Cursor) -> Iterator[Batch]:
        """See `charkh.ports.journal.Journal`.

        Where nothing is new this costs one `stat` for each open segment and one for the chain. The open segments
        are listed before the chain is read: one that is sealed in between is then met in the chain. This process's
        own facts come first.
        """
        listed = self._open_sizes()
        position = dict(cursor)
        own = self._file
        if own is not None and (batch := self._read_open(own.path.stem, listed, position)):
            yield batch
        sealed: set[str] = set()
        yield from self._read_sealed(position, sealed)
        # What is neither open nor behind the end of the chain has been sealed and read before.
        for segment in position.keys() - listed.keys() - {CHAIN}:
            del position[segment]
        for segment in listed.keys() - sealed:
            if batch := self._read_open(segment, listed, position):
                yield batch
        # A segment that went away since it was listed is in the chain by now.
        yield from self._read_sealed(position, sealed)

    def exclusive(self, timeout: float = 30.0) -> AbstractContextManager[None]:
        """See `charkh.ports.journal.Journal`."""
        return self._exclusive(timeout)

    @contextmanager
    def _exclusive(self, timeout: float) -> Generator[None]:
        with contextlib.suppress(OSError):
            make_folder(self._folder)
        with self._lock.held(timeout):
            if self._lock.depth == 1:
                # A disk that is full for sealing must not keep anybody from reading and deciding.
                with contextlib.suppress(Unavailable):
                    self._seal_dead()
            yield

    def open_data(self, header: DataHeader) -> DataWriter:
        """See `charkh.ports.journal.Journal`."""
        return self._data.open_data(header)

    def list_data(self) -> Sequence[DataSegment]:
        """See `charkh.ports.journal.Journal`."""
        return self._data.list_data()

    def read_data(self, segment: str, start: int = 0) -> Iterator[Record]:
        """See `charkh.ports.journal.Journal`."""
        return self._data.read_data(segment, start)

    def has_data(self, segment: str) -> bool:
        """See `charkh.ports.exchange.DataExchange`."""
        return self._received.has_data(segment)

    def take_data(self, header: DataHeader, start: int, payloads: Sequence[bytes]) -> int:
        """See `charkh.ports.exchange.DataExchange`."""
        return self._received.take_data(header, start, payloads)

    def drop_data(self, segment: str) -> None:
        """See `charkh.ports.journal.Journal`."""
        self._data.drop_data(segment)

    def close(self) -> None:
        """Seal this process's segment; where the lock is not to be had, whoever comes next seals it."""
        with self._own_lock:
            file, self._file = self._file, None
        if file is None or file.forked:
            return
        try:
            file.sync()
        finally:
            file.close()
        # Leaving takes the lock, and taking the lock seals what nobody writes any more.
        with contextlib.suppress(CharkhError), self.exclusive(SEAL_PATIENCE):
            pass

    @property
    def store(self) -> str:
        """Id of the store."""
        return self._store

    def open_facts(self) -> dict[str, list[bytes]]:
        """By open segment, every fact in it."""
        scans = {segment: scan_frames(read_range(self._path(segment), 0)) for segment in self._open_sizes()}
        return {
            segment: [frame.payload for frame in scan.frames if not is_header(frame.payload)]
            for segment, scan in scans.items()
        }

    def open_segments(self) -> int:
        """How many fact segments are open: of live writers, and of dead ones that nobody has sealed yet."""
        return len(self._open_sizes())

    def writers(self) -> tuple[int, int]:
        """Open fact segments by their writers: of those that live, and of those that died."""
        live = [is_live(self._path(segment)) for segment in self._open_sizes()]
        return sum(live), len(live) - sum(live)

    def seal_abandoned(self) -> int:
        """Seal the segments of processes that died; how many there were.

        Raises:
            Unavailable: the disk is full or failing; nothing is lost.
        """
        before = set(self._open_sizes())
        with self.exclusive():
            self._seal_dead()
        return len(before - set(self._open_sizes()))

    def _own_file(self) -> SegmentFile:
        file = self._file
        if file is not None and not file.forked and not file.failed and file.size < ROTATE_BYTES:
            return file
        segment = new_id()
        self._file = SegmentFile(self._path(segment), new_header(segment, self._store))
        if file is not None and not file.forked:
            # A full or failed segment is let go of, for the next holder of the lock to seal.
            with contextlib.suppress(Unavailable):
                file.sync()
            file.close()
        return self._file

    def _path(self, segment: str) -> Path:
        return self._open_folder / f"{segment}{SUFFIX}"

    def _open_sizes(self) -> dict[str, int]:
        """The open fact segments and their sizes, oldest first."""
        found: dict[str, int] = {}
        for entry in _entries(self._open_folder):
            if entry.name.endswith(SUFFIX) and not entry.name.startswith(HIDDEN):
                with contextlib.suppress(FileNotFoundError):
                    found[entry.name.removesuffix(SUFFIX)] = entry.stat().st_size
        return dict(sorted(found.items()))

    def _read_open(self, segment: str, listed: dict[str, int], position: dict[str, int]) -> Batch | None:
        start = position.get(segment, 0)
        if listed.get(segment, 0) <= start:
            return None
        scan = scan_frames(read_range(self._path(segment), start))
        payloads = [frame.payload for frame in scan.frames if not is_header(frame.payload)]
        if not payloads:
            return None
        position[segment] = start + scan.end
        return Batch(segment, payloads, dict(position))

    def _read_sealed(self, position: dict[str, int], sealed: set[str]) -> Generator[Batch]:
        """Batches of the sealed segments behind `position`, which moves along; `sealed` gathers their ids."""
        for part in self._archive.read(position.get(CHAIN, 0)):
            payloads: list[bytes] = []
            for record, frames in part.segments:
                folded = position.pop(record.segment, 0)
                sealed.add(record.segment)
                payloads.extend(payload for end, payload in frames if end > folded and not is_header(payload))
            position[CHAIN] = part.next
            yield Batch(part.segments[-1][0].segment, payloads, dict(position))

    def _seal_dead(self) -> None:
        """Move the segments that nobody writes any more into the archive. Called under the lock.

        Order: archive bytes durable, chain records durable, then the open files go. A crash in between leaves a
        torn tail, which the next seal cuts, or files that the chain already names, which it removes.
        """
        dead = [path for path in map(self._path, self._open_sizes()) if not is_live(path)][:SEAL_AT_ONCE]
        if not dead:
            return
        try:
            sealed = {(record.segment, record.digest) for record in self._archive.last(SEAL_AT_ONCE)}
            contents = [(path.stem, self._sound_bytes(path)) for path in dead]
            fresh = [(segment, data) for segment, data in contents if (segment, blake3(data).digest()) not in sealed]
            self._archive.add([(segment, data) for segment, data in fresh if data])
            for path in dead:
                path.unlink(missing_ok=True)
            self._remove_unfinished()
            sync_folder(self._open_folder)
        except Unavailable:
            raise
        except OSError as error:
            raise unavailable(self._folder, error) from error

    def _sound_bytes(self, path: Path) -> bytes:
        """The header and whole frames of a dead segment; empty when it holds no fact.

        What stands behind them is kept apart: a torn frame, or sound ones behind a length that lies.
        """
        buffer = path.read_bytes()
        content = read_segment(buffer)
        if content.end < len(buffer):
            folder = self._folder / "damaged"
            make_folder(folder)
            write_at(folder / f"{path.stem}.tail", 0, buffer[content.end :])
        return buffer[: content.end] if content.header is not None and content.frames else b""

    def _remove_unfinished(self) -> None:
        """Remove files of writers that died before their segment had a name: they acknowledged nothing."""
        for entry in _entries(self._open_folder):
            path = Path(entry.path)
            if entry.name.startswith(HIDDEN) and not is_live(path):
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - entry.stat().st_mtime > STALE_SECONDS:
                        path.unlink()


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
