"""Tensors of a request as a table, for conditions and recipes."""

from typing import Any, cast

import polars as pl

from charkh.ports.runtimes import Tensors


def request_frame(inputs: Tensors) -> pl.DataFrame:
    """A request's tensors as a table; missing numbers and texts are null."""
    return pl.DataFrame([_series(name, tensor) for name, tensor in inputs.items()])


def _series(name: str, tensor: Any) -> pl.Series:
    if tensor.dtype == object:
        cells = cast(list[Any], tensor.tolist())
        return pl.Series(name, [cell.decode() if isinstance(cell, bytes) else cell for cell in cells], pl.String)
    series = pl.Series(name, tensor)
    return series.fill_nan(None) if series.dtype.is_float() else series
