"""Which batch changed this: each batch of a table against all before it, column by column, the greatest change first.

Effects are measured so that they can be compared: a shift of a mean in standard deviations (Cohen's d), a difference
of two shares as Cohen's h, a changed distribution as the population stability index. A batch of few rows has to show
more: an effect counts only where it passes what chance gives to a batch of that size.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.errors import Invalid
from charkh.core.significance import chi_square_tail, normal_tails

Floats = npt.NDArray[np.float64]
BINS = 10
LEVELS = 50
FEW = 30
"""A batch with fewer rows, or with fewer rows before it, is not judged."""
SURE = 4.0
"""Standard errors from which an effect is no chance; many columns and batches are looked at."""
RARE = normal_tails(SURE)


class BatchChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch changed.

    Attributes:
        batch: as the column of batches says it.
        column: that changed; empty for whole rows.
        measure: `mean`, `missing`, `distribution`, `new values` or `repeated rows`.
        before: the measure over all rows before the batch; for a distribution 0.
        after: the same over the batch; for a distribution its stability index.
        effect: how great the change is (d, h or the index); the greatest comes first.
        rows: of the batch.
    """

    batch: str
    column: str
    measure: str
    before: float
    after: float
    effect: float
    rows: int


class _Batches(NamedTuple):
    """The batches in their order, and the number of the batch of each row."""

    names: tuple[str, ...]
    number: npt.NDArray[np.int64]
    rows: Floats


def batch_changes(frame: pl.DataFrame, *, batch: str = "_batch", order: Sequence[str] = ()) -> list[BatchChange]:
    """What each batch changed against all batches before it, the greatest effect first.

    Args:
        frame: the table.
        batch: the column that says which batch a row came with.
        order: the batches in the order in which they came; that of their first rows by default.

    Raises:
        Invalid: there is no such column, or a row is of no batch in `order`.
    """
    found = _batches(frame, batch, order)
    if len(found.names) < 2:
        return []
    changes: list[BatchChange] = []
    for name, dtype in frame.schema.items():
        if name == batch or dtype.is_nested():
            continue
        column = frame[name]
        changes.extend(_missing(column, found))
        if dtype.is_numeric():
            changes.extend(_means(column, found))
            changes.extend(_distribution(column.name, _binned(column), found))
        elif isinstance(dtype, pl.String | pl.Boolean | pl.Categorical | pl.Enum):
            levels = _levels(column)
            changes.extend(_distribution(column.name, levels, found))
            changes.extend(_new_values(column, found))
    changes.extend(_repeated(frame.drop(batch), found))
    return sorted(changes, key=lambda each: (-each.effect, each.batch, each.column, each.measure))


def _batches(frame: pl.DataFrame, batch: str, order: Sequence[str]) -> _Batches:
    if batch not in frame.columns:
        raise Invalid(
            f"the table has no column {batch!r} that says which batch a row came with",
            code="check.no_batches",
            hint="Ask for it: charkh.dataset(ref).scan(batch=True).",
        )
    values = frame[batch].cast(pl.String)
    names = tuple(order) or tuple(values.unique(maintain_order=True).to_list())
    number = {name: place for place, name in enumerate(names)}
    unknown = next((name for name in values.unique().to_list() if name not in number), None)
    if unknown is not None:
        raise Invalid(
            f"there are rows of the batch {unknown!r}, which is not among those in order",
            code="check.no_batches",
            hint="Name every batch of the table.",
        )
    places = values.replace_strict(number, return_dtype=pl.Int64).to_numpy()
    return _Batches(names, places, np.bincount(places, minlength=len(names)).astype(np.float64))


def _judged(found: _Batches) -> Iterator[tuple[int, float, float]]:
    """Batches that can be judged, with their rows and the rows before them."""
    before = np.concatenate([[0.0], np.cumsum(found.rows)[:-1]])
    for place, rows in enumerate(found.rows):
        if rows >= FEW and before[place] >= FEW:
            yield place, float(rows), float(before[place])


def _sums(weights: Floats, found: _Batches) -> Floats:
    return np.bincount(found.number, weights=weights, minlength=len(found.names)).astype(np.float64)


def _means(column: pl.Series, found: _Batches) -> Iterator[BatchChange]:
    values = column.cast(pl.Float64).to_numpy()
    there = np.isfinite(values)
    if not there.any():
        return
    # Centred first: sums of squares of great numbers lose their last digits.
    centre = float(np.mean(values[there]))
    kept = np.where(there, values - centre, 0.0)
    counts, sums, squares = (_sums(each, found) for each in (there.astype(np.float64), kept, kept**2))
    for place, _rows, _before in _judged(found):
        count, total, square = counts[:place].sum(), sums[:place].sum(), squares[:place].sum()
        if count < FEW or counts[place] < FEW:
            continue
        spread = math.sqrt(max(0.0, square / count - (total / count) ** 2))
        old, new = total / count, sums[place] / counts[place]
        if spread == 0:
            effect = 0.0 if math.isclose(old, new, abs_tol=1e-12) else math.inf
        else:
            effect = abs(new - old) / spread
        if effect > SURE * math.sqrt(1 / count + 1 / counts[place]):
            yield _change(found, place, column.name, "mean", old + centre, new + centre, effect)


def _missing(column: pl.Series, found: _Batches) -> Iterator[BatchChange]:
    gaps = _sums(column.is_null().to_numpy().astype(np.float64), found)
    yield from _share_changes(column.name, "missing", gaps, found)


def _new_values(column: pl.Series, found: _Batches) -> Iterator[BatchChange]:
    """The share of a batch's rows whose value no row before had, beside that share in the batches before it."""
    first = (
        pl.DataFrame({"value": column.cast(pl.String), "number": found.number})
        .select((pl.col("number") == pl.col("number").min().over("value")) & pl.col("value").is_not_null())
        .to_series()
    )
    fresh = _sums(first.to_numpy().astype(np.float64), found)
    # In the first batch everything is new.
    fresh[0] = 0.0
    later = _Batches(found.names, found.number, np.concatenate([[0.0], found.rows[1:]]))
    yield from _share_changes(column.name, "new values", fresh, later)


def _repeated(frame: pl.DataFrame, found: _Batches) -> Iterator[BatchChange]:
    if not frame.width:
        return
    again = ~frame.select(pl.struct(pl.all()).is_first_distinct()).to_series()
    yield from _share_changes("", "repeated rows", _sums(again.to_numpy().astype(np.float64), found), found)


def _share_changes(column: str, measure: str, counts: Floats, found: _Batches) -> Iterator[BatchChange]:
    for place, rows, before in _judged(found):
        old, new = counts[:place].sum() / before, counts[place] / rows
        effect = abs(2 * math.asin(math.sqrt(min(1.0, new))) - 2 * math.asin(math.sqrt(min(1.0, old))))
        if effect > SURE * math.sqrt(1 / before + 1 / rows):
            yield _change(found, place, column, measure, old, new, effect)


def _binned(column: pl.Series) -> npt.NDArray[np.int64]:
    values = column.cast(pl.Float64).to_numpy()
    there = np.isfinite(values)
    if not there.any():
        return np.full(len(values), -1, dtype=np.int64)
    edges = np.unique(np.quantile(values[there], np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.where(there, np.searchsorted(edges, values, side="right"), -1).astype(np.int64)


def _levels(column: pl.Series) -> npt.NDArray[np.int64]:
    text = column.cast(pl.String)
    known = text.drop_nulls().value_counts(sort=True).head(LEVELS)[column.name or ""].to_list()
    number = {name: place for place, name in enumerate(known)}
    coded = text.replace_strict(number, default=len(number), return_dtype=pl.Int64)
    return coded.set(text.is_null(), -1).to_numpy()


def _distribution(column: str, codes: npt.NDArray[np.int64], found: _Batches) -> Iterator[BatchChange]:
    """The stability index of each batch; chance alone gives about (bins - 1)(1/n + 1/m)."""
    there = codes >= 0
    if not there.any():
        return
    bins = int(codes.max()) + 1
    if bins < 2:
        return
    table = np.bincount(found.number[there] * bins + codes[there], minlength=len(found.names) * bins)
    counts = table.reshape(len(found.names), bins).astype(np.float64)
    for place, _rows, _before in _judged(found):
        old, new = counts[:place].sum(axis=0), counts[place]
        if old.sum() < FEW or new.sum() < FEW:
            continue
        p, q = (old + 0.5) / (old.sum() + 0.5 * bins), (new + 0.5) / (new.sum() + 0.5 * bins)
        index = float(((q - p) * np.log(q / p)).sum())
        scale = 1 / old.sum() + 1 / new.sum()
        # Under no change the index over the scale is chi-squared with bins - 1 degrees of freedom.
        if chi_square_tail(index / scale, bins - 1) < RARE:
            yield _change(found, place, column, "distribution", 0.0, index, index)


def _change(
    found: _Batches, place: int, column: str, measure: str, before: float, after: float, effect: float
) -> BatchChange:
    return BatchChange(
        batch=found.names[place],
        column=column,
        measure=measure,
        before=float(before),
        after=float(after),
        effect=float(effect),
        rows=int(found.rows[place]),
    )
