"""The sealed form of a points segment: one blob of compressed columns (docs/formats/runs.md).

    MAGIC, length of the index (u32, little-endian), index (msgpack, zstd), columns

Each column is zstd over its bytes grouped by significance; steps and times are differences first. A layout of
our own and not Parquet: series that were logged together share one column of steps and one of times, a run
of ten points takes 200 bytes and not 2 KB, one series is read by its byte range, and closing a run imports
no table library.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import zstandard

from charkh.core.errors import Corrupt
from charkh.runs.indexed_blob import Read, read_indexed, write_indexed
from charkh.runs.points import Series, SeriesName
from charkh.runs.run import SeriesSummary

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from charkh.runs.points import Floats, Integers

MAGIC = b"charkh points 1\n"
WORD = 8
MAX_INDEX_BYTES = 1 << 30
LEVEL = 3


class Column(msgspec.Struct, frozen=True, array_like=True):
    """Where a column lies, counted from the first byte behind the index."""

    offset: int
    length: int


class SealedSeries(msgspec.Struct, frozen=True, array_like=True):
    """One metric in the index: its summary and its three columns."""

    summary: SeriesSummary
    steps: Column
    times: Column
    values: Column


class Index(msgspec.Struct, frozen=True, array_like=True):
    """The index: every series of the segment, in order of its first point."""

    series: tuple[SealedSeries, ...]


class PlacedIndex(msgspec.Struct, frozen=True):
    """An index, and where the columns begin in the blob."""

    index: Index
    begin: int


_decode_index = msgspec.msgpack.Decoder(Index).decode


def encode_blob(series: Sequence[Series], summaries: Sequence[SeriesSummary]) -> bytes:
    """The blob of a segment's series; equal series give equal bytes."""
    compress = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True).compress
    columns: list[bytes] = []
    placed: dict[int, Column] = {}
    end = 0

    def place(identity: int, encode: Callable[[], bytes]) -> Column:
        nonlocal end
        if identity not in placed:
            columns.append(compress(encode()))
            placed[identity] = Column(end, len(columns[-1]))
            end += len(columns[-1])
        return placed[identity]

    index = Index(
        tuple(
            SealedSeries(
                summary,
                place(id(each.steps), lambda each=each: _grouped(_differences(each.steps))),
                place(id(each.times), lambda each=each: _grouped(_differences(each.times))),
                place(id(each.values), lambda each=each: _grouped(each.values)),
            )
            for each, summary in zip(series, summaries, strict=True)
        )
    )
    return write_indexed(MAGIC, index, columns, level=LEVEL)


def read_index(read: Read) -> PlacedIndex:
    """The index of a blob.

    Raises:
        Corrupt: it is no blob of points, or of a later format.
    """
    index, begin = read_indexed(read, MAGIC, _decode_index, most=MAX_INDEX_BYTES, what="points", code="run.bad_points")
    return PlacedIndex(index, begin)


def read_series(read: Read, placed: PlacedIndex, series: SealedSeries) -> Series:
    """The points of one series.

    Raises:
        Corrupt: its columns are not what the index says.
    """
    import numpy as np  # only readers of points need it; see `charkh.runs.points`

    count = series.summary.count
    words = [_ungrouped(_column(read, placed, column, count)) for column in (series.steps, series.times, series.values)]
    steps, times = (np.cumsum(column.view(np.int64)) for column in words[:2])
    name = SeriesName(series.summary.key, series.summary.context)
    return Series(name, steps, times, words[2].view(np.float64))


def _column(read: Read, placed: PlacedIndex, column: Column, count: int) -> bytes:
    encoded = read(placed.begin + column.offset, column.length)
    try:
        # A frame may claim any size; no more is unpacked than the index says.
        if zstandard.frame_content_size(encoded) != count * WORD:
            raise Corrupt("a column of sealed points has the wrong length", code="run.bad_points")
        return zstandard.ZstdDecompressor().decompress(encoded)
    except zstandard.ZstdError as error:
        raise Corrupt(f"a column of sealed points cannot be read: {error}", code="run.bad_points") from error


def _differences(words: Integers) -> Integers:
    import numpy as np  # see `read_series`

    return np.diff(words, prepend=np.int64(0))


def _grouped(words: Integers | Floats) -> bytes:
    """First the lowest byte of every word, then the second of every word, and so on."""
    import numpy as np  # see `read_series`

    little = words.astype(words.dtype.newbyteorder("<"), copy=False)
    return np.ascontiguousarray(little.view(np.uint8).reshape(-1, WORD).T).tobytes()


def _ungrouped(data: bytes) -> npt.NDArray[np.uint64]:
    import numpy as np  # see `read_series`

    words: Any = np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(WORD, -1).T).view("<u8").reshape(-1)
    return words.astype(np.uint64, copy=False)
