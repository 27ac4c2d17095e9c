"""Gradient boosted trees over binned columns (Friedman 2001), small enough to be fitted at every look of a monitor.

Own code because the core has no scikit-learn. Columns are a byte a value, as in LightGBM (Ke et al. 2017).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

BINS = 64
"""Of a column: 0 is missing, and the last of categories is every other one."""
_MASS = 40
"""Of the bins of a number are of equal mass, the others of equal width, so that tails are told apart."""
_RIDGE = 1.0


class Binning(NamedTuple):
    """How columns become bytes: by name, the inner edges of a number or the codes of categories."""

    edges: dict[str, Floats]
    categories: dict[str, dict[str, int]]

    def codes(self, frame: pl.DataFrame) -> Bytes:
        """A byte a value; a column each."""
        parts = [_number_codes(frame[name], edges) for name, edges in self.edges.items()]
        parts += [_category_codes(frame[name], codes) for name, codes in self.categories.items()]
        return np.asfortranarray(np.column_stack(parts)) if parts else np.zeros((frame.height, 0), np.uint8)


def binning_of(frame: pl.DataFrame) -> Binning:
    """Bins of numbers and times, and the most frequent categories; other columns are left out."""
    edges, categories = dict[str, Floats](), dict[str, dict[str, int]]()
    for column in frame.get_columns():
        if column.dtype.is_numeric() or column.dtype.is_temporal():
            values = _numbers(column)
            some = values[np.isfinite(values)]
            edges[column.name] = _cuts(some) if len(some) else np.zeros(0)
        elif isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum | pl.Boolean):
            texts = column.cast(pl.String).drop_nulls()
            counts = texts.value_counts().sort(["count", column.name], descending=[True, False])
            names = counts[column.name].to_list()[: BINS - 2]
            categories[column.name] = {name: code + 1 for code, name in enumerate(names)}
    return Binning(edges, categories)


class Tree(NamedTuple):
    """A tree of one depth everywhere: by inner node its column and last bin that goes left; by leaf its value."""

    columns: npt.NDArray[np.intp]
    cuts: npt.NDArray[np.intp]
    leaves: Floats

    def values(self, codes: Bytes) -> Floats:
        return self.leaves[_descend(codes, self.columns, self.cuts)]


class Boosted(NamedTuple):
    """A sum of trees."""

    start: float
    trees: tuple[Tree, ...]

    def values(self, codes: Bytes) -> Floats:
        """The sum for each row: the expected value, or the log odds where classes were fitted."""
        total = np.full(len(codes), self.start)
        for tree in self.trees:
            total += tree.values(codes)
        return total


def boost(
    codes: Bytes, y: Floats, *, classes: bool = False, rounds: int = 60, depth: int = 3, rate: float = 0.1
) -> Boosted:
    """Fit trees to `y` by squared error, or by log loss where `classes` says that it is 0 or 1."""
    mean = float(y.mean())
    start = float(np.log(max(mean, 1e-9) / max(1 - mean, 1e-9))) if classes else mean
    total = np.full(len(y), start)
    least = max(5.0, len(y) / 500)
    trees = list[Tree]()
    if not codes.shape[1]:
        return Boosted(start, ())
    for _ in range(rounds):
        guess = 1 / (1 + np.exp(-total)) if classes else total
        tree = _grow(codes, y - guess, guess * (1 - guess) if classes else np.ones(len(y)), depth, rate, least)
        if tree is None:
            break
        trees.append(tree)
        total += tree.values(codes)
    return Boosted(start, tuple(trees))


def _grow(codes: Bytes, gradient: Floats, weight: Floats, depth: int, rate: float, least: float) -> Tree | None:
    inner = 2**depth - 1
    columns, cuts = np.zeros(inner, np.intp), np.full(inner, BINS, np.intp)
    node = np.zeros(len(codes), np.intp)
    for level in range(depth):
        first, width = 2**level - 1, 2**level
        gain = np.zeros(width)
        for column in range(codes.shape[1]):
            key = node * BINS + codes[:, column]
            sums = [
                np.bincount(key, part, width * BINS).reshape(width, BINS).cumsum(axis=1)
                for part in (gradient, weight, None)
            ]
            better, at = _best(sums[0], sums[1], sums[2], least)
            wins = better > gain
            gain[wins] = better[wins]
            columns[first : first + width][wins], cuts[first : first + width][wins] = column, at[wins]
        if level == 0 and gain[0] <= 0:
            return None
        node = node * 2 + (codes[np.arange(len(codes)), columns[first + node]] > cuts[first + node])
    up = np.bincount(node, gradient, 2**depth)
    return Tree(columns, cuts, rate * up / (np.bincount(node, weight, 2**depth) + _RIDGE))


def _best(up: Floats, weight: Floats, rows: Any, least: float) -> tuple[Floats, npt.NDArray[np.intp]]:
    """By node, the greatest gain of a cut and the last bin that goes left."""
    rest_up, rest_weight, rest_rows = (side[:, -1:] - side for side in (up, weight, rows))
    whole = up[:, -1:] ** 2 / (weight[:, -1:] + _RIDGE)
    gain = up**2 / (weight + _RIDGE) + rest_up**2 / (rest_weight + _RIDGE) - whole
    gain[(rows < least) | (rest_rows < least)] = 0.0
    at = gain.argmax(axis=1)
    return gain[np.arange(len(gain)), at], at


def _descend(codes: Bytes, columns: npt.NDArray[np.intp], cuts: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    node, rows = np.zeros(len(codes), np.intp), np.arange(len(codes))
    for level in range(int(len(columns) + 1).bit_length() - 1):
        at = 2**level - 1 + node
        node = node * 2 + (codes[rows, columns[at]] > cuts[at])
    return node


def _cuts(values: Floats) -> Floats:
    mass = np.quantile(values, np.linspace(0, 1, _MASS)[1:-1], method="lower")
    low, high = np.quantile(values, [0.001, 0.999])
    return np.unique(np.append(mass, np.linspace(float(low), float(high), BINS - _MASS)))


def _numbers(column: pl.Series) -> Floats:
    physical = column.to_physical() if column.dtype.is_temporal() else column
    return physical.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _number_codes(column: pl.Series, edges: Floats) -> Bytes:
    values = _numbers(column)
    codes = np.searchsorted(edges, values, "left") + 1
    return np.where(np.isnan(values), 0, codes).astype(np.uint8)


def _category_codes(column: pl.Series, codes: dict[str, int]) -> Bytes:
    found = column.cast(pl.String).replace_strict(codes, default=BINS - 1, return_dtype=pl.UInt8)
    return np.where(column.is_null().to_numpy(), 0, found.to_numpy()).astype(np.uint8)
