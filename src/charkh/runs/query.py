"""What runs are asked for and in which order, as data: what the text of a search and MLflow's filters are read into.

A field that a run lacks matches no comparison. Pure: `charkh.runs.search_sql` turns a condition into SQL, and
`matches` answers it for a run that the catalog does not know to the end yet; both say the same of every run.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, cast

import msgspec

from charkh.runs.patterns import fits

Family = Literal[
    "params",
    "told",
    "metrics",
    "low",
    "high",
    "first",
    "count",
    "best",
    "tags",
    "run",
    "data",
    "used",
    "artifact",
    "text",
]
Scalar = bool | int | float | str
PATTERNS = ("~", "like", "ilike")
OPERATORS = ("==", "!=", "<", "<=", ">", ">=", *PATTERNS, "in", "not in", "is null", "is not null")

TIMES = ("created", "ended")
NUMBERS = ("duration", "lost_records")
TRUTHS = ("dirty",)
TEXTS = (
    "id",
    "name",
    "project",
    "group",
    "parent",
    "status",
    "user",
    "actor",
    "commit",
    "branch",
    "script",
    "error",
)
WORDS = (*TEXTS, *TIMES, *NUMBERS, *TRUTHS)
"""What a run itself has one of; times are seconds since the epoch, durations are seconds."""

ASPECTS: dict[Family, str] = {"low": "min", "high": "max", "first": "first", "count": "count", "best": "best"}
"""What else a metric has beside the value that shows, and how that is written."""

SETS: tuple[Family, ...] = ("data", "used", "artifact", "text")
"""What a run has several of: a comparison holds where it holds for one of them."""


class Field(msgspec.Struct, frozen=True):
    """What is compared.

    Attributes:
        family: `params` by value, or `told` as the text that shows; `metrics` by the value that shows, or its `low`est,
            `high`est, `first`, the `best` by a declared goal, or the `count` of its points; `tags`; the `run`'s own
            words; `used`, the subjects that it used (`data` where they are named as people do: `flights@3`);
            `artifact`, the paths of the files that it left; `text`, its name, group and tags.
        name: of the param, metric, tag or word; empty for what a run has several of.
    """

    family: Family
    name: str

    def __str__(self) -> str:
        if self.family == "run" or self.family in SETS:
            return self.name or self.family
        if self.family in ASPECTS:
            return f"{ASPECTS[self.family]}(metrics.{_quoted(self.name)})"
        named = _quoted(self.name)
        return f"text(params.{named})" if self.family == "told" else f"{self.family}.{named}"


class Comparison(msgspec.Struct, frozen=True, tag="comparison"):
    """A field beside one value, several (`in`) or none (`is null`)."""

    field: Field
    operator: str
    values: tuple[Scalar, ...] = ()


class Not(msgspec.Struct, frozen=True, tag="not"):
    """What must not hold."""

    condition: "Condition"


class All(msgspec.Struct, frozen=True, tag="all"):
    """What must hold together."""

    conditions: "tuple[Condition, ...]"


class Any_(msgspec.Struct, frozen=True, tag="any"):  # noqa: N801 (`Any` is taken by typing)
    """What must hold in part."""

    conditions: "tuple[Condition, ...]"


Condition = Comparison | Not | All | Any_


class Order(msgspec.Struct, frozen=True):
    """One key of the order; runs without the field come last whichever way it goes."""

    field: Field
    descending: bool = False


NEWEST_FIRST = (Order(Field("run", "created"), descending=True),)

Lookup = Callable[[Field], Any]
"""A run's value of a field; None where it has none."""


def matches(condition: Condition | None, lookup: Lookup) -> bool:
    """Whether a run whose fields `lookup` tells meets a condition."""
    if condition is None:
        return True
    if isinstance(condition, All):
        return all(matches(each, lookup) for each in condition.conditions)
    if isinstance(condition, Any_):
        return any(matches(each, lookup) for each in condition.conditions)
    if isinstance(condition, Not):
        return not matches(condition.condition, lookup)
    value = lookup(condition.field)
    if condition.operator in {"is null", "is not null"}:
        return (value is None) == (condition.operator == "is null")
    return value is not None and compare(value, condition.operator, condition.values)


def sorting_key(orders: Sequence[Order], lookup: Lookup) -> tuple[Any, ...]:
    """Sorts runs as `orders` say: numbers, then texts, then everything else and what is missing."""
    return tuple(_sortable(lookup(order.field), order.descending) for order in orders)


def compare(value: Any, operator: str, wanted: Sequence[Scalar]) -> bool:
    if isinstance(value, tuple):
        return any(compare(each, operator, wanted) for each in cast(tuple[Any, ...], value))
    if _is_nan(value):
        return False
    if operator in {"in", "not in"}:
        return any(compare(value, "==", [each]) for each in wanted) == (operator == "in")
    other = wanted[0]
    if operator in PATTERNS:
        return isinstance(value, str) and isinstance(other, str) and fits(operator, other, value)
    alike = _type_of(value) == _type_of(other)
    if operator in {"==", "!="}:
        return (alike and value == other) == (operator == "==")
    if not alike or isinstance(value, bool):
        return False
    left, right = cast(float, value), cast(float, other)
    answers = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}
    return answers[operator]


def _quoted(name: str) -> str:
    """A name as it is written in a search."""
    plain = all(each.isalnum() or each in "_./:-[]" for each in name)
    return name if plain else f"`{name}`"


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "other"


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


class _Reversed(NamedTuple):
    text: str

    def __lt__(self, other: tuple[Any, ...]) -> bool:
        return self.text > cast(str, other[0])


def _sortable(value: Any, descending: bool) -> tuple[int, Any]:
    if isinstance(value, str):
        return (1, _Reversed(value) if descending else value)
    if isinstance(value, bool) or not isinstance(value, int | float) or _is_nan(value):
        return (2, 0)
    return (0, -value if descending else value)
