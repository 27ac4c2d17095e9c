"""Count, mean and spread of numbers, merged without the numbers."""

import math

import msgspec
import numpy as np
import numpy.typing as npt


class Moments(msgspec.Struct, frozen=True, array_like=True):
    """The first two moments of some numbers (Welford 1962; merged as by Chan, Golub & LeVeque 1983).

    Attributes:
        count: how many.
        mean: of them; 0 of none.
        squares: sum of the squared distances from the mean.
        least: the smallest; infinity of none.
        greatest: the largest; minus infinity of none.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    least: float = math.inf
    greatest: float = -math.inf

    @property
    def total(self) -> float:
        return self.mean * self.count

    @property
    def deviation(self) -> float:
        """The sample's standard deviation; NaN of fewer than two."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else math.nan


def moments_of(values: npt.NDArray[np.float64], weights: npt.NDArray[np.int64] | None = None) -> Moments:
    """The moments of finite values, each counted as often as its weight says."""
    if not len(values):
        return Moments()
    with np.errstate(over="ignore", invalid="ignore"):
        if weights is None:
            count, mean = len(values), float(values.mean())
            squares = float(np.square(values - mean).sum())
        else:
            count = int(weights.sum())
            mean = float((values * weights).sum() / count)
            squares = float((np.square(values - mean) * weights).sum())
    return Moments(count, mean, squares, float(values.min()), float(values.max()))


def merge_moments(first: Moments, second: Moments) -> Moments:
    """The moments of both together."""
    if not first.count or not second.count:
        return first if first.count else second
    count = first.count + second.count
    gap = second.mean - first.mean
    share = second.count / count
    return Moments(
        count,
        first.mean + gap * share,
        first.squares + second.squares + gap * gap * first.count * share,
        min(first.least, second.least),
        max(first.greatest, second.greatest),
    )
