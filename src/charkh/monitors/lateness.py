"""How late the truth comes, and how well predictions of each day did as far as it has come. Pure, in constant memory.

Performance by the day on which the truth *arrives* mixes days; by the day of the *prediction* it is honest, but the
last days lack truths, and those that come first are not like the rest. So every day says how much of it is there.
"""

import math
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from charkh.core.events import Fact

QUANTILES = (0.1, 0.5, 0.9, 0.99)
GROWTH = 1.02
"""Bins of lags grow by this factor, so that a quantile is off by at most 1 % (Masson, Rim, Lee: DDSketch, 2019)."""
SCORE_BINS = 1024
MAX_DAYS = 400
DAY = 86_400.0
SETTLED = 0.99
"""A day is settled when so much of the known lags is shorter than its age."""
MIN_ROWS = 20

Values = npt.NDArray[Any]


class TruthDay(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the predictions of one day.

    Attributes:
        day: in UTC, `2026-01-31`.
        predictions: made on it.
        matched: whose truth is known.
        settled: hardly any more truth is to come, so that the metrics stay.
        metrics: AUC (of scores in 1,024 bins), Brier score and log loss of a target of 0 and 1, else RMSE and MAE;
            none of fewer than 20 rows.
    """

    day: str
    predictions: int
    matched: int
    settled: bool
    metrics: dict[str, float] = {}

    @property
    def complete(self) -> float:
        """The share of its predictions whose truth is known."""
        return self.matched / self.predictions if self.predictions else 0.0


class Lateness(msgspec.Struct, frozen=True, kw_only=True):
    """How late the truth comes.

    Attributes:
        predictions: that were looked at.
        matched: whose truth is known.
        lags: seconds from prediction to truth, by `p10`, `p50`, `p90` and `p99`; of what is known by now, so that
            long ones are missing while they are still to come.
        days: by day of prediction, oldest first.
        failed: requests that got no answer.
    """

    predictions: int
    matched: int
    lags: dict[str, float] = {}
    days: tuple[TruthDay, ...] = ()
    failed: int = 0

    def facts(self) -> dict[str, Fact]:
        """The numbers that are published."""
        found: dict[str, Fact] = {f"lag.{name}": value for name, value in self.lags.items()}
        if "p50" in self.lags:
            found["lag"] = self.lags["p50"]
        settled = [each for each in self.days if each.settled]
        asked = sum(each.predictions for each in settled)
        if asked:
            found["truth.complete"] = sum(each.matched for each in settled) / asked
        return found


class LateTruth:
    """Counts joined predictions, some at a time; its size depends on the days alone.

    Args:
        now: seconds since the epoch.
        within: seconds in which truth comes; 0 where nobody says.
    """

    def __init__(self, now: float, within: float = 0.0) -> None:
        self._now = now
        self._within = within
        self._days: dict[int, _Day] = {}
        self._lags: dict[int, int] = {}

    def add(self, at: Values, score: Values, truth: Values, known_at: Values) -> None:
        """Count predictions.

        Args:
            at: seconds since the epoch when each was made.
            score: of each; not a number where there is none.
            truth: of each; not a number where nobody knows.
            known_at: seconds since the epoch when that was known; not a number where nobody knows.
        """
        is_known = np.isfinite(truth) & np.isfinite(score)
        days = np.floor(at / DAY).astype(np.int64)
        for day in np.unique(days).tolist():
            of_day = days == day
            found = self._days.setdefault(day, _Day())
            found.predictions += int(of_day.sum())
            found.add(score[of_day & is_known], truth[of_day & is_known])
        lags = known_at[is_known] - at[is_known]
        lags = np.maximum(lags[np.isfinite(lags)], 1e-3)
        bins, counts = np.unique(np.ceil(np.log(lags) / math.log(GROWTH)).astype(np.int64), return_counts=True)
        for place, count in zip(bins.tolist(), counts.tolist(), strict=True):
            self._lags[place] = self._lags.get(place, 0) + count
        for day in sorted(self._days)[:-MAX_DAYS]:
            del self._days[day]

    def found(self, failed: int = 0) -> Lateness:
        """What was counted."""
        settles = self._within or (self._quantile(SETTLED) if self._lags else math.inf)
        days = tuple(
            TruthDay(
                day=str(np.datetime64(day, "D")),
                predictions=each.predictions,
                matched=each.rows,
                settled=self._now - (day + 1) * DAY >= settles,
                metrics=each.metrics(),
            )
            for day, each in sorted(self._days.items())
        )
        lags = {f"p{round(100 * share)}": self._quantile(share) for share in QUANTILES} if self._lags else {}
        predictions, matched = sum(each.predictions for each in days), sum(each.matched for each in days)
        return Lateness(predictions=predictions, matched=matched, lags=lags, days=days, failed=failed)

    def _quantile(self, share: float) -> float:
        wanted, seen = share * sum(self._lags.values()), 0
        for place, count in sorted(self._lags.items()):
            seen += count
            if seen >= wanted:
                return GROWTH ** (place - 0.5)
        return math.inf


class _Day:
    """Sums over the joined predictions of a day."""

    def __init__(self) -> None:
        self.predictions = self.rows = 0
        self._binary = self._probable = True
        self._squares = self._distances = self._log_loss = 0.0
        self._counts = np.zeros((2, SCORE_BINS), np.int64)

    def add(self, score: Values, truth: Values) -> None:
        if not len(score):
            return
        self.rows += len(score)
        self._squares += float(((score - truth) ** 2).sum())
        self._distances += float(np.abs(score - truth).sum())
        self._binary &= bool(((truth == 0) | (truth == 1)).all())
        self._probable &= bool(((score >= 0) & (score <= 1)).all())
        if not self._binary or not self._probable:
            return
        place = np.minimum((score * SCORE_BINS).astype(np.int64), SCORE_BINS - 1)
        for label in (0, 1):
            self._counts[label] += np.bincount(place[truth == label], minlength=SCORE_BINS)
        said = np.clip(np.where(truth == 1, score, 1 - score), 1e-15, 1.0)
        self._log_loss -= float(np.log(said).sum())

    def metrics(self) -> dict[str, float]:
        if self.rows < MIN_ROWS:
            return {}
        if not self._binary:
            return {"rmse": math.sqrt(self._squares / self.rows), "mae": self._distances / self.rows}
        if not self._probable:
            return {}
        found = {"brier": self._squares / self.rows, "log_loss": self._log_loss / self.rows}
        misses, hits = self._counts
        if misses.sum() and hits.sum():
            below = np.cumsum(misses) - misses
            found["auc"] = float((hits * (below + misses / 2)).sum() / (misses.sum() * hits.sum()))
        return found
