"""Compare two streams at any moment and as often as one likes: tests and intervals that hold at all of them at once.

A test that is repeated until it says yes says yes in the end, difference or not. Here the interval of a difference
covers it at *every* moment with the confidence asked for, so that one may stop as soon as it excludes nothing.

The interval is the normal mixture of Robbins (1970), as the mSPRT of Johari, Koomen, Pekelis and Walsh, "Always Valid
Inference: Continuous Monitoring of A/B Tests" (Operations Research 70, 2022), with the variance estimated as in
Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence
sequences" (Annals of Statistics 52, 2024): exact for normal streams of known variance, and for others from the number
of rows on at which a mean is nearly normal, which is why nothing is said before `least` of them. Pure, no I/O.
"""

import math
from typing import Literal

import msgspec

Verdict = Literal["better", "worse", "no_worse", "undecided"]
TUNED_FOR = 1000.0
"""Observations of each stream at which the interval is narrowest; it is valid at all others as well."""
LEAST = 100
_RARE = 5.0
"""Of fewer successes or failures a mean is not normal yet, and their variance is not believed."""
_BOUNDED = 0.25
"""No value from 0 to 1 varies more."""


class Sums(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a stream: sums, which add up over processes and hours.

    Attributes:
        count: observations.
        total: of their values.
        squares: of their squares.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """NaN where nothing was observed."""
        return self.total / self.count if self.count else math.nan

    @property
    def variance(self) -> float:
        """Of one observation, unbiased; NaN below two."""
        if self.count < 2:
            return math.nan
        return max(0.0, (self.squares - self.total * self.total / self.count) / (self.count - 1))


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """How far a candidate is from the champion, as far as is known now.

    Attributes:
        difference: mean of the candidate less mean of the champion.
        lower: end of the interval that holds the difference at all moments with the confidence asked for.
        upper: its other end; infinite where too little is known.
        p: always valid p-value of "there is no difference": at most a share alpha of equal streams ever gets below it.
        observations: of both.
    """

    difference: float
    lower: float
    upper: float
    p: float
    observations: int


def observe(values: "list[float]") -> Sums:
    """The sums of some values."""
    return Sums(len(values), math.fsum(values), math.fsum(value * value for value in values))


def compare(
    champion: Sums, candidate: Sums, *, confidence: float = 0.95, least: int = LEAST, tuned_for: float = TUNED_FOR
) -> Comparison:
    """The difference of two means, and its interval at this moment of all moments.

    Args:
        champion: what was observed of it.
        candidate: likewise.
        confidence: with which the interval holds at all moments together, in [0.5, 1).
        least: observations of each below which nothing is said.
        tuned_for: observations of each at which the interval is narrowest.
    """
    observations = champion.count + candidate.count
    nothing = Comparison(
        difference=candidate.mean - champion.mean, lower=-math.inf, upper=math.inf, p=1.0, observations=observations
    )
    if min(champion.count, candidate.count) < max(2, least):
        return nothing
    if _rarer(champion + candidate) < _RARE:
        # Too few of one kind for their variance to be known: that of any value from 0 to 1 (Hoeffding 1963) holds.
        pooled, ours, theirs = _BOUNDED, _BOUNDED, _BOUNDED
    else:
        pooled = _pooled(champion, candidate)
        if not pooled > 0.0:
            return nothing
        ours, theirs = _one(champion, pooled), _one(candidate, pooled)
    spread = ours / champion.count + theirs / candidate.count
    mixing = 2.0 * pooled / tuned_for * _tuning(1.0 - confidence)
    ratio = (spread + mixing) / spread
    half = math.sqrt(2.0 * spread * ratio * spread / mixing * math.log(math.sqrt(ratio) / (1.0 - confidence)))
    difference = nothing.difference
    log_bayes = mixing * difference * difference / (2.0 * spread * (spread + mixing)) - 0.5 * math.log(ratio)
    return Comparison(
        difference=difference,
        lower=difference - half,
        upper=difference + half,
        p=math.exp(-max(0.0, log_bayes)),
        observations=observations,
    )


def judge(comparison: Comparison, *, greater_is_better: bool = True, margin: float = 0.0) -> Verdict:
    """What the interval says of the candidate; `no_worse` where it is worse by less than `margin` for sure."""
    lower, upper = comparison.lower, comparison.upper
    if not greater_is_better:
        lower, upper = -upper, -lower
    if lower > 0.0:
        return "better"
    if upper < -margin or (upper < 0.0 and not margin):
        return "worse"
    return "no_worse" if margin and lower > -margin else "undecided"


def _pooled(one: Sums, other: Sums) -> float:
    """Variance of one observation within the streams."""
    within = one.variance * (one.count - 1) + other.variance * (other.count - 1)
    return within / (one.count + other.count - 2)


def _one(sums: Sums, pooled: float) -> float:
    """A stream's own variance, drawn to the common one while little is known, so that a lucky start is not believed."""
    drawn = 50.0
    return max(pooled / 2, (sums.variance * sums.count + pooled * drawn) / (sums.count + drawn))


def _rarer(both: Sums) -> float:
    """Of yes-or-no values how many there are of the rarer one; infinite for other values."""
    is_binary = abs(both.total - both.squares) <= 1e-9 * max(1.0, both.total) and 0.0 <= both.total <= both.count
    return min(both.total, both.count - both.total) if is_binary else math.inf


def _tuning(alpha: float) -> float:
    """The mixing variance, in variances of the mean, that makes the interval narrowest at one moment."""
    return -2.0 * math.log(alpha) + math.log(1.0 - 2.0 * math.log(alpha))
