"""What a run printed: the lines, where they lie, and how they are read.

A batch of lines is one record of a data segment with content `printed` (docs/formats/runs.md). A closed segment
becomes one blob, which can be erased like any other content.
"""

import heapq
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import zstandard

from charkh.core.errors import Corrupt, NotFound
from charkh.ports.journal import DataSegment
from charkh.ports.store import Store
from charkh.runs.held import ConsoleOf, ConsoleSealed

CONTENT = "printed"
STREAMS = ("stdout", "stderr")
MAGIC = b"charkh console 1\n"
BLOCK_LINES = 5_000
MAX_BLOCK_BYTES = 1 << 28
LEVEL = 3
_LENGTH = struct.Struct("<I")


class PrintedLine(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line as it is recorded.

    Attributes:
        time: seconds since the epoch when its first character was printed.
        stream: 0 for stdout, 1 for stderr.
        text: without the end of the line, and without credentials.
        unfinished: the next line of the same stream takes its place, as a progress bar does.
    """

    time: float
    stream: int
    text: str
    unfinished: bool = False


class ConsoleRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record: the lines that were printed since the last one, and how many were cut before them."""

    cut: int
    lines: tuple[PrintedLine, ...]


class ConsoleLine(NamedTuple):
    """A line as readers find it: `time` in seconds since the epoch, `stream` is `stdout` or `stderr`."""

    time: float
    stream: str
    text: str
    writer: str
    attempt: int


class ConsolePart(NamedTuple):
    """What one segment printed: the lines that stay, and how many were cut."""

    lines: list[PrintedLine]
    cut: int


_decode_record = msgspec.msgpack.Decoder(ConsoleRecord).decode
_decode_block = msgspec.msgpack.Decoder(list[PrintedLine]).decode


def read_console(store: Store, run_id: str) -> Iterator[ConsoleLine]:
    """The lines that a run printed, of all its writers together, in order of time; what is still written too.

    Where lines were cut, one of charkh's own says how many.

    Raises:
        Corrupt: a sealed blob is not what its digest says.
    """
    # Open segments before the catalog: one that is sealed in between is met in both, never in neither.
    opened = open_console(store, run_id)
    sealed = store.queries.ask(ConsoleOf(run=run_id))
    done = {each.segment for each in sealed}
    parts = [_shown(_sealed_lines(store, each), each.writer, each.attempt) for each in sealed]
    for each in opened:
        if each.header.segment not in done:
            lines = collect_lines(_payloads(store, each)).lines
            parts.append(_shown(lines, each.header.writer, each.header.attempt))
    yield from heapq.merge(*parts, key=lambda line: line.time)


def follow_console(store: Store, run_id: str, going_on: Callable[[], bool]) -> Iterator[ConsoleLine]:
    """The lines that a run printed, and then those that it prints, each once, until it has ended.

    Lines of several writers that are printed in between two looks come in order of time.

    Args:
        store: where the run is.
        run_id: 32 hex digits.
        going_on: waits a while, and says whether the run may print more.

    Raises:
        Corrupt: a sealed blob is not what its digest says.
    """
    seen: dict[tuple[str, int], tuple[int, str]] = {}
    last = False
    while True:
        fresh: list[ConsoleLine] = []
        now: dict[tuple[str, int], tuple[int, str]] = {}
        for line in read_console(store, run_id):
            place = (line.writer, line.attempt)
            number = now.get(place, (0, ""))[0] + 1
            known, text = seen.get(place, (0, ""))
            # A progress bar that moved on stands in the place of the line that was seen last.
            if number > known or (number == known and line.text != text):
                fresh.append(line)
            now[place] = (number, line.text)
        seen |= now
        yield from fresh
        if last:
            return
        # Once more behind the end: what was printed between the last look and the end.
        last = not going_on()


def open_console(store: Store, run_id: str) -> list[DataSegment]:
    """The console segments of a run that are not sealed yet."""
    subject = f"run:{run_id}"
    return [
        each for each in store.journal.list_data() if each.header.content == CONTENT and each.header.subject == subject
    ]


def decode_console(payload: bytes) -> ConsoleRecord:
    """The record in a frame of a console segment.

    Raises:
        Corrupt: it is none.
    """
    try:
        return _decode_record(payload)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"a console record cannot be read: {error}", code="run.bad_record") from error


def collect_lines(payloads: Iterable[bytes]) -> ConsolePart:
    """The lines of a segment, without those that another one took the place of.

    Raises:
        Corrupt: a record is none.
    """
    lines: list[PrintedLine] = []
    waiting: dict[int, int] = {}
    replaced: set[int] = set()
    cut = 0
    for payload in payloads:
        record = decode_console(payload)
        if record.cut:
            cut += record.cut
            moment = record.lines[0].time if record.lines else lines[-1].time if lines else 0.0
            lines.append(PrintedLine(moment, 1, f"[{record.cut:,} lines are not kept]"))
        for line in record.lines:
            before = waiting.pop(line.stream, None)
            if before is not None:
                replaced.add(before)
            if line.unfinished:
                waiting[line.stream] = len(lines)
            lines.append(line)
    return ConsolePart([line for place, line in enumerate(lines) if place not in replaced], cut)


def encode_console_blob(lines: Sequence[PrintedLine]) -> bytes:
    """The blob of a segment's lines; equal lines give equal bytes."""
    compress = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True).compress
    parts = [MAGIC]
    for start in range(0, len(lines), BLOCK_LINES):
        block = compress(msgspec.msgpack.encode(lines[start : start + BLOCK_LINES]))
        parts += [_LENGTH.pack(len(block)), block]
    return b"".join(parts)


def decode_console_blob(blob: bytes) -> Iterator[PrintedLine]:
    """The lines of a blob, a block at a time.

    Raises:
        Corrupt: it is no blob of console lines, or of a later format.
    """
    if not blob.startswith(MAGIC):
        raise Corrupt("sealed console lines do not begin as they should", code="run.bad_console")
    place = len(MAGIC)
    while place < len(blob):
        begin = place + _LENGTH.size
        if begin > len(blob):
            raise Corrupt("sealed console lines end too soon", code="run.bad_console")
        place = begin + _LENGTH.unpack_from(blob, place)[0]
        encoded = blob[begin:place]
        try:
            if not 0 < zstandard.frame_content_size(encoded) <= MAX_BLOCK_BYTES:
                raise Corrupt("a block of console lines claims an impossible size", code="run.bad_console")
            block = _decode_block(zstandard.ZstdDecompressor().decompress(encoded))
        except (zstandard.ZstdError, msgspec.MsgspecError) as error:
            raise Corrupt(f"sealed console lines cannot be read: {error}", code="run.bad_console") from error
        yield from block


def shown_lines(lines: Iterable[PrintedLine], writer: str, attempt: int) -> Iterator[ConsoleLine]:
    """Recorded lines as readers find them."""
    return (ConsoleLine(each.time, STREAMS[each.stream % 2], each.text, writer, attempt) for each in lines)


def _shown(lines: Iterable[PrintedLine], writer: str, attempt: int) -> list[ConsoleLine]:
    return sorted(shown_lines(lines, writer, attempt), key=lambda line: line.time)


def _sealed_lines(store: Store, sealed: ConsoleSealed) -> Iterator[PrintedLine]:
    return decode_console_blob(b"".join(store.vault.read(sealed.blob)))


def _payloads(store: Store, segment: DataSegment) -> Iterator[bytes]:
    try:
        for record in store.journal.read_data(segment.header.segment):
            yield record.payload
    except NotFound:
        # Sealed and dropped since it was listed; whoever asks next finds it in the catalog.
        return
