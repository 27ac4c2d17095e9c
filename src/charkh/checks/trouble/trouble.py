"""The noun: one thing that is wrong with a table, which rows it is about, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

Rows = npt.NDArray[np.int64]
"""Places of rows in the table, from 0, ascending."""

KINDS = (
    "duplicate",
    "contradiction",
    "near_duplicate",
    "train_test_leak",
    "target_leak",
    "label",
    "outlier",
    "personal",
    "share",
)
"""Every kind of trouble, in the order in which they are told."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, without the values of rows.

    Attributes:
        kind: one of `KINDS`.
        columns: that it is about; none where it is about whole rows.
        rows: how many rows it is about.
        share: of all rows, from 0 to 1.
        message: in a sentence, for people.
        examples: masked or harmless texts that show what is meant.
    """

    kind: str
    columns: tuple[str, ...]
    rows: int
    share: float
    message: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trouble:
    """A finding and the rows that would have to go.

    Attributes:
        finding: what is told about it.
        rows: places of the rows, from 0.
        scores: how bad each row is, greater is worse; empty where all are alike.
        suggestions: what should stand there instead, such as the likely label; empty where nothing is suggested.
    """

    finding: Finding
    rows: Rows
    scores: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    suggestions: tuple[str, ...] = ()


def trouble(
    kind: str,
    columns: Sequence[str],
    rows: Rows,
    total: int,
    message: str,
    *,
    examples: Sequence[str] = (),
    scores: npt.NDArray[np.float64] | None = None,
    suggestions: Sequence[str] = (),
) -> Trouble:
    """A trouble of a table with `total` rows."""
    finding = Finding(
        kind=kind,
        columns=tuple(columns),
        rows=len(rows),
        share=len(rows) / total if total else 0.0,
        message=message,
        examples=tuple(examples),
    )
    return Trouble(finding, rows, np.empty(0) if scores is None else scores, tuple(suggestions))


def places(mask: pl.Series) -> Rows:
    """Where a mask is true."""
    return np.flatnonzero(mask.fill_null(False).to_numpy()).astype(np.int64)
