"""Columns that tell the target: what a model may not see, because at prediction time it is not known.

A rule must be worth more than luck: a column is said to determine the target only where the agreement
that was seen would come about by chance with probability below 2**-20. Pure functions.
"""

import math
from collections.abc import Collection, Mapping

import polars as pl

_BITS = 20
"""Evidence against chance, in bits, that a refusal needs."""
_COPY_BITS = 8
"""The same for a copy, value by value."""
_SAMPLE = 200_000
"""Rows that are looked at first; what passes on them is looked at in full."""
_PROPORTIONAL = 1 - 1e-12


def leaking_columns(
    frame: pl.DataFrame, *, target: str, features: Collection[str], unknown: Collection[str] = ()
) -> Mapping[str, str]:
    """The features that must not be there, each with the reason, in the table's order.

    Args:
        frame: the rows; the target has no gaps.
        target: what is predicted.
        features: columns that a model would see.
        unknown: columns that are not known when a prediction is made, whether they are features or not.
    """
    reasons: dict[str, str] = {}
    named = {_plain(name): name for name in unknown}
    hidden = [name for name in unknown if name in frame.columns]
    for name in (name for name in frame.columns if name in features):
        column = frame[name]
        twin = next((other for other in hidden if other != name and _is_copy(column, frame[other])), None)
        if _plain(name) in named:
            reasons[name] = "it is not known when a prediction is made"
        elif twin is not None:
            reasons[name] = f"it is a copy of {twin!r}, which is not known when a prediction is made"
        elif reason := _tells(column, frame[target]):
            reasons[name] = reason
    return reasons


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _tells(feature: pl.Series, target: pl.Series) -> str:
    """How the feature gives the target away, or empty."""
    evidence = _bits_of_a_match(target) * target.len()
    if evidence >= _COPY_BITS and _is_copy(feature, target):
        return "it is a copy of the target"
    if evidence < _BITS:
        return ""
    numeric = feature.dtype.is_numeric() or feature.dtype == pl.Boolean
    if numeric and target.dtype.is_numeric() and _is_rescaled(feature, target):
        return "it is the target on another scale"
    if _determines(feature.head(_SAMPLE), target.head(_SAMPLE)) and _determines(feature, target):
        return "each of its values goes with one value of the target"
    if numeric and _separates(feature, target):
        return "a threshold on it gives the target"
    return ""


def _is_copy(feature: pl.Series, other: pl.Series) -> bool:
    """Whether they are equal value by value, as they are or as text; a constant is no copy of anything."""
    if feature.null_count() != other.null_count() or other.n_unique() < 2:
        return False
    if feature.dtype == other.dtype:
        return bool(feature.eq_missing(other).all())
    if _is_number(feature) and _is_number(other):
        return bool(feature.cast(pl.Float64).eq_missing(other.cast(pl.Float64)).all())
    if feature.dtype.is_nested() or other.dtype.is_nested():
        return False
    return bool(feature.cast(pl.String, strict=False).eq_missing(other.cast(pl.String, strict=False)).all())


def _is_number(column: pl.Series) -> bool:
    return column.dtype.is_numeric() or column.dtype == pl.Boolean


def _is_rescaled(feature: pl.Series, target: pl.Series) -> bool:
    pairs = pl.DataFrame({"x": feature.cast(pl.Float64), "y": target.cast(pl.Float64)}).drop_nulls()
    if pairs.height < max(3, 0.9 * target.len()) or pairs["y"].n_unique() < 3:
        return False
    correlation = pairs.select(pl.corr("x", "y")).item()
    return correlation is not None and abs(correlation) >= _PROPORTIONAL


def _determines(feature: pl.Series, target: pl.Series) -> bool:
    """Whether the target is a function of the feature, on more repeated values than luck explains."""
    if feature.dtype.is_nested():
        return False
    counts = pl.LazyFrame({"x": feature, "y": target}).group_by("x").agg(pl.col("y").n_unique().alias("values"))
    seen = counts.select(pl.col("values").max(), pl.len().alias("groups")).collect()
    values, groups = seen.row(0)
    return values == 1 and (target.len() - groups) * _bits_of_a_match(target) >= _BITS


def _separates(feature: pl.Series, target: pl.Series) -> bool:
    """Whether the rows of the two classes lie on two sides of one threshold."""
    classes = target.unique()
    if classes.len() != 2:
        return False
    pairs = pl.DataFrame({"x": feature.cast(pl.Float64), "y": target}).filter(pl.col("x").is_finite())
    ranges = pairs.group_by("y").agg(pl.col("x").min().alias("low"), pl.col("x").max().alias("high"), pl.len())
    if ranges.height != 2 or pairs.height < 0.9 * target.len():
        return False
    (_, low, high, count), (_, other_low, other_high, other_count) = ranges.rows()
    # By chance, one of the C(n, k) orders of the classes has them apart.
    total = math.lgamma(count + other_count + 1) - math.lgamma(count + 1) - math.lgamma(other_count + 1)
    return (high < other_low or other_high < low) and total / math.log(2) >= _BITS


def _bits_of_a_match(target: pl.Series) -> float:
    """How unlikely it is that two rows have one target by chance, in bits."""
    shares = target.value_counts()["count"] / target.len()
    agree = float((shares**2).sum())
    return -math.log2(agree) if 0 < agree < 1 else 0.0
