"""Scores of predictions against truth, and how sure they are: pure functions over NumPy arrays.

What evaluations and monitors share. It does no I/O and is not imported by `import charkh`. Every metric
takes `weights`, so that a resample is a re-weighting of the rows and never a copy of them: a block
bootstrap sorts once and then costs one pass, or one product of small matrices, for all rounds.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from charkh.core.errors import Invalid

Floats = npt.NDArray[np.float64]
Values = npt.NDArray[Any]

CLIP = 1e-15
"""Probabilities are kept this far from 0 and 1 in the log loss."""

MAX_PAIR_BLOCKS = 512
"""Up to so many blocks, AUC is resampled from a table of pairs between blocks."""


MAX_DRAWS = 1 << 20
"""Draws of blocks that are held in memory at once."""


class Metric(Protocol):
    """A score of `score` against the truth `y`, rows weighted by `weights`."""

    def __call__(self, y: Values, score: Values, weights: Values | None = None) -> float: ...


class Interval(NamedTuple):
    """A two-sided interval; NaN on both sides when nothing could be resampled."""

    low: float
    high: float


def roc_auc(y: Values, score: Values, weights: Values | None = None) -> float:
    """Area under the ROC curve: the probability that a positive scores above a negative, ties counting half.

    Exact (Mann-Whitney U over the weighted pairs). NaN when a class is absent.

    Args:
        y: 0/1 or booleans.
        score: greater for the positive class.
    """
    positive, scores, weight = _binary(y, score, weights)
    order = np.argsort(scores, kind="stable")
    return _auc_of_sorted(positive[order], _group_ends(scores[order]), weight[order])


def average_precision(y: Values, score: Values, weights: Values | None = None) -> float:
    """Area under the precision-recall curve as the sum of precision times the step in recall; NaN without positives."""
    positive, scores, weight = _binary(y, score, weights)
    order = np.argsort(-scores, kind="stable")
    return _precision_of_sorted(positive[order], _group_ends(scores[order]), weight[order])


def log_loss(y: Values, score: Values, weights: Values | None = None) -> float:
    """Mean negative log likelihood of 0/1 truth under probabilities `score`, in nats."""
    return _weighted_mean(_log_losses(y, score), weights)


def brier(y: Values, score: Values, weights: Values | None = None) -> float:
    """Mean squared difference between probability and 0/1 truth (Brier 1950)."""
    return _weighted_mean(_brier_losses(y, score), weights)


def accuracy(y: Values, score: Values, weights: Values | None = None) -> float:
    """Share of rows whose predicted label equals the truth; labels of any type."""
    return _weighted_mean(_hits(y, score), weights)


def rmse(y: Values, score: Values, weights: Values | None = None) -> float:
    """Root of the mean squared error, in the unit of `y`."""
    return float(np.sqrt(_weighted_mean(_squares(y, score), weights)))


def mae(y: Values, score: Values, weights: Values | None = None) -> float:
    """Mean absolute error, in the unit of `y`."""
    return _weighted_mean(_absolutes(y, score), weights)


def r2(y: Values, score: Values, weights: Values | None = None) -> float:
    """Coefficient of determination, 1 - SSE/SST; NaN when the truth does not vary."""
    truth, _ = _paired(y, score)
    weight = _weights(weights, len(truth))
    sums = weight @ _r2_columns(y, score)
    return float(_r2_of_sums(sums[np.newaxis, :])[0])


METRICS: Mapping[str, Metric] = {
    "auc": roc_auc,
    "average_precision": average_precision,
    "log_loss": log_loss,
    "brier": brier,
    "accuracy": accuracy,
    "rmse": rmse,
    "mae": mae,
    "r2": r2,
}
"""The metrics by the name that their facts carry."""

LOWER_IS_BETTER = frozenset({"log_loss", "brier", "rmse", "mae"})
"""Names of the metrics where less is better."""


def block_bootstrap(
    metric: Metric, y: Values, score: Values, blocks: Values, rounds: int = 1000, seed: int = 0
) -> Floats:
    """The metric on `rounds` resamples that draw whole blocks with replacement.

    Rows of one block (a day, a customer) share what made them, so drawing rows alone would give too
    narrow an interval (Künsch 1989 for series; Field & Welsh 2007 for clusters).

    Args:
        blocks: the block of each row, any sortable values; give `np.arange(n)` to draw rows.
        rounds: number of resamples.
        seed: the draws depend on it, on `rounds` and on the number of blocks, and on nothing else.

    Returns:
        One value a round; NaN where the draw leaves the metric undefined.
    """
    _paired(y, score)
    _, codes = np.unique(np.asarray(blocks), return_inverse=True)
    codes = codes.reshape(-1)
    if len(codes) != len(y):
        raise _mismatch("blocks", len(codes), len(y))
    if not len(codes):
        return np.full(rounds, np.nan)
    resample = _resampler(metric, y, score, codes)
    return np.concatenate([resample(draws) for draws in _draws(int(codes.max()) + 1, rounds, seed)])


def paired_block_bootstrap(
    metric: Metric,
    y: Values,
    score_a: Values,
    score_b: Values,
    blocks: Values,
    rounds: int = 1000,
    seed: int = 0,
) -> Floats:
    """The differences metric(a) - metric(b), both on the same resamples of blocks."""
    first = block_bootstrap(metric, y, score_a, blocks, rounds, seed)
    return first - block_bootstrap(metric, y, score_b, blocks, rounds, seed)


def interval(values: Values, confidence: float = 0.95) -> Interval:
    """The percentile interval of bootstrap values, those that are NaN left out."""
    finite = values[~np.isnan(values)]
    if not len(finite):
        return Interval(float("nan"), float("nan"))
    tail = (1 - confidence) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return Interval(float(low), float(high))


def win_probability(differences: Values, *, lower_is_better: bool = False) -> float:
    """The share of paired differences in favour of the first, ties counting half; NaN when none is known.

    Args:
        differences: what `paired_block_bootstrap` gave.
        lower_is_better: for a loss.
    """
    finite = differences[~np.isnan(differences)]
    if not len(finite):
        return float("nan")
    wins = np.count_nonzero(finite < 0 if lower_is_better else finite > 0)
    return float((wins + 0.5 * np.count_nonzero(finite == 0)) / len(finite))


_Resample = Callable[[Floats], Floats]
"""From draws (a row per round, a column per block: how often each block was drawn) to the metric of each round."""


def _draws(blocks: int, rounds: int, seed: int) -> Iterator[Floats]:
    """How often each block is drawn in each round, some rounds at a time so that memory stays bounded."""
    generator = np.random.default_rng(seed)
    batch = max(1, MAX_DRAWS // blocks)
    for start in range(0, rounds, batch):
        count = min(batch, rounds - start)
        drawn = generator.integers(0, blocks, (count, blocks)) + np.arange(count)[:, np.newaxis] * blocks
        counts = np.bincount(drawn.reshape(-1), minlength=count * blocks)
        yield counts.reshape(count, blocks).astype(np.float64)


def _resampler(metric: Metric, y: Values, score: Values, codes: npt.NDArray[np.intp]) -> _Resample:
    columns = _COLUMNS.get(metric)
    if columns is not None:
        return _by_block_sums(columns, y, score, codes)
    if metric is roc_auc and int(codes.max()) < MAX_PAIR_BLOCKS:
        return _by_pairs(y, score, codes)
    if metric is roc_auc:
        return _by_order(_auc_of_sorted, y, score, codes, descending=False)
    if metric is average_precision:
        return _by_order(_precision_of_sorted, y, score, codes, descending=True)
    return lambda draws: np.array([metric(y, score, draw[codes]) for draw in draws])


def _by_block_sums(columns: "_Columns", y: Values, score: Values, codes: npt.NDArray[np.intp]) -> _Resample:
    rows = columns.of_rows(y, score)
    sums = np.zeros((int(codes.max()) + 1, rows.shape[1]))
    np.add.at(sums, codes, rows)
    return lambda draws: columns.of_sums(draws @ sums)


def _by_pairs(y: Values, score: Values, codes: npt.NDArray[np.intp]) -> _Resample:
    """U is bilinear in the draws: Σ dₐ d_b U[a, b], with U the pairs won between positives of a and negatives of b."""
    positive, scores, weight = _binary(y, score, None)
    count = int(codes.max()) + 1
    is_positive = positive > 0
    order = np.argsort(scores[is_positive], kind="stable")
    high, high_codes = scores[is_positive][order], codes[is_positive][order]
    low, low_codes = scores[~is_positive], codes[~is_positive]
    wins = np.zeros((count, count))
    for block in range(count):
        mine = np.sort(low[low_codes == block])
        beaten = np.searchsorted(mine, high, "left") + np.searchsorted(mine, high, "right")
        wins[:, block] = np.bincount(high_codes, weights=beaten / 2, minlength=count)
    positives = np.bincount(codes, weights=positive, minlength=count)
    negatives = np.bincount(codes, weights=weight - positive, minlength=count)

    def resample(draws: Floats) -> Floats:
        won = np.einsum("ra,ra->r", draws @ wins, draws)
        return _quotient(won, (draws @ positives) * (draws @ negatives))

    return resample


def _by_order(
    measure: Callable[[Floats, npt.NDArray[np.intp], Floats], float],
    y: Values,
    score: Values,
    codes: npt.NDArray[np.intp],
    *,
    descending: bool,
) -> _Resample:
    positive, scores, _ = _binary(y, score, None)
    order = np.argsort(-scores if descending else scores, kind="stable")
    positive, ends, codes = positive[order], _group_ends(scores[order]), codes[order]
    return lambda draws: np.array([measure(positive, ends, draw[codes]) for draw in draws])


def _auc_of_sorted(positive: Floats, ends: npt.NDArray[np.intp], weight: Floats) -> float:
    """AUC of rows in ascending order of score; `ends` are the last rows of each group of equal scores."""
    if not len(positive):
        return float("nan")
    up = np.diff(np.cumsum(weight * positive)[ends], prepend=0.0)
    below = np.cumsum(weight * (1 - positive))[ends]
    down = np.diff(below, prepend=0.0)
    pairs = up.sum() * below[-1]
    return float(up @ (below - down / 2) / pairs) if pairs > 0 else float("nan")


def _precision_of_sorted(positive: Floats, ends: npt.NDArray[np.intp], weight: Floats) -> float:
    """Average precision of rows in descending order of score."""
    if not len(positive):
        return float("nan")
    found = np.cumsum(weight * positive)[ends]
    taken = np.cumsum(weight)[ends]
    if found[-1] <= 0:
        return float("nan")
    precision = np.divide(found, taken, out=np.zeros_like(found), where=taken > 0)
    return float(np.diff(found, prepend=0.0) @ precision / found[-1])


def _group_ends(ordered: Floats) -> npt.NDArray[np.intp]:
    return np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else np.array([], np.intp)


class _Columns(NamedTuple):
    """A metric that is a function of sums over rows: what each row adds, and the value of the sums."""

    of_rows: Callable[[Values, Values], Floats]
    of_sums: Callable[[Floats], Floats]


def _mean_of(losses: Callable[[Values, Values], Floats]) -> _Columns:
    def of_rows(y: Values, score: Values) -> Floats:
        each = losses(y, score)
        return np.column_stack([each, np.ones_like(each)])

    return _Columns(of_rows, _mean_of_sums)


def _mean_of_sums(sums: Floats) -> Floats:
    return _quotient(sums[:, 0], sums[:, 1])


def _root_mean_of_sums(sums: Floats) -> Floats:
    return np.sqrt(_mean_of_sums(sums))


def _r2_columns(y: Values, score: Values) -> Floats:
    truth, guess = _numbers(y, score)
    centred = truth - (truth.mean() if len(truth) else 0.0)
    return np.column_stack([(truth - guess) ** 2, centred, centred**2, np.ones_like(truth)])


def _r2_of_sums(sums: Floats) -> Floats:
    error, first, second, count = sums.T
    total = second - _quotient(first**2, count)
    # A truth that does not vary leaves rounding noise, not zero.
    total = np.where(total <= 1e-12 * second, 0.0, total)
    return 1 - _quotient(error, total)


def _log_losses(y: Values, score: Values) -> Floats:
    truth, probability, _ = _binary(y, score, None)
    probability = np.clip(probability, CLIP, 1 - CLIP)
    return -(truth * np.log(probability) + (1 - truth) * np.log1p(-probability))


def _brier_losses(y: Values, score: Values) -> Floats:
    truth, probability, _ = _binary(y, score, None)
    return (truth - probability) ** 2


def _hits(y: Values, score: Values) -> Floats:
    truth, guess = _paired(y, score)
    return (truth == guess).astype(np.float64)


def _squares(y: Values, score: Values) -> Floats:
    truth, guess = _numbers(y, score)
    return (truth - guess) ** 2


def _absolutes(y: Values, score: Values) -> Floats:
    truth, guess = _numbers(y, score)
    return np.abs(truth - guess)


_COLUMNS: Mapping[Metric, _Columns] = {
    log_loss: _mean_of(_log_losses),
    brier: _mean_of(_brier_losses),
    accuracy: _mean_of(_hits),
    mae: _mean_of(_absolutes),
    rmse: _Columns(_mean_of(_squares).of_rows, _root_mean_of_sums),
    r2: _Columns(_r2_columns, _r2_of_sums),
}


def _weighted_mean(values: Floats, weights: Values | None) -> float:
    weight = _weights(weights, len(values))
    total = weight.sum()
    return float(values @ weight / total) if total > 0 else float("nan")


def _quotient(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)


def _binary(y: Values, score: Values, weights: Values | None) -> tuple[Floats, Floats, Floats]:
    truth, guess = _numbers(y, score)
    if not np.all((truth == 0) | (truth == 1)):
        raise Invalid(
            "the truth of a binary metric must be 0 or 1",
            code="metric.not_binary",
            hint="Make it 1 for the positive class and 0 for the other, and leave rows without truth out.",
        )
    return truth, guess, _weights(weights, len(truth))


def _numbers(y: Values, score: Values) -> tuple[Floats, Floats]:
    truth, guess = _paired(y, score)
    try:
        numbers = truth.astype(np.float64), guess.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise Invalid(
            f"truth and prediction must be numbers: {error}",
            code="metric.not_numbers",
            hint="Encode the labels as numbers, or use accuracy, which compares any labels.",
        ) from error
    if np.isnan(numbers[0]).any() or np.isnan(numbers[1]).any():
        raise Invalid(
            "truth or prediction is missing in some rows",
            code="metric.missing",
            hint="Leave those rows out and report how many they are.",
        )
    return numbers


def _paired(y: Values, score: Values) -> tuple[Values, Values]:
    truth, guess = np.asarray(y), np.asarray(score)
    if truth.ndim != 1 or guess.ndim != 1 or len(truth) != len(guess):
        raise _mismatch("predictions", guess.size, truth.size)
    return truth, guess


def _weights(weights: Values | None, count: int) -> Floats:
    if weights is None:
        return np.ones(count)
    if len(weights) != count:
        raise _mismatch("weights", len(weights), count)
    return np.asarray(weights, np.float64)


def _mismatch(what: str, found: int, wanted: int) -> Invalid:
    return Invalid(
        f"there are {found} {what} for {wanted} rows of truth",
        code="metric.length",
        hint="Give one-dimensional columns of the same rows.",
    )
