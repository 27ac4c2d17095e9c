"""Gradient boosted trees over binned columns (Friedman 2001), small enough to be fitted at every look of a monitor.

Own code because the core has no scikit-learn. Columns are a byte a value, as in LightGBM (Ke et al. 2017).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.intp]

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

    columns: Words
    cuts: Words
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
    # Counting takes machine words: bytes become them once, and not in every tree.
    words = np.ascontiguousarray(codes.T, np.intp)
    for _ in range(rounds):
        guess = 1 / (1 + np.exp(-total)) if classes else total
        grown = _grow(words, y - guess, guess * (1 - guess) if classes else None, depth, rate, least)
        if grown is None:
            break
        tree, leaf = grown
        trees.append(tree)
        total += tree.leaves[leaf]
    return Boosted(start, tuple(trees))


def _grow(
    words: Words, gradient: Floats, weight: Floats | None, depth: int, rate: float, least: float
) -> tuple[Tree, Words] | None:
    """A tree and the leaf of each row, or None where no cut is worth it.

    `words` has a row for each column; without weights each row weighs 1.
    """
    inner = 2**depth - 1
    columns, cuts = np.zeros(inner, np.intp), np.full(inner, BINS, np.intp)
    node = np.zeros(len(gradient), np.intp)
    for level in range(depth):
        first, width = 2**level - 1, 2**level
        keys = words + node * BINS
        rows = _counted(keys, None, width)
        found, at = _best(
            _counted(keys, gradient, width), rows if weight is None else _counted(keys, weight, width), rows, least
        )
        wins, cut = found.argmax(axis=0), found.max(axis=0) > 0
        columns[first : first + width][cut] = wins[cut]
        cuts[first : first + width][cut] = np.take_along_axis(at, wins[np.newaxis], axis=0)[0][cut]
        if level == 0 and not cut[0]:
            return None
        node = _below(node, words, columns[first : first + width], cuts[first : first + width])
    up = np.bincount(node, gradient, 2**depth)
    return Tree(columns, cuts, rate * up / (np.bincount(node, weight, 2**depth) + _RIDGE)), node


def _counted(keys: Words, part: Floats | None, width: int) -> Floats:
    """By column and node, the sums of bins from the first on."""
    counts = np.stack([np.bincount(key, part, width * BINS) for key in keys])
    return counts.astype(np.float64).reshape(len(keys), width, BINS).cumsum(axis=2)


def _best(up: Floats, weight: Floats, rows: Floats, least: float) -> tuple[Floats, Words]:
    """By column and node, the greatest gain of a cut and the last bin that goes left."""
    rest_up, rest_weight, rest_rows = (side[..., -1:] - side for side in (up, weight, rows))
    whole = up[..., -1:] ** 2 / (weight[..., -1:] + _RIDGE)
    gain = up**2 / (weight + _RIDGE) + rest_up**2 / (rest_weight + _RIDGE) - whole
    gain[(rows < least) | (rest_rows < least)] = 0.0
    return gain.max(axis=2), gain.argmax(axis=2)


def _descend(codes: Bytes, columns: Words, cuts: Words) -> Words:
    node, by_column = np.zeros(len(codes), np.intp), codes.T
    for level in range(int(len(columns) + 1).bit_length() - 1):
        here = slice(2**level - 1, 2 ** (level + 1) - 1)
        node = _below(node, by_column, columns[here], cuts[here])
    return node


def _below(node: Words, by_column: Any, columns: Words, cuts: Words) -> Words:
    """The node of each row in the next level; `by_column` has a row for each column."""
    at = columns[node] * len(node) + np.arange(len(node))
    return node * 2 + (by_column.reshape(-1).take(at) > cuts[node])


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
