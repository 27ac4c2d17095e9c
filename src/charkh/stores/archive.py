"""Sealed fact segments: archive files that only grow, and the chain that names every segment in them.

    NNNNNNNN.facts   sealed segments, one behind the other
    chain            one record for each, in the order in which they were sealed

Only the holder of the journal's lock adds; anybody reads at any time.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from charkh.core.errors import Corrupt
from charkh.core.frames import scan_frames
from charkh.stores.chain import (
    GENESIS,
    RECORD_SIZE,
    ChainRecord,
    decode_chain,
    encode_record,
    record_digest,
)
from charkh.stores.durable import make_folder, read_range, sync_folder, write_at
from charkh.stores.segment_file import read_segment

ARCHIVE_BYTES = 64 * 1024 * 1024
READ_BYTES = 8 * 1024 * 1024
_NOT_WRITTEN = bytes(RECORD_SIZE)

Frames = Sequence[tuple[int, bytes]]
"""The frames of one segment: the offset behind each, counted from the segment's first byte, and its payload."""


class Part(NamedTuple):
    """Some sealed segments, and where in the chain the next one stands."""

    segments: Sequence[tuple[ChainRecord, Frames]]
    next: int


class Archive:
    """The `sealed` folder of a journal."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._chain = folder / "chain"
        self._named = False

    def read(self, start: int) -> Iterator[Part]:
        """The segments whose chain records stand at byte `start` or behind it, some at a time.

        Raises:
            Corrupt: a record or a sealed segment is damaged.
        """
        position = start
        for records in _side_by_side(self.records(start)):
            position += RECORD_SIZE * len(records)
            yield Part(self._segments(records), position)

    def records(self, start: int = 0) -> Iterator[ChainRecord]:
        """The chain's records from byte `start` on.

        Raises:
            Corrupt: a record is damaged.
        """
        end = self._chain_size(start)
        if end > start:
            yield from decode_chain(read_range(self._chain, start, end - start))

    def last(self, count: int) -> Sequence[ChainRecord]:
        """The last records of the chain, at most `count`.

        Raises:
            Corrupt: one of them is damaged.
        """
        return list(self.records(max(0, self._chain_size() - count * RECORD_SIZE)))

    def chain_bytes(self) -> bytes:
        """The chain as it lies on the disk, whole records only."""
        return read_range(self._chain, 0, self._chain_size())

    def segment_bytes(self, record: ChainRecord) -> bytes:
        """The bytes of a sealed segment, as they lie in its archive; fewer where the archive ends early."""
        return read_range(self.path(record.archive), record.offset, record.length)

    def path(self, number: int) -> Path:
        """The archive file with this number."""
        return self._folder / f"{number:08d}.facts"

    def add(self, segments: Sequence[tuple[str, bytes]]) -> None:
        """Append segments (id, bytes) durably: the archive first, then the chain.

        Raises:
            OSError: the disk is full or failing; the chain names a segment only when all of it is durable.
            Corrupt: the last record of the chain is damaged.
        """
        if not segments:
            return
        last = next(iter(self.last(1)), None)
        records, files = _placed(segments, last)
        make_folder(self._folder)
        for number, (offset, data) in files.items():
            write_at(self.path(number), offset, data)
        write_at(self._chain, self._chain_size(), b"".join(map(encode_record, records)))
        if not self._named:
            # A sealer that was killed between writing the chain's first record and its name left it to us.
            sync_folder(self._folder)
            self._named = True

    def _segments(self, records: Sequence[ChainRecord]) -> Sequence[tuple[ChainRecord, Frames]]:
        first, last = records[0], records[-1]
        buffer = read_range(self.path(first.archive), first.offset, last.end - first.offset)
        scan = scan_frames(buffer)
        if scan.end != last.end - first.offset:
            broken = next(record for record in records if record.end - first.offset > scan.end)
            where = f"{self.path(broken.archive)}, byte {first.offset + scan.end}"
            raise Corrupt(
                f"sealed segment {broken.segment} is damaged: {where}",
                code="journal.archive_damaged",
                hint="`charkh audit verify` lists what is damaged; restore that file from a copy.",
                facts={"segment": broken.segment, "archive": broken.archive},
            )
        frames = iter(scan.frames)
        segments: list[tuple[ChainRecord, Frames]] = []
        for record in records:
            base, end = record.offset - first.offset, record.end - first.offset
            mine: list[tuple[int, bytes]] = []
            for frame in frames:
                mine.append((frame.end - base, frame.payload))
                if frame.end >= end:
                    break
            segments.append((record, mine))
        return segments

    def _chain_size(self, known: int = 0) -> int:
        """Bytes of whole records, `known` of which have been read before.

        Zeros at the end are what power loss leaves of an append.
        """
        try:
            size = self._chain.stat().st_size
        except FileNotFoundError:
            return 0
        size -= size % RECORD_SIZE
        while size > known and read_range(self._chain, size - RECORD_SIZE, RECORD_SIZE) == _NOT_WRITTEN:
            size -= RECORD_SIZE
        return size


def _placed(
    segments: Sequence[tuple[str, bytes]], last: ChainRecord | None
) -> tuple[Sequence[ChainRecord], dict[int, tuple[int, bytes]]]:
    """Chain records for new segments, and for each archive that grows the offset and the bytes to write there."""
    records: list[ChainRecord] = []
    files: dict[int, tuple[int, bytes]] = {}
    for segment, data in segments:
        archive, offset = (last.archive, last.end) if last else (1, 0)
        if offset >= ARCHIVE_BYTES:
            archive, offset = archive + 1, 0
        previous = record_digest(last) if last else GENESIS
        frames = len(read_segment(data).frames)
        last = ChainRecord(segment, archive, offset, len(data), frames, blake3(data).digest(), previous)
        records.append(last)
        start, before = files.get(archive, (offset, b""))
        files[archive] = (start, before + data)
    return records, files


def _side_by_side(records: Iterator[ChainRecord]) -> Iterator[Sequence[ChainRecord]]:
    """Runs of records whose segments lie one behind the other and are read together."""
    together: list[ChainRecord] = []
    for record in records:
        if together:
            first, last = together[0], together[-1]
            follows = record.archive == last.archive and record.offset == last.end
            if not follows or record.end - first.offset > READ_BYTES:
                yield together
                together = []
        together.append(record)
    if together:
        yield together
