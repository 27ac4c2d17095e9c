"""Numbers counted between fixed edges: what the reference fixes once, and every batch of live rows adds to.

The edges are quantiles of a sample of the reference; the counts between them are exact, whatever the sample was. Two
sketches over the same edges add up. A value's bin is read from a table (`bins`), which takes less than sorting, and the
length of a batch never shows in the memory that is kept.
"""

import math
from typing import cast

import msgspec
import numpy as np
import polars as pl

from charkh.monitors.sketches.bins import PIECE, Bins, Counts, Floats

GRID = 512
"""Quantiles of the reference at which the distribution functions are compared."""
_TINY = float(np.finfo(np.float64).tiny)


class NumberSketch(msgspec.Struct, frozen=True, kw_only=True):
    """One numeric column.

    Attributes:
        edges: upper edges of all bins but the last, as little-endian float64.
        sizes: values in each bin, one bin more than there are edges, as little-endian 64-bit integers.
        sums: of the values in each bin, less `center` and in units of `unit`, as little-endian float64.
        center: about the reference's median, so that nothing is lost far from zero.
        unit: a power of two about as large as the reference's spread, so that sums and squares do not overflow.
        squares: sum of the squares, less `center` and in units of `unit`.
        rows: all rows.
        missing: without a value (null or NaN).
        infinite: that are not finite; in no bin.
        least: the least finite value; infinite where there is none.
        greatest: the greatest finite value, likewise.
        outside: values below the least or above the greatest of the reference; 0 for the reference itself.
    """

    edges: bytes
    sizes: bytes
    sums: bytes
    center: float = 0.0
    unit: float = 1.0
    squares: float = 0.0
    rows: int = 0
    missing: int = 0
    infinite: int = 0
    least: float = math.inf
    greatest: float = -math.inf
    outside: int = 0

    @property
    def at(self) -> Floats:
        """The edges as numbers."""
        return np.frombuffer(self.edges, "<f8").astype(np.float64)

    @property
    def counts(self) -> Counts:
        return np.frombuffer(self.sizes, "<i8").astype(np.int64)

    @property
    def totals(self) -> Floats:
        """The sums as numbers."""
        return np.frombuffer(self.sums, "<f8").astype(np.float64)

    @property
    def known(self) -> int:
        """Finite values."""
        return self.rows - self.missing - self.infinite

    @property
    def deviation(self) -> float:
        """Standard deviation, in units of `unit`."""
        if not self.known:
            return 0.0
        mean = float(self.totals.sum()) / self.known
        return math.sqrt(max(0.0, self.squares / self.known - mean * mean))


def edges_of(sample: pl.Series) -> Floats:
    """Edges for a column of which this is a sample.

    A value that is more than one quantile has a bin of its own, and so has every one where there are few: the
    distribution functions are then compared on both of its sides, which makes their distance exact there.
    """
    values = as_floats(sample)
    ordered = np.sort(values[np.isfinite(values)])
    if not len(ordered):
        return np.zeros(0)
    different = ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])]
    if len(different) <= GRID:
        chosen, alone = different, different
    else:
        quantiles = ordered[(np.arange(1, GRID) * len(ordered)) // GRID]
        chosen, times = np.unique(quantiles, return_counts=True)
        alone = chosen[times > 1]
    # What lies below everything has a bin too, so that leaving the range is seen.
    with np.errstate(over="ignore"):
        edges = np.union1d(chosen, np.nextafter(np.concatenate([alone, ordered[:1]]), -np.inf))
    return edges[np.isfinite(edges)]


def empty_numbers(edges: Floats) -> NumberSketch:
    """Nothing counted yet between these edges."""
    center = float(edges[len(edges) // 2]) if len(edges) else 0.0
    # Halves, because the distance of two numbers may be larger than any number.
    largest = float(np.abs(edges / 2 - center / 2).max()) if len(edges) else 0.0
    return NumberSketch(
        edges=edges.astype("<f8").tobytes(),
        sizes=np.zeros(len(edges) + 1, "<i8").tobytes(),
        sums=np.zeros(len(edges) + 1, "<f8").tobytes(),
        center=center,
        unit=max(math.ldexp(1.0, min(1023, math.frexp(largest)[1])), _TINY) if largest > 0 else 1.0,
    )


def emptied_numbers(sketch: NumberSketch) -> NumberSketch:
    """Nothing counted yet between the edges of this one."""
    return msgspec.structs.replace(empty_numbers(sketch.at), center=sketch.center, unit=sketch.unit)


class NumberCounter:
    """Counts batches of a column between fixed edges; its memory does not grow.

    Args:
        start: whose edges and unit they are; its counts are the beginning.
        reference: whose range is held against the values, or None.
    """

    def __init__(self, start: NumberSketch, reference: NumberSketch | None = None) -> None:
        self._start = start
        self._bins = Bins(start.at, start.center, start.unit)
        self._counts, self._sums = start.counts, start.totals
        self._squares, self._rows, self._missing = start.squares, start.rows, start.missing
        self._infinite, self._outside = start.infinite, start.outside
        self._least, self._greatest = start.least, start.greatest
        self._range = (reference.least, reference.greatest) if reference is not None and reference.known else None

    def add(self, column: pl.Series) -> None:
        """Count one more batch."""
        values = as_floats(column)
        self._rows += len(values)
        for begin in range(0, len(values), PIECE):
            piece = values[begin : begin + PIECE]
            least, greatest = float(piece.min()), float(piece.max())
            # Both are NaN where a value is, and one of them is infinite where a value is.
            if not (math.isfinite(least) and math.isfinite(greatest)):
                piece = self._without_gaps(piece)
                if not len(piece):
                    continue
                least, greatest = float(piece.min()), float(piece.max())
            self._count(piece, least, greatest)

    def _without_gaps(self, piece: Floats) -> Floats:
        finite = piece[np.isfinite(piece)]
        missing = int(np.count_nonzero(np.isnan(piece)))
        self._missing += missing
        self._infinite += len(piece) - missing - len(finite)
        return finite

    def _count(self, finite: Floats, least: float, greatest: float) -> None:
        self._least, self._greatest = min(self._least, least), max(self._greatest, greatest)
        binned = self._bins.count(finite)
        self._counts += binned.sizes
        with np.errstate(over="ignore", invalid="ignore"):
            self._sums += binned.sums
            self._squares += binned.squares
        if self._range is not None and (least < self._range[0] or greatest > self._range[1]):
            self._outside += int(np.count_nonzero((finite < self._range[0]) | (finite > self._range[1])))

    def done(self) -> NumberSketch:
        """What was counted."""
        return msgspec.structs.replace(
            self._start,
            sizes=self._counts.astype("<i8").tobytes(),
            sums=self._sums.astype("<f8").tobytes(),
            squares=self._squares,
            rows=self._rows,
            missing=self._missing,
            infinite=self._infinite,
            least=self._least,
            greatest=self._greatest,
            outside=self._outside,
        )


def merge_numbers(first: NumberSketch, second: NumberSketch) -> NumberSketch:
    """Both together; they must have the same edges, as all sketches of one reference have.

    Raises:
        ValueError: they have not.
    """
    if (first.edges, first.center, first.unit) != (second.edges, second.center, second.unit):
        raise ValueError("sketches over different edges do not add up")
    return msgspec.structs.replace(
        first,
        sizes=(first.counts + second.counts).astype("<i8").tobytes(),
        sums=(first.totals + second.totals).astype("<f8").tobytes(),
        squares=first.squares + second.squares,
        rows=first.rows + second.rows,
        missing=first.missing + second.missing,
        infinite=first.infinite + second.infinite,
        least=min(first.least, second.least),
        greatest=max(first.greatest, second.greatest),
        outside=first.outside + second.outside,
    )


def as_floats(column: pl.Series) -> Floats:
    """A column as float64 without a gap: what is missing is NaN; times are microseconds since the epoch."""
    if column.dtype.is_temporal():
        dated = isinstance(column.dtype, pl.Date | pl.Datetime)
        column = (column.cast(pl.Datetime("us")) if dated else column).to_physical()
    return cast(Floats, column.cast(pl.Float64).to_numpy())
