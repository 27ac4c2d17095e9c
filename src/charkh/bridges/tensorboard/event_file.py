"""Write an event file: the framing of `records` around the messages of `events`; scalars of one tag all at once."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from charkh.bridges.tensorboard.crc_columns import contributions, crc_of_zeros, masked
from charkh.bridges.tensorboard.events import FILE_VERSION, Event, Value, encode_event
from charkh.bridges.tensorboard.records import FOOTER, HEADER, encode_record
from charkh.bridges.tensorboard.scalar_columns import Bytes, Floats, Integers
from charkh.core.errors import Unavailable

_numbers = itertools.count()
_MARKED_STEP = 0x10


class EventFile:
    """An event file that is appended to; every call is one write.

    Threads: may be shared.

    Args:
        path: of the file; its folder is made.
        created: seconds since the epoch that its first record says.

    Raises:
        Unavailable: it cannot be written.
    """

    def __init__(self, path: Path, created: float) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Nothing is buffered here: what was added is seen by whoever follows the file.
            self._file: BinaryIO = path.open("ab", buffering=0)
        except OSError as error:
            raise _unavailable(path, error) from error
        self.add(Event(time=created, file_version=FILE_VERSION))

    def add(self, event: Event) -> None:
        """Append one event.

        Raises:
            Unavailable: it cannot be written.
        """
        self.write(encode_record(encode_event(event)))

    def write(self, encoded: bytes) -> None:
        """Append whole records; see `add`."""
        try:
            with self._lock:
                self._file.write(encoded)
        except OSError as error:
            raise _unavailable(self.path, error) from error

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        self._file.close()


def fresh_name(created: float) -> str:
    """A name that no other writer of this machine gives: moment, machine, process, number."""
    return f"events.out.tfevents.{int(created):010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"


def open_event_file(folder: Path) -> EventFile:
    """A new event file in a folder; see `EventFile`."""
    created = time.time()
    return EventFile(folder / fresh_name(created), created)


def scalar_records(tag: str, steps: Integers, times: Floats, values: Floats) -> bytes:
    """The records of one tag's scalars, with their checksums: what `EventFile.add` writes for each, made at once.

    Args:
        tag: name of the metric.
        steps: one for each point.
        times: seconds since the epoch.
        values: one for each point; written as float32, as every writer of event files does.
    """
    with np.errstate(over="ignore"):
        singles = values.astype("<f4")
    parts: list[bytes] = []
    # Records of steps that take equally many bytes are equally long; a curve has few such stretches.
    widths = _varint_widths(steps)
    borders = np.flatnonzero(np.r_[True, widths[1:] != widths[:-1], True]) if steps.size else np.zeros(0, np.int64)
    for begin, end in itertools.pairwise(borders.tolist()):
        width = int(widths[begin])
        parts.append(_records(tag, width, steps[begin:end], times[begin:end], singles[begin:end]))
    return b"".join(parts)


def _records(tag: str, width: int, steps: Integers, times: Floats, values: npt.NDArray[np.float32]) -> bytes:
    example = Event(time=1.0, step=1 << 7 * (width - 1) if width else 0, values=(Value(tag=tag, simple=1.0),))
    if width == 10:
        example = Event(time=1.0, step=-1, values=example.values)
    pattern = np.frombuffer(encode_event(example), np.uint8)
    length = pattern.size
    cells: Bytes = np.repeat(pattern[:, None], steps.size, axis=1)
    cells[1:9] = np.ascontiguousarray(times.astype("<f8")).view(np.uint8).reshape(-1, 8).T
    if width:
        words = steps.view(np.uint64)
        for place in range(width):
            more = 0x80 if place < width - 1 else 0
            cells[10 + place] = ((words >> np.uint64(7 * place)) & np.uint64(0x7F)).astype(np.uint8) | np.uint8(more)
    cells[length - 4 :] = np.ascontiguousarray(values).view(np.uint8).reshape(-1, 4).T
    crc = np.bitwise_xor.reduce([contributions(length - 1 - place)[cells[place]] for place in range(length)], axis=0)
    footers = masked(crc ^ np.uint32(crc_of_zeros(length))).astype("<u4").view(np.uint8).reshape(-1, 4).T
    header = np.frombuffer(encode_record(bytes(length))[: HEADER.size], np.uint8)
    whole = np.empty((HEADER.size + length + FOOTER.size, steps.size), np.uint8)
    whole[: HEADER.size] = header[:, None]
    whole[HEADER.size : HEADER.size + length] = cells
    whole[HEADER.size + length :] = footers
    return np.ascontiguousarray(whole.T).tobytes()


def _varint_widths(steps: Integers) -> Integers:
    """Bytes of each step as a varint; a step of 0 is not written at all."""
    words = steps.view(np.uint64)
    widths = (steps != 0).astype(np.int64)
    for place in range(1, 10):
        widths += (words >= np.uint64(1 << 7 * place)).astype(np.int64)
    return widths


def _unavailable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"cannot write {path}: {error.strerror}",
        code="tensorboard.cannot_write",
        hint="Look at the path, its permissions and the free space.",
    )
