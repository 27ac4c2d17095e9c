"""Numbers far from all others: modified z-scores, with a bound that knows how many rows were looked at.

Iglewicz, Hoaglin (1993), "How to Detect and Handle Outliers": 0.6745 (x - median) / MAD. Among many rows some lie far
out by chance, so the bound is the greatest of `FAR` and what a normal column would pass once in twenty tables.
"""

from collections.abc import Iterator
from statistics import NormalDist

import numpy as np
import polars as pl

from charkh.checks.trouble.trouble import Trouble, places, trouble

FAR = 6.0
HEAVY = 0.01
"""A column with more outliers than this share has heavy tails; they are its nature, not trouble."""


def outliers(frame: pl.DataFrame) -> Iterator[Trouble]:
    """Rows with a number far from the column's others; a column half of whose values are equal has no scale."""
    names = [name for name, dtype in frame.schema.items() if dtype.is_numeric()]
    for name in names:
        column = frame[name].cast(pl.Float64)
        finite = column.filter(column.is_finite())
        if finite.len() < 30:
            continue
        median = float(np.median(finite.to_numpy()))
        spread = float(np.median(np.abs(finite.to_numpy() - median)))
        if spread == 0:
            continue
        bound = max(FAR, NormalDist().inv_cdf(1 - 0.05 / (2 * finite.len())))
        score = (0.6745 / spread) * (column - median).abs()
        rows = places((score > bound) | column.is_infinite())
        if not len(rows) or len(rows) > HEAVY * frame.height:
            continue
        values = column.gather(rows)
        ends = f"{values.min():g}" if len(rows) == 1 else f"{values.min():g} to {values.max():g}"
        message = f"{name!r} has {len(rows)} far from its median {median:g}: {ends}"
        yield trouble("outlier", (name,), rows, frame.height, message, scores=score.gather(rows).to_numpy())
