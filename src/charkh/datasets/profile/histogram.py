"""A histogram of numbers whose bins are a function of the numbers alone, so that merging loses nothing.

A float64 is read as an integer that orders like it, and a bin is a run of 2^shift such integers: bins are fine where
numbers are small and coarse where they are large, as in HDR histograms. `shift` is the least at which at most `BINS`
bins are not empty. Bins of one shift nest in those of the next, and a part never needs a greater shift than the whole;
so the histogram of a whole is the merge of those of its parts, bit for bit, however it was parted.
"""

import bisect
import math

import msgspec
import numpy as np
import numpy.typing as npt

BINS = 1024
_LITTLE = "<u8"

Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]


class Histogram(msgspec.Struct, frozen=True, array_like=True):
    """Numbers in bins.

    Attributes:
        shift: binary digits that a bin leaves open; with 0, every bin is one number and all is exact.
        bins: number of each bin that is not empty, in order, as little-endian 64-bit integers.
        sizes: how many numbers are in each, likewise.
    """

    shift: int = 0
    bins: bytes = b""
    sizes: bytes = b""

    @property
    def keys(self) -> Keys:
        return np.frombuffer(self.bins, _LITTLE).astype(np.uint64)

    @property
    def counts(self) -> Counts:
        return np.frombuffer(self.sizes, "<i8").astype(np.int64)

    @property
    def exact(self) -> bool:
        """Whether each bin is one number."""
        return self.shift == 0

    @property
    def rank_error(self) -> float:
        """How far the rank of a quantile can be off, as a share of all numbers: the largest bin that holds several."""
        counts = self.counts
        return 0.0 if self.exact or not len(counts) else float(counts.max() / counts.sum())


def histogram_of(keys: Keys, counts: Counts) -> Histogram:
    """The histogram of distinct, ascending keys (`keys_of`), each counted so often."""
    shift = _least_shift(keys)
    return _packed(shift, *_coarsened(keys, counts, shift))


def merge_histograms(first: Histogram, second: Histogram) -> Histogram:
    """The histogram of both together."""
    shift = max(first.shift, second.shift)
    sides = [_coarsened(each.keys, each.counts, shift - each.shift) for each in (first, second)]
    keys = np.concatenate([side[0] for side in sides])
    counts = np.concatenate([side[1] for side in sides])
    order = np.argsort(keys, kind="stable")
    keys, counts = _coarsened(keys[order], counts[order], 0)
    more = _least_shift(keys)
    return _packed(shift + more, *_coarsened(keys, counts, more))


def keys_of(values: Floats) -> Keys:
    """Integers that order like the numbers; minus zero is zero."""
    bits = (values + 0.0).view(np.int64)
    return (bits ^ ((bits >> 63) | np.int64(-(2**63)))).view(np.uint64)


def values_of(keys: Keys) -> Floats:
    """The numbers of such integers, those beyond the finite ones cut to them."""
    high = (keys >> np.uint64(63)).astype(bool)
    bits = np.where(high, keys ^ np.uint64(2**63), ~keys)
    largest = np.finfo(np.float64).max
    return np.clip(np.nan_to_num(bits.view(np.float64), nan=largest), -largest, largest)


def edges_of(histogram: Histogram) -> tuple[Floats, Floats]:
    """The least and the greatest number that each bin can hold."""
    keys, shift = histogram.keys, np.uint64(histogram.shift)
    low = keys << shift
    return values_of(low), values_of(low | np.uint64((1 << histogram.shift) - 1))


def quantiles_of(histogram: Histogram, shares: list[float]) -> list[float]:
    """The quantiles at these shares, between a bin's edges in proportion; NaN of no numbers."""
    counts = histogram.counts
    if not len(counts):
        return [math.nan] * len(shares)
    low, high = edges_of(histogram)
    reached: list[int] = np.cumsum(counts).tolist()
    found: list[float] = []
    for share in shares:
        rank = share * (reached[-1] - 1)
        place = min(bisect.bisect_right(reached, rank), len(reached) - 1)
        before = reached[place - 1] if place else 0
        inside = (rank - before + 0.5) / float(counts[place])
        found.append(float(low[place] + (high[place] - low[place]) * min(1.0, inside)))
    return found


def aligned(first: Histogram, second: Histogram) -> tuple[Floats, Counts, Counts]:
    """Both over the same bins: the greatest number of each bin, and the counts of either."""
    shift = max(first.shift, second.shift)
    sides = [_coarsened(each.keys, each.counts, shift - each.shift) for each in (first, second)]
    keys = np.union1d(sides[0][0], sides[1][0])
    counted: list[Counts] = []
    for own, counts in sides:
        whole = np.zeros(len(keys), np.int64)
        whole[np.searchsorted(keys, own)] = counts
        counted.append(whole)
    high = values_of((keys << np.uint64(shift)) | np.uint64((1 << shift) - 1))
    return high, counted[0], counted[1]


def _least_shift(keys: Keys) -> int:
    """The least shift at which ascending keys fill at most `BINS` bins."""
    if len(keys) <= BINS:
        return 0
    low, high = 0, 63
    while low < high:
        middle = (low + high) // 2
        cut = keys >> np.uint64(middle)
        if int(np.count_nonzero(cut[1:] != cut[:-1])) < BINS:
            high = middle
        else:
            low = middle + 1
    return low


def _coarsened(keys: Keys, counts: Counts, shift: int) -> tuple[Keys, Counts]:
    if not len(keys):
        return keys, counts
    cut = keys >> np.uint64(shift)
    begins = np.flatnonzero(np.concatenate([[True], cut[1:] != cut[:-1]]))
    return cut[begins], np.add.reduceat(counts, begins)


def _packed(shift: int, keys: Keys, counts: Counts) -> Histogram:
    return Histogram(shift if len(keys) else 0, keys.astype(_LITTLE).tobytes(), counts.astype("<i8").tobytes())
