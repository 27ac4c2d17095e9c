"""Scalars of many records at once: records of one layout are columns of bytes, and NumPy reads columns.

A training writes a million records that differ in time, step and value alone. Records of equal length are laid under
each other; those that are equal in every other byte have one layout, which the general parser reads once and proves by
reading it again with another time, step and value in those places. What has no such layout is left to the general
parser, record by record, so that both ways give the same points.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charkh.bridges.tensorboard.crc_columns import Words, added, contributions, crc_of_zeros, masked
from charkh.bridges.tensorboard.events import Event, Metadata, Value, decode_event
from charkh.bridges.tensorboard.records import FOOTER, HEADER, OVERHEAD
from charkh.bridges.tensorboard.tensors import FLOAT, decode_tensor
from charkh.bridges.tensorboard.wire import as_signed, fields
from charkh.core.errors import Corrupt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

MAX_LENGTH = 512
"""A longer record is no scalar that is worth a column."""
FEWEST = 8
"""Fewer records of one length are read one by one."""
AT_ONCE = 16_384
"""Records whose bytes are looked at together, so that they stay in the processor's cache."""

MAX_LAYOUTS = 100_000
SCALARS = "scalars"
_WALL_TIME, _STEP = 0x09, 0x10
_BEHIND_TIME = 9


class Columns(NamedTuple):
    """The points of one tag: place of its record, step, seconds, value; in the order of the records."""

    places: Integers
    steps: Integers
    times: Floats
    values: Floats


class Layout(NamedTuple):
    """Where a record of one tag has its value; `step` is what the record says where it has no field for it."""

    tag: str
    value: int
    step: int


class Taken(NamedTuple):
    """What was read at once.

    Attributes:
        columns: by tag.
        rest: places of the records that the general parser has to read, in order; damaged ones are among them.
    """

    columns: dict[str, list[Columns]]
    rest: list[int]


class ScalarReader:
    """Reads scalars of the records of one run; remembers the layouts it has met."""

    def __init__(self) -> None:
        self._layouts: dict[bytes, Layout | None] = {}

    def take(self, buffer: bytes, offsets: Sequence[int], known: Mapping[str, Metadata]) -> Taken:
        """The scalars of walked records.

        Args:
            buffer: what `offsets` count in.
            offsets: borders of the records (`charkh.bridges.tensorboard.records.walk`).
            known: metadata by tag, of the values before.
        """
        borders = np.asarray(offsets, np.int64)
        lengths = np.diff(borders) - OVERHEAD
        rest = np.ones(lengths.size, np.bool_)
        columns: dict[str, list[Columns]] = {}
        raw = np.frombuffer(buffer, np.uint8)
        common, counts = np.unique(lengths, return_counts=True)
        for length, count in zip(common.tolist(), counts.tolist(), strict=True):
            if count < FEWEST or not _BEHIND_TIME < length <= MAX_LENGTH:
                continue
            places = np.flatnonzero(lengths == length)
            self._take_length(raw, borders[places], places, length, known, columns, rest)
        return Taken(columns, np.flatnonzero(rest).tolist())

    def _take_length(
        self,
        raw: Bytes,
        starts: Integers,
        places: Integers,
        length: int,
        known: Mapping[str, Metadata],
        columns: dict[str, list[Columns]],
        rest: npt.NDArray[np.bool_],
    ) -> None:
        """Take the records of one length."""
        rows = np.lib.stride_tricks.as_strided(
            raw, (raw.size - length - OVERHEAD + 1, length + OVERHEAD), (1, 1), writeable=False
        )
        crc, widths = np.empty(starts.size, np.uint32), np.empty(starts.size, np.int64)
        for low in range(0, starts.size, AT_ONCE):
            part = slice(low, low + AT_ONCE)
            cells = np.ascontiguousarray(rows[starts[part]].T)[HEADER.size :]
            found = added(cells[:length], length)
            written = np.ascontiguousarray(cells[length:].T).view("<u4").reshape(-1)
            sound = (masked(found ^ np.uint32(crc_of_zeros(length))) == written) & (cells[0] == _WALL_TIME)
            crc[part], widths[part] = found, np.where(sound, _step_widths(cells[:length]), -1)
        for width in np.unique(widths).tolist():
            waiting = np.flatnonzero(widths == width) if 0 <= width < 99 else np.zeros(0, np.int64)
            # Records of one length whose values stand in different places are told apart one place at a time.
            for _ in range(3):
                if waiting.size < FEWEST:
                    break
                waiting = self._take_width(rows, starts, crc, waiting, places, width, known, columns, rest)

    def _take_width(
        self,
        rows: Bytes,
        starts: Integers,
        crc: Words,
        waiting: Integers,
        places: Integers,
        width: int,
        known: Mapping[str, Metadata],
        columns: dict[str, list[Columns]],
        rest: npt.NDArray[np.bool_],
    ) -> Integers:
        """Take the records that have their value where the first of them has it; those that have not."""
        length = rows.shape[1] - OVERHEAD
        behind_step = _BEHIND_TIME + (1 + width if width else 0)
        value = _value_place(rows[starts[waiting[0]], HEADER.size : -FOOTER.size].tobytes(), behind_step)
        if value is None:
            return waiting[1:]
        moving = [*range(1, _BEHIND_TIME), *range(_BEHIND_TIME + 1, behind_step), *range(value, value + 4)]
        prints = _prints(rows, starts[waiting], crc[waiting], moving, length)
        order = np.argsort(prints, kind="stable")
        mine, sorted_prints = waiting[order], prints[order]
        begins = np.flatnonzero(np.r_[True, sorted_prints[1:] != sorted_prints[:-1]])
        data = rows[starts[mine], HEADER.size : -FOOTER.size]
        free = np.zeros(length, np.bool_)
        free[moving] = True
        missed: list[Integers] = []
        for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), mine.size], strict=True):
            block, which = data[begin:end], mine[begin:end]
            layout = self._layout(block[0].tobytes(), width, behind_step, value, known)
            if layout is None:
                missed.append(which)
                continue
            same = ((block == block[0]) | free).all(axis=1)
            if not same.all():
                missed.append(which[~same])
                which, block = which[same], block[same]
            columns.setdefault(layout.tag, []).append(_columns(block, places[which], width, layout))
            rest[places[which]] = False
        return np.sort(np.concatenate(missed)) if missed else np.zeros(0, np.int64)

    def _layout(
        self, record: bytes, width: int, behind_step: int, value: int, known: Mapping[str, Metadata]
    ) -> Layout | None:
        key = b"%d %d " % (width, value) + record[behind_step:value] + b"\0\0\0\0" + record[value + 4 :]
        if key not in self._layouts:
            if len(self._layouts) >= MAX_LAYOUTS:
                self._layouts.clear()
            layout = _proved(record, behind_step, value)
            if layout is not None and not _says_its_plugin(record):
                # What a tensor is, an earlier value of its tag says; until one has, no layout is settled.
                metadata = known.get(layout.tag)
                return layout if metadata is not None and metadata.plugin == SCALARS else None
            self._layouts[key] = layout
        return self._layouts[key]


def scalar_of(value: Value, plugin: str) -> float | None:
    """The number of a value of this plugin; None where it is no scalar.

    Raises:
        Corrupt: its tensor cannot be read.
    """
    if value.simple is not None:
        return value.simple
    if value.tensor is None or plugin != SCALARS:
        return None
    array = decode_tensor(value.tensor)
    if not isinstance(array, np.ndarray) or array.size != 1 or array.dtype.kind not in "fiub":
        return None
    number: Any = array.item()
    return float(number)


def _says_its_plugin(record: bytes) -> bool:
    value = decode_event(record).values[0]
    return value.simple is not None or value.metadata is not None


def _value_place(record: bytes, behind_step: int) -> int | None:
    """Where a record has the four bytes of its value."""
    for place in _places_of_value(record, behind_step):
        if _proved(record, behind_step, place) is not None:
            return place
    return None


def _places_of_value(record: bytes, behind_step: int) -> Iterator[int]:
    try:
        scalar = _scalar(decode_event(record))
    except Corrupt:
        return
    if scalar is None:
        return
    bits = struct.pack("<f", scalar)
    place = len(record)
    while (place := record.rfind(bits, behind_step, place)) >= 0:
        yield place
        place += 3


def _proved(record: bytes, behind_step: int, value: int) -> Layout | None:
    """The layout of a record, if another time, step and value in their places are read as just that."""
    try:
        event = decode_event(record)
        if _scalar(event) is None or value + 4 > len(record):
            return None
        changed = bytearray(record)
        changed[1:9] = struct.pack("<d", 1234.5)
        step = event.step
        if behind_step > _BEHIND_TIME:
            size = behind_step - _BEHIND_TIME - 1
            changed[_BEHIND_TIME + 1 : behind_step] = bytes([0x81] * (size - 1) + [1])
            step = as_signed(sum(1 << 7 * place for place in range(size)) & ((1 << 64) - 1))
        changed[value : value + 4] = struct.pack("<f", -4321.5)
        again = decode_event(bytes(changed))
    except Corrupt:
        return None
    expected = (1234.5, step, event.values[0].tag, -4321.5)
    if (again.time, again.step, again.values[0].tag if again.values else None, _scalar(again)) != expected:
        return None
    return Layout(event.values[0].tag, value, event.step)


def _scalar(event: Event) -> float | None:
    """The one float32 that an event says, when it says nothing else."""
    more = (event.graph, event.meta_graph, event.run_metadata, event.session)
    if len(event.values) != 1 or event.file_version or any(each is not None for each in more):
        return None
    value = event.values[0]
    others = (value.image, value.histogram, value.audio)
    if any(each is not None for each in others) or (value.simple is not None and value.tensor is not None):
        return None
    if value.tensor is not None and not _is_float(value.tensor):
        return None
    # A tensor without metadata may be a scalar; whether it is, an earlier value of its tag decides.
    plugin = value.metadata.plugin if value.metadata is not None else SCALARS
    return scalar_of(value, plugin)


def _is_float(tensor: bytes) -> bool:
    return any(number == 1 and value == FLOAT for number, _, value in fields(tensor))


def _step_widths(data: Bytes) -> Integers:
    """How many bytes the step of each record takes; 0 where it has none, and 99 where it is cut off."""
    count: int = data.shape[1]
    if data.shape[0] <= _BEHIND_TIME:
        return np.zeros(count, np.int64)
    widths = np.full(count, 99, np.int64)
    open_ = data[_BEHIND_TIME] == _STEP
    widths[~open_] = 0
    for width in range(1, min(10, data.shape[0] - _BEHIND_TIME - 1) + 1):
        ends = open_ & (data[_BEHIND_TIME + width] < 0x80)
        widths[ends] = width
        open_ &= ~ends
        if not open_.any():
            break
    return widths


def _prints(rows: Bytes, starts: Integers, crc: Words, moving: Sequence[int], length: int) -> npt.NDArray[np.uint16]:
    """A fingerprint of every record without the bytes that move: equal for one layout, and short to sort by."""
    still = crc.copy()
    for low in range(0, starts.size, AT_ONCE):
        part = slice(low, low + AT_ONCE)
        cells = rows[starts[part], HEADER.size : -FOOTER.size]
        for place in moving:
            still[part] ^= contributions(length - 1 - place)[cells[:, place]]
    return (still ^ (still >> np.uint32(16))).astype(np.uint16)


def _columns(block: Bytes, places: Integers, width: int, layout: Layout) -> Columns:
    """The columns of records of one layout."""
    times = np.ascontiguousarray(block[:, 1:_BEHIND_TIME]).view("<f8").reshape(-1)
    values = np.ascontiguousarray(block[:, layout.value : layout.value + 4]).view("<f4").reshape(-1)
    steps = np.full(places.size, layout.step, np.int64)
    if width:
        words = np.zeros(places.size, np.uint64)
        for place in range(width):
            bits = (block[:, _BEHIND_TIME + 1 + place] & 0x7F).astype(np.uint64)
            words |= bits << np.uint64(7 * place)
        steps = words.view(np.int64)
    return Columns(places, steps, times, values.astype(np.float64))
