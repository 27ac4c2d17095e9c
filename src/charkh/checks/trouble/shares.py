"""A source that has too many rows: whoever can add rows without bound can teach a model what he likes."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from charkh.checks.trouble.trouble import Trouble, places, trouble
from charkh.core.errors import Invalid

_ODD = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio: multiplying by it scatters places evenly (Knuth, TAOCP 6.4)."""


def shares(frame: pl.DataFrame, source: str, *, most: int) -> Iterator[Trouble]:
    """The rows that a source has beyond `most`; which of its rows stay does not depend on their order in time.

    Args:
        frame: the table.
        source: the column that says where a row came from; rows without one count as one source.
        most: rows that one source may have.

    Raises:
        Invalid: there is no such column, or `most` is below 1.
    """
    if source not in frame.columns or most < 1:
        raise Invalid(
            f"no column {source!r} with at most {most} rows a value",
            code="check.bad_cap",
            hint=f"Columns are: {', '.join(frame.columns[:30])}; give a number of rows from 1.",
        )
    scattered = np.arange(frame.height, dtype=np.uint64) * np.uint64(_ODD)
    ranked = frame.select(pl.col(source).alias("_source"), pl.Series("_order", scattered)).with_columns(
        pl.col("_order").rank("ordinal").over("_source").alias("_rank")
    )
    rows = places(ranked["_rank"] > most)
    if not len(rows):
        return
    sizes = frame.group_by(source).len().filter(pl.col("len") > most).sort("len", descending=True)
    largest = int(sizes["len"][0])
    message = (
        f"{sizes.height} values of {source!r} have more than {most} rows, up to {largest}: "
        f"{len(rows)} rows are beyond it"
    )
    yield trouble("share", (source,), rows, frame.height, message)
