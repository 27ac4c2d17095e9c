"""How surprising a difference is where nothing changed: tail probabilities, and what many looks do to them.

Own code because the core has no SciPy; each function names its formula, and tests compare with tabulated values.
"""

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_PRECISION = 1e-14
_MAX_TERMS = 10_000


def chi_square_tail(value: float, degrees: int) -> float:
    """P(X >= value) for X chi-square with `degrees` degrees of freedom: Q(degrees/2, value/2)."""
    if degrees < 1 or value <= 0:
        return 1.0
    return _gamma_upper(degrees / 2, value / 2)


def poisson_tail(count: int, mean: float) -> float:
    """P(X >= count) for X Poisson: the lower regularised gamma function P(count, mean)."""
    if count <= 0:
        return 1.0
    return 1.0 - _gamma_upper(float(count), mean) if mean > 0 else 0.0


def normal_tails(z: float) -> float:
    """P(|Z| >= |z|) for a standard normal Z."""
    return math.erfc(abs(z) / math.sqrt(2))


def kolmogorov_tail(distance: float, rows: int, others: int) -> float:
    """P(D >= distance) of the two-sample Kolmogorov-Smirnov statistic, asymptotic, with Stephens' (1970) correction.

    2 sum (-1)^(j-1) exp(-2 j² λ²) with λ = (√e + 0.12 + 0.11/√e) D and e = nm/(n+m). Too large, so on the safe
    side, for values with ties.
    """
    effective = math.sqrt(rows * others / (rows + others))
    scaled = (effective + 0.12 + 0.11 / effective) * distance
    if scaled < 0.2:
        return 1.0
    terms = ((-1) ** (j - 1) * math.exp(-2 * j * j * scaled * scaled) for j in range(1, 101))
    return min(1.0, max(0.0, 2 * math.fsum(terms)))


def shares_differ(found: int, rows: int, found_other: int, others: int) -> float:
    """Two-sided p that two shares are of one population: the pooled two-proportion z-test."""
    pooled = (found + found_other) / (rows + others)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / rows + 1 / others))
    return normal_tails((found / rows - found_other / others) / spread) if spread > 0 else 1.0


def adjust(p: Floats) -> Floats:
    """Benjamini-Hochberg (1995) adjusted p-values: what is at most q is a discovery at a false discovery rate of q."""
    count = len(p)
    if not count:
        return p
    order = np.argsort(p)
    scaled = p[order] * (count / np.arange(1, count + 1))
    adjusted = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    result = np.empty(count)
    result[order] = adjusted
    return result


def _gamma_upper(a: float, x: float) -> float:
    """The upper regularised incomplete gamma function Q(a, x) (Abramowitz & Stegun 6.5.29, 6.5.31)."""
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        return min(1.0, max(0.0, 1.0 - scale * _series(a, x)))
    return min(1.0, max(0.0, scale * _fraction(a, x)))


def _series(a: float, x: float) -> float:
    """sum x^n / (a (a+1) ... (a+n))."""
    term = total = 1 / a
    for n in range(1, _MAX_TERMS):
        term *= x / (a + n)
        total += term
        if term < total * _PRECISION:
            break
    return total


def _fraction(a: float, x: float) -> float:
    """1/(x+1-a- 1(1-a)/(x+3-a- 2(2-a)/(x+5-a- ...))), by the recurrence of its convergents."""
    tiny = 1e-300
    b = x + 1 - a
    value = b or tiny
    up, down = value, 0.0
    for n in range(1, _MAX_TERMS):
        factor = n * (a - n)
        b += 2
        down = 1 / ((b + factor * down) or tiny)
        up = (b + factor / up) or tiny
        step = up * down
        value *= step
        if abs(step - 1) < _PRECISION:
            break
    return 1 / value
