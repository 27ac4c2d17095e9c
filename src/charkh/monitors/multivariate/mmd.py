"""Maximum mean discrepancy (Gretton et al. 2012) by random Fourier features (Rahimi & Recht 2007): linear in the rows.

The kernel is Gaussian, its width the median distance of rows of both sides together. The features of a group of rows
are summed, so that batches add up and a permutation is one product of matrices, whatever the number of rows.
"""

import numpy as np
import numpy.typing as npt

from charkh.monitors.permutation import Chance, Groups, permute

Floats = npt.NDArray[np.float64]

FEATURES = 512
_BATCH = 4096
_PAIRS = 1000


class Waves:
    """Random Fourier features of a Gaussian kernel; equal for equal `seed`, so that what is summed adds up."""

    def __init__(self, columns: int, width: float, *, features: int = FEATURES, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self._weights = random.normal(0, 1 / width, (columns, features))
        self._offsets = random.uniform(0, 2 * np.pi, features)

    def of(self, rows: Floats) -> Floats:
        """A row of features for each row; the product of two estimates the kernel."""
        return np.sqrt(2 / len(self._offsets)) * np.cos(rows @ self._weights + self._offsets)

    def sums(self, rows: Floats, codes: npt.NDArray[np.intp], groups: int) -> Floats:
        """The features summed by group, in batches."""
        total = np.zeros((groups, len(self._offsets)))
        for start in range(0, len(rows), _BATCH):
            np.add.at(total, codes[start : start + _BATCH], self.of(rows[start : start + _BATCH]))
        return total


def median_distance(rows: Floats, seed: int = 0) -> float:
    """The median distance of random pairs of rows; of rows that are mostly equal, the mean, or 1."""
    random = np.random.default_rng(seed)
    first, second = random.integers(0, len(rows), (2, _PAIRS))
    distances = np.sqrt(((rows[first] - rows[second]) ** 2).sum(axis=1))
    return float(np.median(distances)) or float(distances.mean()) or 1.0


def mmd(rows: Floats, groups: Groups, *, rounds: int, seed: int = 0) -> Chance:
    """The squared MMD of the kept rows of both sides, beside what permutations of the groups give.

    Args:
        rows: of the reference and then of the live side, in `features_of` order.
        groups: that change sides whole.
        rounds: permutations.
        seed: of features and permutations.
    """
    kept = rows[groups.rows]
    waves = Waves(rows.shape[1], median_distance(kept, seed), seed=seed)
    sums = waves.sums(kept, groups.codes, len(groups.live))
    return permute(lambda labels: mean_distance(labels, sums, groups.counts), groups.live, rounds=rounds, seed=seed)


def mean_distance(labels: Floats, sums: Floats, counts: Floats) -> Floats:
    """By labelling, the squared distance of the means of both sides."""
    live = labels @ counts
    total = labels @ sums
    means = total / live[:, np.newaxis] - (sums.sum(axis=0) - total) / (counts.sum() - live)[:, np.newaxis]
    return (means**2).sum(axis=1)
