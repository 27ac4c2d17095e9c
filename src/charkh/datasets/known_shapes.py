"""The shapes that files of a table had when they were last looked at, as texts that a cache can keep.

A shape was either found from the file itself, or only checked: the file has the columns and types of another. Which it
was is kept, so that a table comes out the same whether its shapes were known or not.
"""

from collections.abc import Mapping
from functools import lru_cache

import msgspec
import polars as pl

from charkh.datasets.csv_file import TableFile
from charkh.datasets.dataset import Reading
from charkh.datasets.dtypes import dtype_text, parse_dtype


class Shape(msgspec.Struct, frozen=True, array_like=True):
    """What a cache keeps of a file.

    Attributes:
        polars: version of the library that looked at it; another may infer other types.
        reading: how text was read.
        columns: names and types.
        rows: how many.
        checked: the types are those that the file was checked against, not those that its own texts suggest.
    """

    polars: str
    reading: Reading
    columns: tuple[tuple[str, str], ...]
    rows: int
    checked: bool


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Shape).decode


class KnownShapes:
    """Shapes by path, those from a cache and those that were found since.

    Args:
        reading: how text is read now; what was read otherwise is not known.
        cached: what a cache kept, by path.
    """

    def __init__(self, reading: Reading, cached: Mapping[str, bytes]) -> None:
        self._reading = reading
        self._known: dict[str, Shape] = {}
        self._new: set[str] = set()
        for path, data in cached.items():
            shape = _shape(data)
            if shape is not None and (shape.polars, shape.reading) == (pl.__version__, reading):
                self._known[path] = shape

    def knows(self, path: str) -> bool:
        """Whether anything is known of the file."""
        return path in self._known

    def is_new(self, path: str) -> bool:
        """Whether it was found since."""
        return path in self._new

    def found(self, path: str) -> TableFile | None:
        """The file's own shape."""
        shape = self._known.get(path)
        if shape is None or shape.checked:
            return None
        columns = _columns(shape.columns)
        return None if columns is None else TableFile(dict(columns), shape.rows)

    def rows(self, path: str, columns: Mapping[str, pl.DataType]) -> int | None:
        """The rows of a file that was checked to have these columns."""
        shape = self._known.get(path)
        if shape is None or not shape.checked or shape.columns != _texts(columns):
            return None
        return shape.rows

    def learn(self, path: str, columns: Mapping[str, pl.DataType], rows: int, *, checked: bool = False) -> None:
        """Remember what a file is."""
        texts = _texts(columns)
        if _columns(texts) == dict(columns):
            self._known[path] = Shape(pl.__version__, self._reading, texts, rows, checked)
            self._new.add(path)

    def encoded(self, path: str) -> bytes:
        """What a cache may keep of the file; empty for nothing."""
        shape = self._known.get(path)
        return b"" if shape is None else _encode(shape)


def _shape(data: bytes) -> Shape | None:
    try:
        return _decode(data)
    except msgspec.MsgspecError:
        return None


def _texts(columns: Mapping[str, pl.DataType]) -> tuple[tuple[str, str], ...]:
    return tuple((name, dtype_text(dtype)) for name, dtype in columns.items())


@lru_cache(maxsize=64)
def _columns(texts: tuple[tuple[str, str], ...]) -> dict[str, pl.DataType] | None:
    """The columns that texts say; None where one does not tell its type."""
    columns: dict[str, pl.DataType] = {}
    for name, text in texts:
        dtype = parse_dtype(text)
        if dtype is None:
            return None
        columns[name] = dtype
    return columns
