"""Performance against the truth, which comes late: predictions joined with it by key, scored with intervals.

Pure functions over Polars frames. What cannot be known is not reported: with too few rows, or too few of one class,
there is a reason instead of a number.
"""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.errors import Invalid
from charkh.core.metrics import METRICS, block_bootstrap, interval

Values = npt.NDArray[Any]

BINARY = ("auc", "log_loss", "brier")
CONTINUOUS = ("rmse", "mae")
ROUNDS = 500
MAX_SEGMENTS = 50


class Enough(msgspec.Struct, frozen=True, kw_only=True):
    """How much truth a number needs.

    Attributes:
        rows: joined rows.
        of_class: rows of either class, for a binary target.
        blocks: blocks, for an interval.
        confidence: of the intervals.
    """

    rows: int = 200
    of_class: int = 20
    blocks: int = 5
    confidence: float = 0.95


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """What the truth says so far.

    Attributes:
        predictions: live rows with a key.
        matched: those whose truth is known.
        truth_repeated: rows of the truth whose key stands there more than once; the last counts.
        lag: median seconds from prediction to truth; None when the times are not given.
        metrics: by name; intervals as `auc.low` and `auc.high`.
        segments: by `column=value`, the same metrics without intervals.
        refused: by name of a metric or segment, why it is not reported.
    """

    predictions: int
    matched: int
    truth_repeated: int = 0
    lag: float | None = None
    metrics: dict[str, float] = {}
    segments: dict[str, dict[str, float]] = {}
    refused: dict[str, str] = {}

    @property
    def coverage(self) -> float:
        """The share of predictions whose truth is known."""
        return self.matched / self.predictions if self.predictions else 0.0


def performance(
    live: pl.DataFrame,
    truth: pl.DataFrame,
    *,
    key: str | Sequence[str],
    target: str,
    score: str,
    block: str = "",
    segments: Sequence[str] = (),
    predicted_at: str = "",
    known_at: str = "",
    enough: Enough | None = None,
    seed: int = 0,
) -> Performance:
    """Join predictions with the truth and score them.

    A target of 0 and 1, or of booleans, is scored by AUC, log loss and Brier score; another number by RMSE and MAE.
    Of predictions or truths with one key, the last row counts.

    Args:
        live: predictions.
        truth: what happened.
        key: the column, or columns, that both share.
        target: of the truth.
        score: of the predictions; of a list column such as `predict_proba`, its last value counts.
        block: column, of either side, whose equal values share what made them, such as the day; without, rows do not.
        segments: columns by whose values the metrics are also given.
        predicted_at: column of the predictions with their time, for the lag.
        known_at: column of the truth with the time at which it was known.
        enough: how much truth a number needs.
        seed: of the bootstrap.

    Raises:
        Invalid: a column is not there.
    """
    needs = enough or Enough()
    keys = [key] if isinstance(key, str) else list(key)
    _require(live, [*keys, score], "predictions")
    _require(truth, [*keys, target], "truth")
    asked = live.drop_nulls(keys).unique(keys, keep="last", maintain_order=True)
    known = truth.drop_nulls([*keys, target])
    last = known.unique(keys, keep="last", maintain_order=True)
    joined = asked.join(last, on=keys, how="inner", suffix=".truth", maintain_order="left")
    column = target if target not in asked.columns or target in keys else f"{target}.truth"
    scores = _scores(joined[score])
    joined = joined.filter(scores.is_not_null() & scores.is_finite())
    found = Performance(
        predictions=asked.height,
        matched=joined.height,
        truth_repeated=known.height - last.height,
        lag=_lag(joined, predicted_at, known_at),
    )
    return _scored(found, joined, column, score, block, segments, needs, seed)


def _scored(
    found: Performance,
    joined: pl.DataFrame,
    target: str,
    score: str,
    block: str,
    segments: Sequence[str],
    needs: Enough,
    seed: int,
) -> Performance:
    if not (joined[target].dtype.is_numeric() or joined[target].dtype == pl.Boolean):
        raise Invalid(
            f"the target {target!r} is {joined[target].dtype}",
            code="monitor.target",
            hint="Make it 1 for the class that the score is of and 0 for the others, or a number.",
        )
    y = joined[target].cast(pl.Float64).to_numpy()
    guess = _scores(joined[score]).to_numpy()
    why = _too_few(y, needs)
    if why:
        return msgspec.structs.replace(found, refused={"metrics": why})
    names = BINARY if _is_binary(y) else CONTINUOUS
    metrics = _points(names, y, guess)
    refused: dict[str, str] = {}
    if block:
        _require(joined, [block], "joined rows")
    blocks = joined[block].to_physical().rank("dense").to_numpy() if block else np.arange(len(y))
    if len(np.unique(blocks)) < needs.blocks:
        refused["intervals"] = f"{len(np.unique(blocks))} blocks of {block!r} are fewer than {needs.blocks}"
    else:
        for name in list(metrics):
            band = interval(block_bootstrap(METRICS[name], y, guess, blocks, ROUNDS, seed), needs.confidence)
            if math.isfinite(band.low):
                metrics |= {f"{name}.low": band.low, f"{name}.high": band.high}
    _require(joined, segments, "joined rows")
    by_segment: dict[str, dict[str, float]] = {}
    for column in segments:
        for value in joined[column].drop_nulls().unique().sort().to_list()[:MAX_SEGMENTS]:
            rows = (joined[column] == value).fill_null(False).to_numpy()
            few = _too_few(y[rows], needs, _is_binary(y))
            if few:
                refused[f"{column}={value}"] = few
            else:
                by_segment[f"{column}={value}"] = _points(names, y[rows], guess[rows])
    return msgspec.structs.replace(found, metrics=metrics, segments=by_segment, refused=refused)


def _points(names: Sequence[str], y: Values, guess: Values) -> dict[str, float]:
    probable = bool(((guess >= 0) & (guess <= 1)).all())
    wanted = [name for name in names if name not in {"log_loss", "brier"} or probable]
    values = {name: METRICS[name](y, guess) for name in wanted}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _too_few(y: Values, needs: Enough, binary: bool | None = None) -> str:
    if len(y) < needs.rows:
        return f"{len(y)} rows with truth are fewer than {needs.rows}"
    if binary if binary is not None else _is_binary(y):
        rarer = int(min(y.sum(), len(y) - y.sum()))
        if rarer < needs.of_class:
            return f"{rarer} rows of the rarer class are fewer than {needs.of_class}"
    return ""


def _is_binary(y: Values) -> bool:
    return bool(((y == 0) | (y == 1)).all())


def _scores(column: pl.Series) -> pl.Series:
    if isinstance(column.dtype, pl.List):
        column = column.list.last()
    elif isinstance(column.dtype, pl.Array):
        column = column.arr.last()
    return column.cast(pl.Float64)


def _lag(joined: pl.DataFrame, predicted_at: str, known_at: str) -> float | None:
    if not predicted_at or not known_at:
        return None
    later = known_at if known_at != predicted_at or f"{known_at}.truth" not in joined.columns else f"{known_at}.truth"
    _require(joined, [predicted_at, later], "joined rows")
    median: Any = (_seconds(joined[later]) - _seconds(joined[predicted_at])).median()
    return None if median is None else float(median)


def _seconds(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Date:
        column = column.cast(pl.Datetime("us"))
    return column.dt.epoch("us") / 1e6 if column.dtype.is_temporal() else column.cast(pl.Float64)


def _require(frame: pl.DataFrame, columns: Sequence[str], what: str) -> None:
    for column in columns:
        if column not in frame.columns:
            raise Invalid(
                f"the {what} have no column {column!r}",
                code="monitor.no_column",
                hint=f"They have: {', '.join(frame.columns[:20])}.",
            )
