"""How many different values there are: exact up to `KEPT`, estimated beyond, and merged without the values.

The `KEPT` least hashes of all values are kept (Bar-Yossef et al. 2002; Beyer et al. 2007): a function of the set of
values, so merging loses nothing. The estimate's standard error is 1/sqrt(KEPT - 2), about 3 %.
"""

import msgspec
import numpy as np
import numpy.typing as npt

KEPT = 1024
ERROR = (KEPT - 2) ** -0.5
"""Relative standard error of an estimate."""
_MANY = 1 << 20
"""Bytes of text that are hashed at once."""

Hashes = npt.NDArray[np.uint64]


class Distinct(msgspec.Struct, frozen=True, array_like=True):
    """The least hashes of the different values, ascending, as little-endian 64-bit integers."""

    hashes: bytes = b""

    @property
    def exact(self) -> bool:
        return len(self.hashes) < KEPT * 8

    @property
    def count(self) -> int:
        """How many different values there are; an estimate unless `exact`."""
        kept = len(self.hashes) // 8
        if self.exact:
            return kept
        greatest = int(np.frombuffer(self.hashes, "<u8")[-1])
        return round((kept - 1) * 2**64 / (greatest + 1))


def distinct_of(hashes: Hashes) -> Distinct:
    """Of the hashes of values, which may repeat."""
    if len(hashes) > 4 * KEPT:
        # Among the least 4 * KEPT there are enough different ones, or else all are looked at.
        few = np.unique(np.partition(hashes, 4 * KEPT - 1)[: 4 * KEPT])
        if len(few) >= KEPT:
            return Distinct(few[:KEPT].astype("<u8").tobytes())
    return Distinct(np.unique(hashes)[:KEPT].astype("<u8").tobytes())


def merge_distinct(first: Distinct, second: Distinct) -> Distinct:
    """Of the values of both."""
    return distinct_of(np.frombuffer(first.hashes + second.hashes, "<u8").astype(np.uint64))


def mixed(keys: Hashes) -> Hashes:
    """Hashes of 64-bit integers: the finaliser of SplitMix64 (Steele, Lea & Flood 2014), a bijection."""
    with np.errstate(over="ignore"):
        value = keys + np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return value ^ (value >> np.uint64(31))


def hashed_texts(joined: bytes, lengths: npt.NDArray[np.int64]) -> Hashes:
    """Hashes of texts that lie one after another, each of so many bytes: a multilinear hash, then mixed.

    Every byte is multiplied with a number of its place (Carter & Wegman 1979); equal on every machine and for ever, as
    profiles of other days are merged with these.
    """
    found = np.empty(len(lengths), np.uint64)
    data = np.frombuffer(joined, np.uint8)
    ends = np.cumsum(lengths)
    begin = 0
    while begin < len(lengths):
        offset = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, offset + _MANY, "right")))
        found[begin:end] = _hashed(data[offset : int(ends[end - 1])], lengths[begin:end])
        begin = end
    return mixed(found)


def _hashed(data: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64]) -> Hashes:
    sums = np.zeros(len(lengths), np.uint64)
    filled = lengths > 0
    if len(data):
        begins = (np.cumsum(lengths) - lengths)[filled]
        places = np.arange(len(data)) - np.repeat(begins, lengths[filled])
        odd = mixed(np.arange(int(lengths.max()), dtype=np.uint64)) | np.uint64(1)
        with np.errstate(over="ignore"):
            products = mixed(data.astype(np.uint64)) * odd[places]
            sums[filled] = np.add.reduceat(products, begins)
    with np.errstate(over="ignore"):
        return sums + lengths.astype(np.uint64) * np.uint64(0xD6E8FEB86659FD93)
