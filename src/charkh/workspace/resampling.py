"""A bootstrap sample of what a training learns from, wherever it stands among the arguments."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.datasets.split import Part, Split
from charkh.datasets.table import Table

Places = npt.NDArray[np.intp]


def resample(arguments: Mapping[str, Any], random: np.random.Generator) -> dict[str, Any] | None:
    """The arguments with as many rows, drawn with replacement; None where they hold no rows.

    Of a split the rows for training are drawn, and those of the test stay. Tables, frames, columns and arrays of equal
    height are drawn alike, so that inputs and targets stay together; the greatest height is what is learned from, and
    others, such as a test set, stay as they are.

    Args:
        arguments: by name; rows in tuples, lists and dictionaries are found, too.
        random: what draws.
    """
    height = max((_height(value) for value in arguments.values()), default=0)
    if height < 2:
        return None
    places = random.integers(height, size=height)
    return {name: _drawn(value, height, places) for name, value in arguments.items()}


def _height(value: Any) -> int:
    """The most rows that are in there."""
    if isinstance(value, Split):
        return len(value.train)
    if isinstance(value, Table | Part | pl.DataFrame | pl.Series):
        return len(value)
    if isinstance(value, np.ndarray):
        return len(cast("npt.NDArray[Any]", value)) if value.ndim else 0
    return max(map(_height, _items(value)), default=0)


def _items(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(cast("Mapping[Any, Any]", value).values())
    return list(cast("tuple[Any, ...]", value)) if type(value) in {list, tuple} else []


def _drawn(value: Any, height: int, places: Places) -> Any:
    if isinstance(value, Split):
        return dataclasses.replace(value, train=_drawn(value.train, height, places))
    if type(value) in {list, tuple}:
        return type(value)(_drawn(item, height, places) for item in value)
    if type(value) is dict:
        pairs = cast("dict[Any, Any]", value).items()
        return {key: _drawn(item, height, places) for key, item in pairs}
    if _height(value) != height:
        return value
    take = _TAKES.get(cast("type[Any]", type(value)))
    if take is not None:
        return take(value, places)
    # A dataset that reads itself late is a table like any other.
    return Table(value.frame[places], value.origins) if isinstance(value, Table) else value


_TAKES: Mapping[type, Callable[[Any, Places], Any]] = {
    Part: lambda part, places: dataclasses.replace(part, frame=part.frame[places]),
    pl.DataFrame: lambda frame, places: frame[places],
    pl.Series: lambda column, places: column[places],
    np.ndarray: lambda array, places: array[places],
}
