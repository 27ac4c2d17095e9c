"""Rules that look at rows and say which fail. Pure data; `charkh.checks.masks` compiles them.

Missing values pass every one but `not_null`.
"""

from typing import Literal

from charkh.checks.rule import Bound, RuleBase, Value


class NotNull(RuleBase, frozen=True, kw_only=True, tag="not_null"):
    """None of the columns is missing in a row; NaN counts as missing."""

    columns: tuple[str, ...]


class Unique(RuleBase, frozen=True, kw_only=True, tag="unique"):
    """No earlier row has the same values in all of the columns; rows with a missing one are not compared.

    With `alone`, no other row has, so that of equal rows the first fails too.
    """

    columns: tuple[str, ...]
    alone: bool = False


class Range(RuleBase, frozen=True, kw_only=True, tag="range"):
    """The value lies between the bounds: numbers, or dates and times. `min` and `max` are included, `above` and
    `below` are not."""

    column: str
    min: Bound | None = None
    max: Bound | None = None
    above: Bound | None = None
    below: Bound | None = None


class OneOf(RuleBase, frozen=True, kw_only=True, tag="one_of"):
    """The value is one of a list."""

    column: str
    values: tuple[Value, ...]


class NoneOf(RuleBase, frozen=True, kw_only=True, tag="none_of"):
    """The value is none of a list."""

    column: str
    values: tuple[Value, ...]


class Pattern(RuleBase, frozen=True, kw_only=True, tag="pattern"):
    """The whole text matches a regular expression (Rust's syntax).

    With `anywhere`, some part of it does; with `absent`, the rule holds where there is no match.
    """

    column: str
    pattern: str
    anywhere: bool = False
    absent: bool = False


class Length(RuleBase, frozen=True, kw_only=True, tag="length"):
    """The text has so many characters, both bounds included."""

    column: str
    min: int = 0
    max: int | None = None


class Condition(RuleBase, frozen=True, kw_only=True, tag="condition"):
    """An expression over the row is true (charkh.core.expressions); where it is missing, the row passes."""

    that: str


class Increasing(RuleBase, frozen=True, kw_only=True, tag="increasing"):
    """No value is smaller than one before it; with `strict`, none is equal to one before it either.

    With `decreasing`, none is greater. `order` is the column by which rows come one after another; without, they
    come as they lie in the table.
    """

    column: str
    strict: bool = False
    decreasing: bool = False
    order: str = ""


class Parses(RuleBase, frozen=True, kw_only=True, tag="parses"):
    """The text can be read as a value of a kind; `format` is strftime's, for dates and times."""

    column: str
    kind: Literal["integer", "number", "date", "datetime", "json"]
    format: str = ""


class ForeignKey(RuleBase, frozen=True, kw_only=True, tag="foreign"):
    """The values stand together in some row of another dataset.

    `to` is its reference, such as `airports` or `airports@2`; `to_columns` are its columns, by default of the same
    names. A row with a missing value is not looked for.
    """

    columns: tuple[str, ...]
    to: str
    to_columns: tuple[str, ...] = ()


class Outliers(RuleBase, frozen=True, kw_only=True, tag="outliers"):
    """The number is within so many robust deviations (1.4826 times the median absolute deviation) of the median."""

    column: str
    deviations: float = 5.0


RowRule = (
    NotNull
    | Unique
    | Range
    | OneOf
    | NoneOf
    | Pattern
    | Length
    | Condition
    | Increasing
    | Parses
    | ForeignKey
    | Outliers
)
