"""Columns of scores and truth as arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.errors import Invalid

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


def score_matrix(column: pl.Series) -> Floats:
    """A row of scores for each row; one that is missing is NaN."""
    if isinstance(column.dtype, pl.List | pl.Array):
        lists = column.cast(pl.List(pl.Float64))
        lengths = lists.list.len().fill_null(0)
        width = max(1, int(lengths.max() or 1))  # type: ignore[arg-type]
        whole = lists.set(lengths != width, None) if (lengths != width).any() else lists
        matrix = np.full((len(column), width), np.nan)
        matrix[whole.is_not_null().to_numpy()] = (
            whole.drop_nulls().explode().fill_null(float("nan")).to_numpy().reshape(-1, width)
        )
        return matrix
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        raise Invalid(
            f"the score {column.name!r} is {column.dtype}",
            code="monitor.score",
            hint="Name an output of probabilities, such as predict_proba, or of numbers, in `score`.",
        )
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy().reshape(-1, 1)


def with_scores(rows: pl.DataFrame, score: str) -> pl.DataFrame:
    """The rows whose scores are all there and finite."""
    sound: npt.NDArray[np.bool_] = np.asarray(np.isfinite(score_matrix(rows[score])).all(axis=1))
    return rows.filter(pl.Series(sound, dtype=pl.Boolean))


def class_codes(target: pl.Series, classes: Sequence[Any], width: int) -> Codes | str:
    """The class of each row by number, -1 for a label that the model does not know; or why that cannot be said.

    Raises:
        Invalid: there are not as many `classes` as the score has values.
    """
    if is_binary(target) and width <= 2:
        return target.cast(pl.Int64).to_numpy().astype(np.intp)
    labels = list(classes) or target.unique().sort().to_list()
    if len(labels) != max(2, width):
        what = f"the target has {len(labels)} classes and the score {width} values"
        if not classes:
            return what
        raise Invalid(
            what, code="monitor.classes", hint="Give `classes`, the labels in the order of the score's values."
        )
    numbers = {label: number for number, label in enumerate(labels)}
    return np.array([numbers.get(label, -1) for label in target.to_list()], np.intp)


def is_binary(target: pl.Series) -> bool:
    """Whether a target is 0 and 1, or booleans."""
    if target.dtype == pl.Boolean:
        return True
    return target.dtype.is_numeric() and bool(((target == 0) | (target == 1)).all())


def block_codes(known: pl.DataFrame, block: str) -> Codes | None:
    """The block of each row by number; None without a block."""
    if not block:
        return None
    return np.unique(known[block].cast(pl.String).fill_null("").to_numpy(), return_inverse=True)[1].reshape(-1)
