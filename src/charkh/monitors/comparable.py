"""Which columns of two tables can be compared, and why the others cannot."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from charkh.datasets.dtypes import dtype_text
from charkh.monitors.sketches.table import kind_of


class Typed(NamedTuple):
    """A column's type as text, and what of it can be compared (`sketches.table.kind_of`)."""

    kind: str
    dtype: str


def typed(schema: Mapping[str, pl.DataType]) -> dict[str, Typed]:
    """The types of a frame."""
    return {name: Typed(kind_of(dtype), dtype_text(dtype)) for name, dtype in schema.items()}


def comparable(
    reference: Mapping[str, Typed], live: Mapping[str, Typed], columns: Sequence[str] | None
) -> tuple[list[str], dict[str, str]]:
    """The columns that can be compared, and why the others cannot."""
    names = [name for name in reference if name in live] if columns is None else list(columns)
    why = {name: _why_not(reference.get(name), live.get(name)) for name in names}
    return [name for name in names if not why[name]], {name: said for name, said in why.items() if said}


def _why_not(old: Typed | None, new: Typed | None) -> str:
    if old is None or new is None:
        return f"the {'reference' if old is None else 'live rows'} lack{'s' if old is None else ''} it"
    if not {old.kind, new.kind} <= {"number", "category", "anything"}:
        return f"values of type {new.dtype} are not compared"
    return f"it was {old.dtype} and is {new.dtype}" if old.kind != new.kind else ""
