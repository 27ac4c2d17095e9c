"""Turn a table into numbers for distances between rows: columns on one scale, gaps and categories beside them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]

CATEGORIES = 20
"""Of a column, that get a number of their own; the rest shares one."""


def is_vector(dtype: pl.DataType) -> bool:
    """Whether a column holds vectors of numbers."""
    return isinstance(dtype, pl.List | pl.Array) and pl.DataFrame(schema={"v": dtype})["v"].explode().dtype.is_numeric()


def features_of(reference: pl.DataFrame, live: pl.DataFrame, columns: Sequence[str]) -> Floats:
    """The rows of both tables, the reference's first.

    Scales are those of both tables together, so that nothing here tells one side from the other: a permutation test
    of what follows is valid.
    """
    parts = list[Floats]()
    for name in columns:
        before, after = reference[name], live[name]
        if before.dtype.is_numeric() or before.dtype.is_temporal():
            parts += _number(np.concatenate([_values(before), _values(after)]))
        elif isinstance(before.dtype, pl.String | pl.Categorical | pl.Enum | pl.Boolean):
            parts += _categories(pl.concat([before.cast(pl.String), after.cast(pl.String)]))
    return np.column_stack(parts) if parts else np.zeros((reference.height + live.height, 0))


def vectors_of(column: pl.Series) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """A column of vectors as a matrix, and which rows it has: those of the usual length, without a gap."""
    lists = column.cast(pl.List(pl.Float64))
    lengths = lists.list.len().fill_null(0)
    usual = lengths.filter(lengths > 0).mode().sort()
    width = int(usual[0]) if len(usual) else 0
    there = (lengths == width).to_numpy() if width else np.zeros(len(column), np.bool_)
    flat = lists.filter(pl.Series(there)).explode().fill_null(float("nan")).to_numpy()
    matrix: Floats = flat.reshape(-1, width) if width else np.zeros((0, 0))
    sound = np.isfinite(matrix).all(axis=1)
    there[there] = sound
    return matrix[sound], there


def _values(column: pl.Series) -> Floats:
    physical = column.to_physical() if column.dtype.is_temporal() else column
    return physical.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _number(values: Floats) -> list[Floats]:
    gaps = ~np.isfinite(values)
    some = values[~gaps]
    if not len(some):
        return []
    low, middle, high = np.quantile(some, [0.25, 0.5, 0.75])
    # 1.349 quartile distances are a standard deviation of a normal; a column that hardly varies has no quartiles.
    scale = (high - low) / 1.349 or float(some.std()) or 1.0
    # One value out of all bounds must not set the scale of the kernel.
    scaled = np.clip(np.where(gaps, 0.0, (values - middle) / scale), -10, 10)
    return [scaled, gaps.astype(np.float64)] if gaps.any() else [scaled]


def _categories(values: pl.Series) -> list[Floats]:
    counts = values.value_counts().sort(["count", values.name], descending=[True, False])
    names = counts[values.name].to_list()[:CATEGORIES]
    one_hot: list[Floats] = [values.eq_missing(name).to_numpy().astype(np.float64) for name in names]
    rest = 1.0 - np.sum(np.stack(one_hot), axis=0) if one_hot else np.zeros(0)
    return [*one_hot, rest] if len(counts) > CATEGORIES else one_hot
