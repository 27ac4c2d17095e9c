"""The journal in a folder: open segments, sealed archives and their chain (docs/formats/journal.md).

open/SEGMENT.facts     written by one live process, or left behind by a crashed one
open/SEGMENT.data      points, console lines, predictions
sealed/NNNNNNNN.facts  sealed fact segments, one after another
sealed/chain           one record for each sealed segment
damaged/               bytes cut from a segment because their checksum was wrong
lock                   held while deciding, folding and sealing
"""

import contextlib
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from blake3 import blake3

from charkh.core.errors import CharkhError, Corrupt
from charkh.core.frames import encode_frame, scan_frames
from charkh.core.ids import new_id
from charkh.ports.journal import Batch, Cursor, DataHeader, DataSegment, DataWriter, Record
from charkh.stores.chain import (
    GENESIS,
    RECORD_SIZE,
    ChainRecord,
    decode_chain,
    decode_record,
    encode_record,
    record_digest,
)
from charkh.stores.data_folder import DataFolder
from charkh.stores.folder_lock import FolderLock
from charkh.stores.segment_file import (
    SegmentFile,
    is_header,
    is_live,
    new_header,
    read_segment,
    sync_folder,
    unavailable,
)

SUFFIX = ".facts"
ARCHIVE_BYTES = 64 * 1024 * 1024
READ_BYTES = 8 * 1024 * 1024
CHAIN = "chain"
SEAL_PATIENCE = 5.0


class FolderJournal:
    """The journal port over a folder.

    Args:
        folder: the journal's folder, created when missing.
        store: id of the store, written into every segment.
        spool: folder on a local disk for open segments, where `folder` is on a network file system.
    """

    def __init__(self, folder: Path, store: str, spool: Path | None = None) -> None:
        self._folder = folder
        self._store = store
        self._open_folder = spool or folder / "open"
        self._sealed_folder = folder / "sealed"
        self._data = DataFolder(self._open_folder, store)
        self._lock = FolderLock(folder / "lock")
        self._file: SegmentFile | None = None
        self._segment = ""

    def append(self, payloads: Sequence[bytes], *, durable: bool = False) -> None:
        """See `charkh.ports.journal.Journal`."""
        file = self._own_file()
        file.write(b"".join(encode_frame(payload) for payload in payloads))
        if durable:
            file.sync()

    def read(self, cursor: Cursor) -> Iterator[Batch]:
        """See `charkh.ports.journal.Journal`.

        The open segments are read before the chain: one that is sealed in between is then met in both,
        never in neither.
        """
        opened = [(path.stem, _read_tail(path, cursor.get(path.stem, 0))) for path in self._open_paths()]
        position = dict(cursor)
        yield from self._read_sealed(position)
        sealed_now = set(position) ^ set(cursor)
        for segment, (start, buffer) in opened:
            if segment in sealed_now or position.get(segment, 0) > start:
                continue
            scan = scan_frames(buffer)
            payloads = [frame.payload for frame in scan.frames if not is_header(frame.payload)]
            if payloads:
                position[segment] = start + scan.end
                yield Batch(segment, payloads, dict(position))

    def exclusive(self, timeout: float = 30.0) -> AbstractContextManager[None]:
        """See `charkh.ports.journal.Journal`."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._lock.held(timeout)

    def open_data(self, header: DataHeader) -> DataWriter:
        """See `charkh.ports.journal.Journal`."""
        return self._data.open_data(header)

    def list_data(self) -> Sequence[DataSegment]:
        """See `charkh.ports.journal.Journal`."""
        return self._data.list_data()

    def read_data(self, segment: str, start: int = 0) -> Iterator[Record]:
        """See `charkh.ports.journal.Journal`."""
        return self._data.read_data(segment, start)

    def drop_data(self, segment: str) -> None:
        """See `charkh.ports.journal.Journal`."""
        self._data.drop_data(segment)

    def close(self) -> None:
        """Seal this process's segment; where the lock is not to be had, whoever comes next seals it."""
        file, self._file = self._file, None
        if file is None or file.forked:
            return
        try:
            file.sync()
        finally:
            file.close()
        with contextlib.suppress(CharkhError), self.exclusive(SEAL_PATIENCE):
            self._seal(file.path)

    def seal_abandoned(self) -> int:
        """Seal the segments of processes that died; how many there were."""
        with self.exclusive():
            dead = [path for path in self._open_paths() if not is_live(path)]
            for path in dead:
                self._seal(path)
        return len(dead)

    def chain(self) -> Iterator[ChainRecord]:
        """Every record of the chain, oldest first.

        Raises:
            Corrupt: a record is damaged.
        """
        return decode_chain(_read_range(self._sealed_folder / CHAIN, 0))

    def sealed_bytes(self, record: ChainRecord) -> bytes:
        """The bytes of a sealed segment, as they lie in the archive."""
        return _read_range(self._archive_path(record.archive), record.offset, record.length)

    def _own_file(self) -> SegmentFile:
        if self._file is None or self._file.forked:
            self._segment = new_id()
            path = self._open_folder / f"{self._segment}{SUFFIX}"
            self._file = SegmentFile(path, new_header(self._segment, self._store))
        return self._file

    def _open_paths(self) -> list[Path]:
        try:
            return sorted(path for path in self._open_folder.iterdir() if path.suffix == SUFFIX)
        except FileNotFoundError:
            return []

    def _archive_path(self, number: int) -> Path:
        return self._sealed_folder / f"{number:08d}{SUFFIX}"

    def _read_sealed(self, position: dict[str, int]) -> Generator[Batch]:
        """Batches of the sealed segments behind `position`, which moves along."""
        start = position.get(CHAIN, 0)
        waiting: list[ChainRecord] = []
        for record in decode_chain(_read_range(self._sealed_folder / CHAIN, start)):
            if waiting and not _continues(waiting, record):
                yield self._batch_of(waiting, position)
                waiting = []
            waiting.append(record)
        if waiting:
            yield self._batch_of(waiting, position)

    def _batch_of(self, records: Sequence[ChainRecord], position: dict[str, int]) -> Batch:
        first, last = records[0], records[-1]
        buffer = _read_range(self._archive_path(first.archive), first.offset, last.end - first.offset)
        scan = scan_frames(buffer)
        if scan.end != last.end - first.offset:
            raise Corrupt(
                f"sealed segments in {self._archive_path(first.archive)} are damaged at byte {first.offset + scan.end}",
                code="journal.archive_damaged",
                hint="Run `charkh audit verify` to see which segment; restore journal/sealed from a copy.",
            )
        payloads: list[bytes] = []
        frames = iter(scan.frames)
        for record in records:
            folded = first.offset - record.offset + position.pop(record.segment, 0)
            base = record.offset - first.offset
            for frame in frames:
                begin = frame.end - len(frame.payload)
                if begin - base > folded + base - base and not is_header(frame.payload):
                    payloads.append(frame.payload)
                if frame.end == record.end - first.offset:
                    break
        position[CHAIN] = position.get(CHAIN, 0) + RECORD_SIZE * len(records)
        return Batch(last.segment, payloads, dict(position))

    def _seal(self, path: Path) -> None:
        """Move one segment that nobody writes any more into the archive. Called under the lock.

        Order: archive bytes durable, chain record durable, then the open file goes. A crash in between
        leaves a torn tail, which the next seal cuts, or a file that the chain already names, which it removes.
        """
        last = self._repair()
        if not path.exists():
            return
        buffer = path.read_bytes()
        content = read_segment(buffer)
        if content.damaged:
            self._set_damaged_aside(path, buffer[content.end :])
        try:
            if content.header is not None and content.frames:
                self._append_sealed(path.stem, buffer[: content.end], len(content.frames), last)
            path.unlink()
            sync_folder(path.parent)
        except OSError as error:
            raise unavailable(path, error) from error

    def _append_sealed(self, segment: str, data: bytes, frames: int, last: ChainRecord | None) -> None:
        archive, offset = (last.archive, last.end) if last else (1, 0)
        if offset >= ARCHIVE_BYTES:
            archive, offset = archive + 1, 0
        digest = blake3(data).digest()
        previous = record_digest(last) if last else GENESIS
        record = ChainRecord(segment, archive, offset, len(data), frames, digest, previous)
        self._sealed_folder.mkdir(mode=0o700, exist_ok=True)
        _append_durably(self._archive_path(archive), offset, data)
        _append_durably(self._sealed_folder / CHAIN, self._chain_size(), encode_record(record))

    def _repair(self) -> ChainRecord | None:
        """Finish or undo what a crashed sealer left; the last whole record of the chain."""
        size = self._chain_size()
        if size == 0:
            return None
        last = decode_record(_read_range(self._sealed_folder / CHAIN, size - RECORD_SIZE, RECORD_SIZE))
        (self._open_folder / f"{last.segment}{SUFFIX}").unlink(missing_ok=True)
        return last

    def _chain_size(self) -> int:
        try:
            size = (self._sealed_folder / CHAIN).stat().st_size
        except FileNotFoundError:
            return 0
        return size - size % RECORD_SIZE

    def _set_damaged_aside(self, path: Path, tail: bytes) -> None:
        folder = self._folder / "damaged"
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / f"{path.stem}.tail").write_bytes(tail)


def _continues(records: Sequence[ChainRecord], record: ChainRecord) -> bool:
    last = records[-1]
    together = record.archive == last.archive and record.offset == last.end
    return together and record.end - records[0].offset <= READ_BYTES


def _read_tail(path: Path, start: int) -> tuple[int, bytes]:
    return start, _read_range(path, start)


def _read_range(path: Path, start: int, length: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(length)
    except FileNotFoundError:
        return b""


def _append_durably(path: Path, offset: int, data: bytes) -> None:
    """Write `data` at `offset`, cut whatever lay behind it, and sync file and folder."""
    try:
        new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, offset)
            written = 0
            while written < len(data):
                written += os.pwrite(descriptor, data[written:], offset + written)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            sync_folder(path.parent)
    except OSError as error:
        raise unavailable(path, error) from error
