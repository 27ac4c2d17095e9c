"""Permute whole groups of rows between a reference and live rows, so that what rows of a group share is no evidence.

A permutation test is exact where the groups are exchangeable (Fisher 1935; Good 2005). Rows of one day are not
independent, so days change sides, not rows. The observed labelling counts as one of the permutations: a p-value is
(k+1)/(P+1) and never 0 (Phipson & Smyth 2010).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

ROUNDS = 999
MOST_GROUPS = 2048
FEWEST_GROUPS = 64
"""So many runs has the smaller side, where it has the rows for them and nothing says what rows share."""


class Groups(NamedTuple):
    """Rows of both sides in groups.

    Attributes:
        rows: which rows are kept, of the reference first and then of the live ones.
        codes: the group of each kept row.
        live: by group, whether it is of the live side.
        counts: by group, its kept rows.
    """

    rows: Codes
    codes: Codes
    live: npt.NDArray[np.bool_]
    counts: Floats

    def sums(self, values: Floats) -> Floats:
        """By group, the sum of the kept rows of `values`, a row each."""
        order = np.argsort(self.codes, kind="stable")
        starts = np.concatenate([[0], np.cumsum(self.counts)[:-1]]).astype(np.intp)
        return np.add.reduceat(values[order], starts, axis=0)


def groups_of(reference: int, live: int, blocks: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None = None) -> Groups:
    """Groups of so many rows.

    Without blocks, runs of neighbouring rows of one length, so that rows which depend on the row before stay together.
    With them, a group is a block, thinned so that neither side's blocks are larger as a rule than the other's:
    blocks of different sizes would not be exchangeable.

    Args:
        reference: rows of the reference, in their order.
        live: live rows, likewise.
        blocks: of either side's rows, values whose equality makes a block.
    """
    if blocks is None:
        length = max(1, min(reference, live) // FEWEST_GROUPS, -(-(reference + live) // MOST_GROUPS))
        sides = [np.arange(rows // length * length) // length for rows in (reference, live)]
        kept = [np.arange(len(side)) for side in sides]
    else:
        sides = [np.unique(side, return_inverse=True)[1].reshape(-1) for side in blocks]
        typical = min((int(np.median(np.bincount(side))) for side in sides if len(side)), default=1)
        kept = [_thinned(side, max(1, typical)) for side in sides]
        sides = [side[rows] for side, rows in zip(sides, kept, strict=True)]
    groups = [int(side.max()) + 1 if len(side) else 0 for side in sides]
    codes = np.concatenate([sides[0], sides[1] + groups[0]])
    return Groups(
        rows=np.concatenate([kept[0], kept[1] + reference]),
        codes=codes,
        live=np.repeat([False, True], groups),
        counts=np.bincount(codes, minlength=sum(groups)).astype(np.float64),
    )


class Chance(NamedTuple):
    """A statistic beside what permutations give: its value, p, its mean under the null, and the least possible p."""

    value: float
    p: float
    expected: float
    least: float


def permute(
    statistic: Callable[[Floats], Floats], live: npt.NDArray[np.bool_], *, rounds: int = ROUNDS, seed: int = 0
) -> Chance:
    """How surprising a statistic is among labellings of the groups with as many live ones.

    Args:
        statistic: of labellings (one a row: 1 for a live group, 0 for one of the reference), larger for more drift.
        live: the labelling that was observed.
        rounds: permutations beside the observed one.
        seed: of the permutations.
    """
    observed = live.astype(np.float64)
    random = np.random.default_rng(seed)
    null = list[Floats]()
    size = max(1, min(rounds, (1 << 21) // max(1, len(live))))
    for start in range(0, rounds, size):
        null.append(statistic(random.permuted(np.tile(observed, (min(size, rounds - start), 1)), axis=1)))
    values, value = np.concatenate(null), float(statistic(observed[np.newaxis])[0])
    # Sums in another order differ in the last digits: an equal labelling must count as one.
    reached = np.count_nonzero(values >= value - 1e-9 * max(1e-12, abs(value)))
    least = max(1 / (rounds + 1), 1 / math.comb(len(live), int(live.sum())))
    return Chance(value, float((reached + 1) / (len(values) + 1)), float(values.mean()), least)


def _thinned(codes: Codes, most: int) -> Codes:
    """Of each group at most so many rows, evenly over it."""
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    within = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    size = counts[codes[order]]
    share = np.minimum(1.0, most / size)
    kept = np.floor((within + 1) * share + 1e-9) > np.floor(within * share + 1e-9)
    return np.sort(order[kept])
