"""Student's t distribution and what is decided with it: intervals of a mean, and paired differences.

Own code because the core has no SciPy; the standard library alone, so that a command that groups runs loads no NumPy.
"""

import itertools
import math
from collections.abc import Sequence
from operator import mul
from typing import NamedTuple

EXACT_PAIRS = 16
"""Up to so many pairs every flip of signs is tried."""

_PRECISION = 1e-15
_MAX_TERMS = 500


class Spread(NamedTuple):
    """How values of one kind are spread.

    Attributes:
        n: how many.
        mean: their mean.
        sd: standard deviation of the sample (n - 1); NaN of one value.
        low: lower end of the interval of the mean; NaN of one value.
        high: its upper end.
        least: the smallest.
        most: the greatest.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float
    least: float
    most: float


class Paired(NamedTuple):
    """How two things differ that were measured under the same conditions.

    Attributes:
        n: pairs.
        mean: mean of the differences, second minus first.
        low: lower end of the interval of that mean; NaN of one pair.
        high: its upper end.
        wins: pairs in which the second is greater.
        p: two-sided probability of a mean so far from 0 were there no difference: exact over all flips of signs (Fisher
            1935) up to `EXACT_PAIRS` pairs, by Student's t for more; 1 of one pair.
        least_p: the smallest p that so many pairs could give at all.
    """

    n: int
    mean: float
    low: float
    high: float
    wins: int
    p: float
    least_p: float


def spread(values: Sequence[float], confidence: float = 0.95) -> Spread:
    """Mean, deviation and interval of at least one number; the interval takes values as independent and near normal."""
    n, mean = len(values), math.fsum(values) / len(values)
    if n < 2:
        return Spread(n, mean, math.nan, math.nan, math.nan, mean, mean)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    reach = quantile((1 + confidence) / 2, n - 1) * sd / math.sqrt(n)
    return Spread(n, mean, sd, mean - reach, mean + reach, min(values), max(values))


def paired(pairs: Sequence[tuple[float, float]], confidence: float = 0.95) -> Paired:
    """Whether the second of each pair differs from the first; at least one pair."""
    differences = [second - first for first, second in pairs]
    told = spread(differences, confidence)
    wins = sum(each > 0 for each in differences)
    if told.n <= EXACT_PAIRS:
        least = 2 / 2**told.n
        return Paired(told.n, told.mean, told.low, told.high, wins, _exact(differences), min(1.0, least))
    error = told.sd / math.sqrt(told.n)
    p = tails(told.mean / error, told.n - 1) if error else float(told.mean == 0)
    return Paired(told.n, told.mean, told.low, told.high, wins, p, 0.0)


def tails(t: float, degrees: int) -> float:
    """P(|T| >= |t|) for Student's t: I_x(degrees/2, 1/2) at x = degrees/(degrees + t²) (Abramowitz & Stegun 26.7.1)."""
    return _beta(degrees / 2, 0.5, degrees / (degrees + t * t))


def quantile(probability: float, degrees: int) -> float:
    """The t below which a share of `probability`, at least one half, lies; by bisection of `tails`."""
    wanted = 2 * (1 - probability)
    low, high = 0.0, 1.0
    while tails(high, degrees) > wanted and high < 1e8:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if tails(middle, degrees) > wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _exact(differences: Sequence[float]) -> float:
    """The share of all flips of signs with a mean at least as far from 0; a hair's breadth counts as equal."""
    seen = abs(math.fsum(differences))
    sizes = [abs(each) for each in differences if each]
    edge = seen - 1e-12 * max(1.0, math.fsum(sizes))
    flips = itertools.product((-1, 1), repeat=len(sizes))
    extreme = sum(abs(math.fsum(map(mul, sizes, signs))) >= edge for signs in flips)
    return extreme / 2 ** len(sizes)


def _beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b) (Abramowitz & Stegun 26.5.8)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(b, a, 1 - x)
    scale = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    return scale * _fraction(a, b, x)


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by the recurrence of its convergents."""
    tiny = 1e-300
    value = up = tiny
    down = 0.0
    for term in range(_MAX_TERMS):
        half = term // 2
        if term == 0:
            numerator = 1.0
        elif term % 2:
            numerator = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            numerator = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        down = 1 / ((1 + numerator * down) or tiny)
        up = (1 + numerator / up) or tiny
        step = up * down
        value *= step
        if abs(1 - step) < _PRECISION:
            break
    return value
