"""Out-of-sample probabilities of a column of labels: gradient-boosted trees, fitted on the other folds."""

from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold

from charkh.core.errors import Invalid

FOLDS = 5
LEVELS = 100
"""Texts of a column that are told apart, the most frequent ones; the others are one."""


class OutOfSample(NamedTuple):
    """Probabilities by a model that has not seen the row.

    Attributes:
        classes: in the order of the columns.
        probabilities: shape (rows with a label, classes).
    """

    classes: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]


def out_of_sample(frame: pl.DataFrame, target: str, *, seed: int = 0) -> OutOfSample:
    """Judge each labelled row by a model of the others.

    Args:
        frame: the table; every other column is a feature, texts and categories by their most frequent values.
        target: the labels; a row without one is left out.
        seed: of the folds.

    Raises:
        Invalid: fewer than two classes, a class with fewer rows than folds, or no feature.
    """
    labelled = frame.filter(pl.col(target).is_not_null())
    labels = labelled[target].cast(pl.String)
    counts = labels.value_counts(sort=True)
    features = [_numbers(labelled[name]) for name in labelled.columns if name != target]
    features = [each for each in features if each is not None]
    if counts.height < 2 or min(cast(list[int], counts["count"].to_list())) < FOLDS or not features:
        raise Invalid(
            f"{target!r} cannot be judged: it needs two classes with at least {FOLDS} rows each, and other columns",
            code="check.cannot_judge",
            hint="Name a column of classes, or give probabilities of your own model.",
        )
    matrix = np.column_stack([numbers for numbers, _ in features])
    categories = [text for _, text in features]
    classes = tuple(sorted(counts[target].to_list()))
    truth = labels.replace_strict({name: place for place, name in enumerate(classes)}, return_dtype=pl.Int64).to_numpy()
    probabilities = np.zeros((labelled.height, len(classes)))
    folds: Any = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for others, fold in folds.split(matrix, truth):
        options: dict[str, Any] = {"categorical_features": categories, "max_iter": 60, "random_state": seed}
        model: Any = HistGradientBoostingClassifier(**options)
        model.fit(matrix[others], truth[others])
        probabilities[fold] = cast(npt.NDArray[np.float64], model.predict_proba(matrix[fold]))
    return OutOfSample(classes, probabilities)


def _numbers(column: pl.Series) -> tuple[npt.NDArray[np.float64], bool] | None:
    """A column as numbers, and whether they are codes of categories; None for one that cannot be either."""
    if column.dtype.is_nested() or isinstance(column.dtype, pl.Binary | pl.Object | pl.Null):
        return None
    if column.dtype.is_temporal():
        return column.to_physical().cast(pl.Float64).to_numpy(), False
    if column.dtype.is_numeric() or isinstance(column.dtype, pl.Boolean):
        return column.cast(pl.Float64).to_numpy(), False
    text = column.cast(pl.String).alias("value")
    known: list[str] = text.drop_nulls().value_counts(sort=True).head(LEVELS)["value"].to_list()
    codes = {name: float(place) for place, name in enumerate(known)}
    return text.replace_strict(codes, default=float(len(codes)), return_dtype=pl.Float64).to_numpy(), True
