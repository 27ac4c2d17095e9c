"""Guess which columns tell the rows of two tables apart: exact, because a guess is verified on every row."""

import itertools
from collections.abc import Mapping, Sequence

import polars as pl

SAMPLE = 20_000
"""Rows of each table that rule most columns out before any is read whole."""
MOST = 3
"""Columns that a guessed key has at most."""
CANDIDATES = 12
"""Columns that are combined: those with the most different values."""
ATTEMPTS = 20
"""Combinations that are verified on every row at most."""


def guess_key(old: pl.LazyFrame, new: pl.LazyFrame) -> tuple[str, ...]:
    """The columns that tell the rows of both tables apart without a gap, as few as possible; empty when none do.

    Of several single columns, it is the one that most rows have in common, then the first. Floats and nested columns
    are no keys, nor is a column whose type differs.
    """
    before, after = old.collect_schema(), new.collect_schema()
    names = [name for name, dtype in before.items() if after.get(name) == dtype and _may_be_key(dtype)]
    if not names:
        return ()
    samples = [frame.select(names).head(SAMPLE).collect() for frame in (old, new)]
    if not all(sample.height for sample in samples):
        return ()
    whole = [name for name in names if not any(sample[name].null_count() for sample in samples)]
    single = [(name,) for name in whole if _all_tell_apart(samples, (name,))]
    good = [key for key in single if is_key(old, key) and is_key(new, key)]
    if good:
        return good[0] if len(good) == 1 else max(good, key=lambda key: _in_common(old, new, key))
    return _combined(old, new, samples, whole)


def _combined(
    old: pl.LazyFrame, new: pl.LazyFrame, samples: Sequence[pl.DataFrame], names: Sequence[str]
) -> tuple[str, ...]:
    counts: Mapping[str, int] = {name: min(sample[name].n_unique() for sample in samples) for name in names}
    chosen = set(sorted(names, key=lambda name: -counts[name])[:CANDIDATES])
    ordered = [name for name in names if name in chosen]
    attempts = 0
    for width in range(2, MOST + 1):
        for key in itertools.combinations(ordered, width):
            if _may_tell_apart(counts, samples, key) and _all_tell_apart(samples, key):
                if is_key(old, key) and is_key(new, key):
                    return key
                attempts += 1
                if attempts == ATTEMPTS:
                    return ()
    return ()


def _may_be_key(dtype: pl.DataType) -> bool:
    return not (dtype.is_nested() or dtype.is_float() or dtype == pl.Null or dtype == pl.Boolean)


def _may_tell_apart(counts: Mapping[str, int], samples: Sequence[pl.DataFrame], key: Sequence[str]) -> bool:
    """Whether there are enough different values for so many rows."""
    possible = 1
    for name in key:
        possible *= counts[name]
    return possible >= min(sample.height for sample in samples)


def _all_tell_apart(samples: Sequence[pl.DataFrame], key: Sequence[str]) -> bool:
    return all(sample.select(key).n_unique() == sample.height for sample in samples)


def is_key(frame: pl.LazyFrame, key: Sequence[str]) -> bool:
    """Whether the columns tell every row apart without a gap."""
    gaps = pl.any_horizontal(pl.col(key).is_null()).any().alias("gaps")
    distinct = pl.struct(key).n_unique() if len(key) > 1 else pl.col(key[0]).n_unique()
    found = frame.select(distinct.alias("distinct"), gaps, pl.len().alias("rows")).collect(engine="streaming")
    distinct_rows, has_gaps, rows = found.row(0)
    return not has_gaps and distinct_rows == rows


def _in_common(old: pl.LazyFrame, new: pl.LazyFrame, key: Sequence[str]) -> int:
    met = new.select(key).join(old.select(key), on=list(key), how="semi").select(pl.len())
    return int(met.collect(engine="streaming").item())
