"""Rules that look at the table as a whole. Pure data; `charkh.checks.measures` compiles them."""

from typing import Literal

from charkh.checks.rule import RuleBase, Value

Statistic = Literal[
    "mean",
    "median",
    "std",
    "variance",
    "sum",
    "min",
    "max",
    "quantile",
    "null_share",
    "zero_share",
    "distinct",
    "distinct_share",
    "unique_share",
    "top_share",
    "entropy",
    "correlation",
]


class ColumnExists(RuleBase, frozen=True, kw_only=True, tag="column"):
    """The table has the column; with `dtype`, of that type: a Polars name or one of `charkh.checks.masks.KINDS`."""

    column: str
    dtype: str = ""


class Columns(RuleBase, frozen=True, kw_only=True, tag="columns"):
    """The table has so many columns; with `only`, no others than these; with `ordered`, these in this order."""

    min: int = 0
    max: int | None = None
    only: tuple[str, ...] = ()
    ordered: tuple[str, ...] = ()


class RowCount(RuleBase, frozen=True, kw_only=True, tag="rows"):
    """The table has so many rows, both bounds included."""

    min: int = 1
    max: int | None = None


class Measured(RuleBase, frozen=True, kw_only=True, tag="statistic"):
    """A statistic of the column lies between the bounds; `min` and `max` are included, `above` and `below` not.

    Attributes:
        of: `std` and `variance` are of the sample; `unique_share` is of values that occur once; `top_share` of the
            most common one; `entropy` in bits; `correlation` is Pearson's, with the column `other`.
        quantile: which one, from 0 to 1.
    """

    column: str
    of: Statistic
    quantile: float = 0.5
    other: str = ""
    min: float | None = None
    max: float | None = None
    above: float | None = None
    below: float | None = None


class Includes(RuleBase, frozen=True, kw_only=True, tag="includes"):
    """Every one of the values occurs in the column; with `most_common`, the most common value is one of them."""

    column: str
    values: tuple[Value, ...]
    most_common: bool = False


class Fresh(RuleBase, frozen=True, kw_only=True, tag="fresh"):
    """The latest date or time of the column is no older than `within`, such as `2d`; times without zone are UTC."""

    column: str
    within: str


class Drift(RuleBase, frozen=True, kw_only=True, tag="drift"):
    """The columns are distributed as in a reference.

    A column drifts when an effect is at least its floor *and* too large to be chance, at a false discovery rate of
    `level` over all tests of all columns.

    Attributes:
        against: `previous`, for the version before; a reference such as `flights@3`; or `model:NAME@ALIAS`, for
            what the model was trained on.
        columns: which; without, all that both have.
        at_most_columns: greatest share of the columns that may drift.
        psi: floor of the population stability index beyond what chance gives.
        ks: floor of the Kolmogorov-Smirnov distance of numbers and dates.
        js: floor of the Jensen-Shannon distance.
        linf: floor of the greatest change of one category's share.
        missing: floor of the change in the share of missing values.
        new: floor of the share of rows in categories that the reference lacks.
    """

    against: str = "previous"
    columns: tuple[str, ...] = ()
    at_most_columns: float = 0.0
    level: float = 0.01
    psi: float = 0.1
    ks: float = 0.1
    js: float = 0.1
    linf: float = 0.1
    missing: float = 0.05
    new: float = 0.01


class History(RuleBase, frozen=True, kw_only=True, tag="history"):
    """A metric does not stray from what it was in earlier versions.

    Attributes:
        metric: `rows`, or a metric of a column, such as `null_share(tailnum)`: those of `charkh dataset profile`.
        last: how many earlier versions are looked at, at most.
        rise: greatest relative rise against the version before, such as 0.5 for half as much again; None for any.
        fall: greatest relative fall; None for any.
        deviations: greatest number of robust deviations from the median of the earlier values; None for any.
        season: length of a season in versions, such as 7 for one version a day. With a history of a season and five
            versions more, deviations are those of the change since one season before. 0 for none.
    """

    metric: str
    last: int = 50
    rise: float | None = None
    fall: float | None = None
    deviations: float | None = None
    season: int = 0


TableRule = ColumnExists | Columns | RowCount | Measured | Includes | Fresh | Drift | History
