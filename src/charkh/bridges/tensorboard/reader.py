"""Event files as typed values: points by tag, media, params of sessions; damage is said, and the rest is kept."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from charkh.bridges.tensorboard.events import SESSION_START, Event, Metadata, Value, decode_event
from charkh.bridges.tensorboard.hparams import (
    PLUGIN,
    Experiment,
    SessionEnd,
    SessionStart,
    decode_plugin,
)
from charkh.bridges.tensorboard.media import (
    GRAPH_MIME,
    META_GRAPH_MIME,
    RUN_METADATA_MIME,
    Item,
    items_of,
    raw,
)
from charkh.bridges.tensorboard.records import FOOTER, HEADER, Damage, masked_crc, resound, walk
from charkh.bridges.tensorboard.scalar_columns import Columns, Floats, Integers, ScalarReader, scalar_of
from charkh.core.errors import Corrupt
from charkh.runs.points import MAX_SECONDS

MARK = "tfevents"
"""What stands in the name of every event file."""

MAX_DAMAGE = 20
"""Damaged places that are told one by one; the others are counted."""


class Timed(NamedTuple):
    """A media item where it was logged."""

    item: Item
    step: int
    time: float
    attempt: int


class Points(NamedTuple):
    """The points of one tag in one attempt, in order; `places` count records, `times` microseconds since 1970."""

    tag: str
    attempt: int
    places: Integers
    steps: Integers
    times: Integers
    values: Floats


class Stretch(msgspec.Struct, kw_only=True):
    """What some following records of a file say.

    Attributes:
        points: one entry a tag and attempt.
        media: in order.
        starts: sessions that began here.
        ends: sessions that ended here.
        experiments: what is said of all sessions.
        damage: records that cannot be read.
        records: how many whole records were passed, damaged ones included.
        end: offset in the file behind the last of them.
        first_time, last_time: seconds since the epoch; 0 where nothing says a time.
    """

    points: list[Points] = []
    media: list[Timed] = []
    starts: list[SessionStart] = []
    ends: list[SessionEnd] = []
    experiments: list[Experiment] = []
    damage: list[Damage] = []
    records: int = 0
    end: int = 0
    first_time: float = 0.0
    last_time: float = 0.0

    @property
    def count(self) -> int:
        """How many points."""
        return sum(each.steps.size for each in self.points)


class FileState(msgspec.Struct, kw_only=True):
    """How far a file has been read, and what the rest of it needs to be understood.

    Attributes:
        identity: of the file: its name and its first record.
        offset: of the first byte that was not read.
        attempt: microseconds since the epoch at which the writer began, or went on from a checkpoint.
        metadata: by tag, of its first value.
        broken: offset of damage behind which no record was found yet; -1 for none.
        since: offset at which the open segment begins that has what was read last; -1 for none.
    """

    identity: str
    offset: int = 0
    attempt: int = 0
    metadata: dict[str, Metadata] = {}
    broken: int = -1
    since: int = -1


class EventReader:
    """Reads one event file from where it was left.

    Args:
        state: of the file; it is moved on by `read`.
        scalars: shared by the files of a run, so that layouts are learnt once.
    """

    def __init__(self, state: FileState, scalars: ScalarReader | None = None) -> None:
        self.state = state
        self._scalars = scalars or ScalarReader()

    def read(self, descriptor: int, size: int, most_records: int | None = None) -> Stretch:
        """The next records of an open file.

        Args:
            descriptor: of the file.
            size: bytes to read; more where a single record is longer.
            most_records: stop behind so many records.

        Raises:
            OSError: the file cannot be read.
        """
        state = self.state
        if most_records is not None and not most_records:
            return Stretch(end=state.offset)
        while True:
            buffer = os.pread(descriptor, size, state.offset)
            framed = walk(buffer)
            stretch = Stretch(end=state.offset)
            if len(framed.offsets) > 1:
                break
            if framed.damage is not None:
                return self._behind(descriptor, buffer, framed.damage, stretch)
            if len(buffer) < size:
                return stretch
            size *= 2
        offsets = framed.offsets if most_records is None else framed.offsets[: most_records + 1]
        self._understand(buffer, offsets, stretch)
        stretch.records = len(offsets) - 1
        state.offset = stretch.end = state.offset + offsets[-1]
        return stretch

    def _behind(self, descriptor: int, buffer: bytes, damage: Damage, stretch: Stretch) -> Stretch:
        """Pass over bytes that are no record, to the next sound one, if it is there."""
        state = self.state
        rest = buffer + os.pread(descriptor, _LOOK_AHEAD, state.offset + len(buffer))
        found = resound(rest, 1)
        if state.broken != state.offset:
            stretch.damage.append(damage._replace(offset=state.offset))
            state.broken = state.offset
        if found is not None:
            state.offset = stretch.end = state.offset + found
            state.broken = -1
            # A gap counts as one record, so that whoever passes over it again comes out at the same place.
            stretch.records = 1
        return stretch

    def _understand(self, buffer: bytes, offsets: list[int], stretch: Stretch) -> None:
        state = self.state
        taken = self._scalars.take(buffer, offsets, state.metadata)
        columns = taken.columns
        starts: list[tuple[int, int]] = [(0, state.attempt)]
        single: dict[str, tuple[list[int], list[int], list[float], list[float]]] = {}
        for place in taken.rest:
            begin, end = offsets[place], offsets[place + 1]
            data = buffer[begin + HEADER.size : end - FOOTER.size]
            where = state.offset + begin
            if FOOTER.unpack_from(buffer, end - FOOTER.size)[0] != masked_crc(data):
                stretch.damage.append(Damage(where, "a record is not what its checksum says", lost=False))
                continue
            try:
                event = decode_event(data)
                self._note(event, place, stretch, starts, single)
            except Corrupt as error:
                stretch.damage.append(Damage(where, error.message, lost=False))
        for tag, (places, steps, times, values) in single.items():
            made = Columns(
                np.array(places, np.int64), np.array(steps, np.int64), np.array(times), np.array(values, np.float64)
            )
            columns.setdefault(tag, []).append(made)
        for tag, parts in columns.items():
            stretch.points += _points(tag, parts, starts)
        state.attempt = starts[-1][1] or 1
        moments = [each.times for each in stretch.points]
        if moments:
            self._span(stretch, float(min(each.min() for each in moments)) / 1e6)
            self._span(stretch, float(max(each.max() for each in moments)) / 1e6)

    def _note(
        self,
        event: Event,
        place: int,
        stretch: Stretch,
        starts: list[tuple[int, int]],
        single: dict[str, tuple[list[int], list[int], list[float], list[float]]],
    ) -> None:
        state = self.state
        time = event.time if abs(event.time) < MAX_SECONDS else 0.0
        self._span(stretch, time)
        if not state.attempt and not starts[-1][1]:
            starts[-1] = (0, max(1, int(time * 1e6)))
        if event.session == SESSION_START and place > 0:
            # The writer went on from a checkpoint: what it logs again shows, and what it had logged is kept.
            starts.append((place, max(starts[-1][1] + 1, int(time * 1e6))))
        attempt = starts[-1][1]
        add = stretch.media.append
        if event.graph is not None:
            add(Timed(Item("graph", "graph", GRAPH_MIME, event.graph, {}), event.step, time, attempt))
        if event.meta_graph is not None:
            add(Timed(Item("meta_graph", "file", META_GRAPH_MIME, event.meta_graph, {}), event.step, time, attempt))
        if event.run_metadata is not None:
            tag, data = event.run_metadata
            add(Timed(Item(tag or "run_metadata", "file", RUN_METADATA_MIME, data, {}), event.step, time, attempt))
        for value in event.values:
            metadata = state.metadata.get(value.tag)
            if value.metadata is not None:
                metadata = value.metadata
                state.metadata.setdefault(value.tag, metadata)
            number = scalar_of(value, metadata.plugin if metadata is not None else "")
            if number is not None:
                columns = single.setdefault(value.tag, ([], [], [], []))
                for column, cell in zip(columns, (place, event.step, time, number), strict=True):
                    column.append(cell)  # pyright: ignore[reportArgumentType]
            elif metadata is not None and metadata.plugin == PLUGIN:
                self._session(metadata, stretch)
            else:
                for item in _media(value, metadata, stretch, state.offset):
                    add(Timed(item, event.step, time, attempt))

    def _session(self, metadata: Metadata, stretch: Stretch) -> None:
        said = decode_plugin(metadata.content)
        if isinstance(said, SessionStart):
            stretch.starts.append(said)
        elif isinstance(said, SessionEnd):
            stretch.ends.append(said)
        elif said is not None:
            stretch.experiments.append(said)

    def _span(self, stretch: Stretch, time: float) -> None:
        if time > 0:
            stretch.first_time = min(stretch.first_time or time, time)
            stretch.last_time = max(stretch.last_time, time)


_LOOK_AHEAD = 64 << 20


def _media(value: Value, metadata: Metadata | None, stretch: Stretch, offset: int) -> list[Item]:
    try:
        return list(items_of(value, metadata))
    except Corrupt as error:
        # What cannot be understood is kept as it is.
        stretch.damage.append(Damage(offset, error.message, lost=False))
        return [raw(value, metadata)]


def _points(tag: str, parts: list[Columns], starts: list[tuple[int, int]]) -> list[Points]:
    """The columns of a tag in order of the records, one entry for each attempt."""
    places, steps = np.concatenate([part.places for part in parts]), np.concatenate([part.steps for part in parts])
    seconds, values = np.concatenate([part.times for part in parts]), np.concatenate([part.values for part in parts])
    if len(parts) > 1:
        order = np.argsort(places, kind="stable")
        places, steps, seconds, values = places[order], steps[order], seconds[order], values[order]
    # NaN is not less than anything either.
    sound = np.where(np.abs(seconds) < MAX_SECONDS, seconds, 0.0)
    times = np.rint(sound * 1e6).astype(np.int64)
    if len(starts) == 1:
        return [Points(tag, starts[0][1], places, steps, times, values)]
    borders = np.searchsorted(places, [start for start, _ in starts[1:]]).tolist()
    pieces = zip([0, *borders], [*borders, places.size], [attempt for _, attempt in starts], strict=True)
    return [
        Points(tag, attempt, places[low:high], steps[low:high], times[low:high], values[low:high])
        for low, high, attempt in pieces
        if high > low
    ]


def identity_of(path: Path) -> str:
    """What tells an event file from every other one: its name and its first record; empty where that is not there yet.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(1 << 16)
    framed = walk(head)
    end = framed.offsets[1] if len(framed.offsets) > 1 else len(head) if framed.damage is not None else 0
    if not end:
        return ""
    return hashlib.blake2b(path.name.encode("utf-8", "replace") + b"\0" + head[:end], digest_size=16).hexdigest()


def event_folders(logdir: Path) -> Mapping[Path, list[Path]]:
    """The event files below a folder, by the folder that they lie in: TensorBoard's runs; links are not followed."""
    found: dict[Path, list[Path]] = {}
    for folder, folders, names in os.walk(logdir):
        folders.sort()
        files = sorted(Path(folder) / name for name in names if MARK in name)
        files = [each for each in files if each.is_file()]
        if files:
            found[Path(folder)] = files
    return found
