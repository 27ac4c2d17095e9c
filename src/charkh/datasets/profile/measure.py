"""Profile a table: one pass by Polars for what it counts, one sort for everything that is said about numbers."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import cast

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
from blake3 import blake3

from charkh.datasets.dtypes import dtype_text
from charkh.datasets.expression_functions import DATE, INTEGER, NUMBER, TEXT, TIME, TRUTH
from charkh.datasets.expressions import kind_of
from charkh.datasets.profile.distinct import distinct_of, hashed_texts, mixed
from charkh.datasets.profile.histogram import Counts, Floats, Keys, histogram_of, keys_of, values_of
from charkh.datasets.profile.merge import merge_profiles
from charkh.datasets.profile.moments import moments_of
from charkh.datasets.profile.profile import (
    MOST_SHAPES,
    MOST_TEXTS,
    ColumnProfile,
    ProfileKind,
    TableProfile,
)
from charkh.datasets.profile.top import MAX_TEXT, Top, top_of

BATCH = 1_000_000
"""Rows of a lazy table that are in memory at once."""
_WHOLE = 2.0**53
"""From here on not every integer is a float64."""
_SHAPED = 64
"""Characters of a text whose shape is told."""
_LONG_SHAPE = 16
"""A longer shape tells runs of one sign as one."""
_KINDS: dict[str, ProfileKind] = {
    INTEGER: "integer",
    NUMBER: "number",
    DATE: "time",
    TIME: "time",
    TEXT: "text",
    TRUTH: "boolean",
}


def profile_frame(frame: pl.DataFrame) -> TableProfile:
    """The profile of a table in memory."""
    columns = frame.get_columns()
    # NumPy sorts without Python's lock: two threads take about half the time of one.
    if frame.height * frame.width > BATCH // 10:
        with ThreadPoolExecutor() as threads:
            found = tuple(threads.map(profile_column, columns))
    else:
        found = tuple(profile_column(column) for column in columns)
    return TableProfile(rows=frame.height, columns=found)


def profile_lazily(lazy: pl.LazyFrame, *, batch: int = BATCH) -> TableProfile:
    """The profile of a table that need not fit into memory: batch by batch, merged."""
    batches: Iterable[pl.DataFrame] = lazy.collect_batches(chunk_size=batch, maintain_order=False)
    profiles = (profile_frame(each) for each in batches if each.height)
    empty = profile_frame(pl.DataFrame(schema=lazy.collect_schema()))
    return reduce(merge_profiles, profiles, empty)


def profile_column(column: pl.Series) -> ColumnProfile:
    """The profile of one column."""
    kind = _KINDS.get(kind_of(column.dtype), "other")
    known = column.drop_nulls()
    if column.dtype.is_float():
        known = known.drop_nans()
    base = ColumnProfile(
        name=column.name,
        dtype=dtype_text(column.dtype),
        kind=kind,
        rows=len(column),
        missing=len(column) - len(known),
    )
    if kind == "other" or not len(known):
        return base
    if kind in {"text", "boolean"}:
        return _texts(base, known.cast(pl.String))
    if kind == "time":
        known = known.cast(pl.Datetime("us")).to_physical()
    return _numbers(base, known)


def _numbers(base: ColumnProfile, known: pl.Series) -> ColumnProfile:
    whole = known.dtype.is_integer()
    values = cast(Floats, known.cast(pl.Float64).to_numpy())
    finite = values if whole else values[np.isfinite(values)]
    keys, counts = _runs(keys_of(finite))
    hashed = keys
    if whole:
        # Integers are hashed as such, for neighbours beyond 2^53 are one float64 and still different values.
        small = not len(finite) or max(abs(float(finite.min())), abs(float(finite.max()))) < _WHOLE
        integers = values_of(keys).astype(np.int64) if small else _integers(known)
        hashed = integers.view(np.uint64)
    zeros = int(np.count_nonzero(finite == 0)) if base.kind != "time" else 0
    negative = int(np.count_nonzero(finite < 0)) if base.kind != "time" else 0
    return _with(
        base,
        infinite=len(values) - len(finite),
        zeros=zeros,
        negative=negative,
        moments=moments_of(finite),
        histogram=histogram_of(keys, counts),
        distinct=distinct_of(mixed(hashed)),
    )


def _integers(known: pl.Series) -> npt.NDArray[np.int64]:
    return cast(npt.NDArray[np.int64], known.cast(pl.Int64, wrap_numerical=True).to_numpy())


def _runs(keys: Keys) -> tuple[Keys, Counts]:
    """Different keys in ascending order, and how often each stands there."""
    if not len(keys):
        return keys, np.zeros(0, np.int64)
    keys = np.sort(keys)
    begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[begins], np.diff(np.concatenate([begins, [len(keys)]])).astype(np.int64)


def _texts(base: ColumnProfile, known: pl.Series) -> ColumnProfile:
    counted = known.alias("text").value_counts(name="count").cast({"count": pl.Int64})
    texts, counts = counted["text"], cast(Counts, counted["count"].to_numpy())
    joined = cast(str, texts.str.join("").item()).encode()
    hashes = hashed_texts(joined, cast(Counts, texts.str.len_bytes().cast(pl.Int64).to_numpy()))
    found = _with(base, distinct=distinct_of(hashes), texts=_most_common(counted, MOST_TEXTS))
    if base.kind == "boolean":
        return found
    lengths = cast(Floats, texts.str.len_chars().cast(pl.Float64).to_numpy())
    shapes = counted.with_columns(_shape(pl.col("text")).alias("text")).group_by("text").agg(pl.col("count").sum())
    return _with(found, lengths=moments_of(lengths, counts), shapes=_most_common(shapes, MOST_SHAPES))


def _most_common(counted: pl.DataFrame, most: int) -> Top:
    """The most common of counted texts; sorted by Polars, as there can be a great many."""
    total = int(counted["count"].sum())
    ordered = counted.sort("count", "text", descending=[True, False])
    kept = ordered.head(most)
    unseen = int(ordered["count"][most]) if ordered.height > most else 0
    pairs = zip(map(_kept, kept["text"].to_list()), kept["count"].to_list(), strict=True)
    return top_of(pairs, most, unseen=unseen, total=total)


def _kept(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT // 2]}…{blake3(text.encode()).hexdigest()[:16]}"


def _shape(text: pl.Expr) -> pl.Expr:
    signs = text.str.slice(0, _SHAPED)
    for pattern, sign in ((r"\p{Lu}", "A"), (r"\p{Ll}", "a"), (r"\p{Nd}", "9"), (r"\s", " ")):
        signs = signs.str.replace_all(pattern, sign)
    runs = signs
    for sign in "Aa9":
        runs = runs.str.replace_all(f"{sign}+", f"{sign}+")
    return pl.when(text.str.len_chars() <= _LONG_SHAPE).then(signs).otherwise(runs)


def _with(base: ColumnProfile, **fields: object) -> ColumnProfile:
    return msgspec.structs.replace(base, **fields)
