"""The rows that are scored: columns checked and brought into the arrays that metrics take. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.digests import digest_of
from charkh.core.errors import Invalid
from charkh.core.metrics import Floats
from charkh.core.redact import redact
from charkh.evaluations.evaluation import MAX_DISTINCT, MAX_SLICE_COLUMNS, MAX_SLICE_TEXT

MISSING = "(missing)"
ROW_GROUPS = 500
"""Independent rows are drawn in so many random groups: for independent rows this estimates the same spread."""

Column = Sequence[Any] | npt.NDArray[Any] | pl.Series
"""One column of the rows: a sequence, a NumPy array or a Polars series."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows with truth, in arrays of one length.

    Attributes:
        truth: 0/1 or numbers.
        scores: what was predicted.
        rival: what the champion predicted for the same rows, or None.
        blocks: number of the block of each row.
        labels: name of each block by its number; empty where rows are independent.
        slices: by column, the value of each row as text.
        left_out: rows without truth, which are not in the arrays.
    """

    truth: Floats
    scores: Floats
    rival: Floats | None
    blocks: npt.NDArray[np.intp]
    labels: tuple[str, ...]
    slices: Mapping[str, pl.Series]
    left_out: int

    @property
    def rows(self) -> int:
        return len(self.truth)

    @property
    def independent(self) -> bool:
        """No blocks were given."""
        return not self.labels

    @property
    def digest(self) -> str:
        """Digest of the truth, row by row."""
        return digest_of(self.truth.astype("<f8").tobytes())

    def of(self, mask: npt.NDArray[np.bool_]) -> "Sample":
        """The rows where `mask` is true, without their slices."""
        rival = None if self.rival is None else self.rival[mask]
        return replace(
            self, truth=self.truth[mask], scores=self.scores[mask], rival=rival, blocks=self.blocks[mask], slices={}
        )


def make_sample(
    truth: Column,
    scores: Column,
    *,
    rival: Column | None = None,
    blocks: Column | None = None,
    slices: Mapping[str, Column] | None = None,
    seed: int = 0,
) -> Sample:
    """The rows that have a truth.

    Raises:
        Invalid: columns differ in length, a prediction or a block is missing, nothing is a number, or no row has
            a truth.
    """
    numbers = _numbers(truth, "truth")
    known = ~np.isnan(numbers)
    if not known.any():
        raise Invalid(
            f"none of the {len(numbers)} rows has a truth",
            code="evaluation.no_truth",
            hint="Evaluate on a dataset whose target is known.",
        )
    codes, labels = _blocks(blocks, len(numbers), seed)
    return Sample(
        truth=numbers[known],
        scores=_predictions(scores, "predictions", known),
        rival=None if rival is None else _predictions(rival, "predictions of the champion", known),
        blocks=codes[known],
        labels=labels,
        slices=_slices(slices or {}, known),
        left_out=int(np.count_nonzero(~known)),
    )


def _predictions(values: Column, what: str, known: npt.NDArray[np.bool_]) -> Floats:
    numbers = _numbers(values, what)
    _check_length(what, len(numbers), len(known))
    numbers = numbers[known]
    missing = int(np.count_nonzero(np.isnan(numbers)))
    if missing:
        raise Invalid(
            f"{missing} of {len(numbers)} {what} are missing",
            code="evaluation.no_prediction",
            hint="Predict every row that has a truth; a model that abstains needs a score for that.",
        )
    return numbers


def _numbers(values: Column, what: str) -> Floats:
    array = np.asarray(values)
    if array.dtype == object:
        array = np.array([np.nan if value is None else value for value in array.tolist()])
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise Invalid(
            f"the {what} are no column of numbers",
            code="evaluation.not_numbers",
            hint="Give one number a row; for two classes, 1 for the positive and 0 for the other.",
        )
    return array.astype(np.float64)


def _blocks(blocks: Column | None, rows: int, seed: int) -> tuple[npt.NDArray[np.intp], tuple[str, ...]]:
    if blocks is None:
        order = np.random.default_rng(seed).permutation(rows)
        return (order % ROW_GROUPS).astype(np.intp), ()
    series = _series("block", blocks)
    _check_length("blocks", len(series), rows)
    if series.null_count():
        raise Invalid(
            f"{series.null_count()} rows have no block",
            code="evaluation.no_block",
            hint="Give every row its day or customer, or leave the blocks out.",
        )
    codes = (series.rank("dense") - 1).to_numpy().astype(np.intp)
    return codes, tuple(series.unique().sort().cast(pl.String).to_list())


def _slices(columns: Mapping[str, Column], known: npt.NDArray[np.bool_]) -> dict[str, pl.Series]:
    if len(columns) > MAX_SLICE_COLUMNS:
        raise Invalid(
            f"{len(columns)} slice columns are more than {MAX_SLICE_COLUMNS}",
            code="evaluation.too_many_slices",
            hint="Name the few columns whose groups matter.",
        )
    texts: dict[str, pl.Series] = {}
    for name, values in columns.items():
        series = _series(name, values)
        _check_length(f"values of {name}", len(series), len(known))
        text = series.cast(pl.String).fill_null(MISSING).filter(pl.Series(known))
        distinct: list[str] = text.unique().to_list()
        if len(distinct) > MAX_DISTINCT:
            raise Invalid(
                f"{name} has {len(distinct)} different values, too many for slices",
                code="evaluation.too_many_slices",
                hint="Slice by a column with few values; cut a number into ranges first.",
            )
        # Few values stand in many rows, so each is bounded once.
        texts[name] = text.replace_strict({value: _bounded(value) for value in distinct}, return_dtype=pl.String)
    return texts


def _bounded(value: str) -> str:
    """A value as it may stand in the name of a fact: one line, without credentials, not too long."""
    text = redact(" ".join(value.split())) or "(empty)"
    return text if len(text) <= MAX_SLICE_TEXT else f"{text[: MAX_SLICE_TEXT - 1]}…"


def _series(name: str, values: Column) -> pl.Series:
    series = values if isinstance(values, pl.Series) else pl.Series(name, values, strict=False)
    return series.fill_nan(None) if series.dtype.is_float() else series


def _check_length(what: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise Invalid(
            f"there are {found} {what} for {wanted} rows of truth",
            code="evaluation.length",
            hint="Give columns of the same rows.",
        )
