"""Compare what two forms of one model answer to the same rows, and make the rows on which they would differ."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from charkh.core.errors import Invalid
from charkh.ports.runtimes import Tensors, TensorSpec, row_count

TOLERANCE = 1e-5
"""How far apart two numbers may be: absolutely up to 1, and relatively beyond it."""

MADE_ROWS = 256
"""Rows that are made to find a difference."""

MADE_PAIRS = 32
"""Pairs of rows between which the place is sought where the label changes."""

Array = npt.NDArray[Any]


class OutputParity(msgspec.Struct, frozen=True, kw_only=True):
    """One output compared: rows that differ, the greatest distance, and the first row at which it was found.

    `worst` is in the units of the tolerance's rule (absolute up to 1, relative beyond) and infinite where one answer
    is missing or not finite; `worst_row` is -1 where every row is equal.
    """

    name: str
    differing: int
    worst: float
    worst_row: int


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison found."""

    rows: int
    tolerance: float
    outputs: tuple[OutputParity, ...]

    @property
    def passed(self) -> bool:
        """Whether there were rows and outputs, and no row of any output differs."""
        return self.rows > 0 and bool(self.outputs) and not any(each.differing for each in self.outputs)


class ParityReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a comparison.

    Attributes:
        passed: every set of rows was answered alike.
        reason: why it was not compared; empty where it was.
        sets: the comparison by set of rows: `example`, `edges`, `boundary`.
        worst_rows: by set, the inputs of the worst row as the model takes them.
        microseconds: of one row, by `original` and `compiled`.
    """

    passed: bool
    reason: str = ""
    sets: dict[str, Parity] = {}
    worst_rows: dict[str, dict[str, str]] = {}
    microseconds: dict[str, float] = {}


def compare(original: Tensors, compiled: Tensors, *, tolerance: float = TOLERANCE) -> Parity:
    """Labels must be equal and numbers within the tolerance, in every output of the original.

    Raises:
        Invalid: an output is missing, or has another shape or another kind of value, so that nothing can be compared.
    """
    outputs = tuple(_output(name, answer, compiled.get(name), tolerance) for name, answer in original.items())
    return Parity(rows=row_count(original), tolerance=tolerance, outputs=outputs)


def edge_rows(example: Tensors, specs: Sequence[TensorSpec], *, rows: int = MADE_ROWS, seed: int = 0) -> Tensors:
    """Rows that mix the example's values with those at which conversions err.

    Numbers: zero, the ends and far beyond them, halves between neighbours, and each value's neighbours in single
    precision (a threshold that was rounded sends them to the other side). Texts: an unseen one. Missing
    values come only where the signature allows them, for elsewhere they are refused before the model.
    """
    draw = np.random.default_rng(seed)
    return {spec.name: _drawn(example[spec.name], spec, rows, draw) for spec in specs}


def boundary_rows(
    example: Tensors, predict: Callable[[Tensors], Tensors], *, pairs: int = MADE_PAIRS, steps: int = 40
) -> Tensors:
    """Rows on both sides of where the label changes, bisected between rows of different labels; none without labels.

    Only measured numbers move; what is whole, boolean or text stays as in the first row of a pair.
    """
    answers = predict(example)
    labels = next((each for each in answers.values() if each.ndim == 1 and not _numeric(each)), None)
    if labels is None:
        return {}
    found = [(a, b) for a in range(len(labels)) for b in range(a + 1, len(labels)) if labels[a] != labels[b]][:pairs]
    if not found:
        return {}
    left, right = (np.array(side) for side in zip(*found, strict=True))
    name = next(name for name, each in answers.items() if each is labels)
    low, high = np.zeros(len(found)), np.ones(len(found))
    for _ in range(steps):
        middle = (low + high) / 2
        same = predict(_between(example, left, right, middle))[name] == labels[left]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    sides = [_between(example, left, right, at) for at in (low, high)]
    return {column: np.concatenate([side[column] for side in sides]) for column in example}


def _between(example: Tensors, left: Array, right: Array, share: Array) -> dict[str, Array]:
    mixed: dict[str, Array] = {}
    for name, values in example.items():
        first = values[left]
        if _numeric(values):
            shares = share.reshape(-1, *([1] * (values.ndim - 1)))
            first = (first + (values[right] - first) * shares).astype(values.dtype)
        mixed[name] = first
    return mixed


def _output(name: str, original: Array, compiled: Array | None, tolerance: float) -> OutputParity:
    if compiled is None or compiled.shape != original.shape or _numeric(compiled) != _numeric(original):
        found = "nothing" if compiled is None else f"{compiled.dtype} of shape {list(compiled.shape)}"
        raise Invalid(
            f"{name!r} is {original.dtype} of shape {list(original.shape)} in the original, and {found} in the other",
            code="model.parity",
            hint="The original goes on serving; the model cannot be compiled this way.",
        )
    if not len(original):
        return OutputParity(name=name, differing=0, worst=0.0, worst_row=-1)
    apart = _distances(original, compiled) if _numeric(original) else (original != compiled).astype(np.float64)
    per_row = apart.reshape(len(apart), -1).max(axis=1, initial=0.0)
    differing = int((per_row > (tolerance if _numeric(original) else 0.0)).sum())
    if not per_row.any():
        return OutputParity(name=name, differing=differing, worst=0.0, worst_row=-1)
    row = int(per_row.argmax())
    return OutputParity(name=name, differing=differing, worst=float(per_row[row]), worst_row=row)


def _numeric(values: Array) -> bool:
    """Whether the values are measured; whole numbers and booleans are labels, of which none is nearly another."""
    return values.dtype.kind == "f"


def _distances(original: Array, compiled: Array) -> Array:
    left, right = original.astype(np.float64), compiled.astype(np.float64)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(left - right) / np.maximum(1.0, np.abs(left))
    return np.where(same, 0.0, np.where(np.isfinite(apart), apart, np.inf))


def _drawn(values: Array, spec: TensorSpec, rows: int, draw: np.random.Generator) -> Array:
    if values.ndim > 1:
        flat = values.reshape(len(values), -1)
        columns = [_drawn(flat[:, at], spec, rows, draw) for at in range(flat.shape[1])]
        return np.stack(columns, axis=1).reshape(rows, *values.shape[1:])
    pool = _pool(values, spec)
    return pool[draw.integers(len(pool), size=rows)]


def _pool(values: Array, spec: TensorSpec) -> Array:
    if values.dtype == object:
        unseen: list[object] = ["\u2047 unseen", *([None] if spec.optional else [])]
        return np.array([*values.tolist(), *unseen], object)
    if values.dtype.kind == "b":
        return np.array([False, True])
    if values.dtype.kind in "iu":
        ends = np.array([0, values.min(), values.max()], values.dtype)
        return np.concatenate([values, ends])
    known = values[np.isfinite(values)]
    ordered = np.unique(known)
    single = known.astype(np.float32)
    beyond = np.array([0.0, -1e6, 1e6], values.dtype)
    around = [np.nextafter(single, np.float32(way)).astype(values.dtype) for way in (-np.inf, np.inf)]
    gaps = np.array([np.nan] if spec.optional else [], values.dtype)
    return np.concatenate([known, (ordered[:-1] + ordered[1:]) / 2, beyond, *around, gaps])
