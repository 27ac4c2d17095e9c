"""Codecs for what steps pass around most: bytes, NumPy arrays, Polars frames and series.

A library that the program has not loaded has no values to encode, so none is imported to find out.
"""

import io
import sys
from collections.abc import Mapping
from typing import Any

from charkh.core.errors import Corrupt, Invalid
from charkh.pipelines.values import Codec

ROW_GROUP = 131_072
"""Rows of a Parquet row group; fixed, because the bytes depend on it."""

_FILE = "value"


class BytesCodec:
    """Bytes, as they are."""

    name = "bytes"

    def accepts(self, value: object) -> bool:
        return type(value) is bytes

    def encode(self, value: bytes) -> Mapping[str, bytes]:
        return {_FILE: value}

    def decode(self, files: Mapping[str, bytes]) -> bytes:
        return files[_FILE]


class ArrayCodec:
    """NumPy arrays as `.npy`; arrays of objects are refused, because they would need pickle."""

    name = "npy"

    def accepts(self, value: object) -> bool:
        numpy = sys.modules.get("numpy")
        return numpy is not None and type(value) is numpy.ndarray

    def encode(self, value: Any) -> Mapping[str, bytes]:
        import numpy as np

        buffer = io.BytesIO()
        try:
            np.save(buffer, value, allow_pickle=False)
        except ValueError as error:
            raise Invalid(
                f"an array of {value.dtype} cannot be kept without pickle",
                code="pipeline.not_kept",
                hint="Give it a type: value.astype(str) or value.astype(float).",
            ) from error
        return {_FILE: buffer.getvalue()}

    def decode(self, files: Mapping[str, bytes]) -> Any:
        import numpy as np

        try:
            return np.lib.format.read_array(io.BytesIO(files[_FILE]), allow_pickle=False)
        except (ValueError, EOFError, OSError, KeyError) as error:
            raise _unreadable(self.name, error) from error


class FrameCodec:
    """Polars frames as Parquet."""

    name = "parquet"

    def accepts(self, value: object) -> bool:
        polars = sys.modules.get("polars")
        return polars is not None and type(value) is polars.DataFrame

    def encode(self, value: Any) -> Mapping[str, bytes]:
        import polars as pl

        buffer = io.BytesIO()
        try:
            # One chunk: where a frame was cut in memory would show in the bytes.
            value.rechunk().write_parquet(
                buffer, compression="zstd", compression_level=1, statistics=False, row_group_size=ROW_GROUP
            )
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise Invalid(
                f"a frame cannot be kept: {str(error).splitlines()[0]}",
                code="pipeline.not_kept",
                hint="Drop or cast the columns that hold Python objects.",
            ) from error
        return {_FILE: buffer.getvalue()}

    def decode(self, files: Mapping[str, bytes]) -> Any:
        import polars as pl

        try:
            return pl.read_parquet(io.BytesIO(files[_FILE]), use_statistics=False)
        except (pl.exceptions.PolarsError, OSError, KeyError, ValueError) as error:
            raise _unreadable(self.name, error) from error


class SeriesCodec:
    """Polars series, as frames of one column."""

    name = "parquet-series"

    def __init__(self) -> None:
        self._frames = FrameCodec()

    def accepts(self, value: object) -> bool:
        polars = sys.modules.get("polars")
        return polars is not None and type(value) is polars.Series

    def encode(self, value: Any) -> Mapping[str, bytes]:
        return self._frames.encode(value.to_frame())

    def decode(self, files: Mapping[str, bytes]) -> Any:
        return self._frames.decode(files).to_series()


BUILT_IN: tuple[Codec, ...] = (BytesCodec(), ArrayCodec(), FrameCodec(), SeriesCodec())


def copy_of(value: Any) -> Any:
    """A leaf that a step may change without anybody else seeing it; a foreign codec's value is passed as it is."""
    polars, numpy = sys.modules.get("polars"), sys.modules.get("numpy")
    if polars is not None and isinstance(value, polars.DataFrame | polars.Series):
        return value.clone()
    if numpy is not None and isinstance(value, numpy.ndarray):
        return numpy.array(value)
    return value


def _unreadable(name: str, error: Exception) -> Corrupt:
    return Corrupt(f"a stored {name} value cannot be read: {error}", code="pipeline.bad_value")
