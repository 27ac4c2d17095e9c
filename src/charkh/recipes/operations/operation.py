"""What every operation has in common, and how the families describe what they do.

An operation is data; a family's functions read it. A function that applies an operation takes the whole
table and gives a new one; it raises `Invalid` with what is wrong, and `apply.py` adds which step it was.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import polars as pl

from charkh.core.errors import Invalid
from charkh.datasets.expressions import TEXT, kind_of, require_columns

Tables = Mapping[str, pl.DataFrame]
"""Tables to look things up in, by the name that the recipe gives them."""

Transform = Callable[[pl.DataFrame], pl.DataFrame]

OnError = Literal["error", "null"]
When = Literal["always", "training"]


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="op"):
    """One operation of a recipe.

    Attributes:
        when: `training` leaves the step out when live requests are prepared: for what only the past knows, such
            as the target, and for steps that remove or move rows.
        note: why the step is there, for people.
    """

    when: When = "always"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a kind of operation does.

    Attributes:
        shape: the operation's struct; its tag is the `op` in JSON.
        ready: gives the function that applies an operation; it may prepare things once for many calls.
        explain: one plain sentence.
        row_wise: each row of the result comes from the same row of the input and from nothing else.
        validate: refuses an operation that can never be applied, whatever the table.
    """

    shape: type[Step]
    ready: Callable[[Any, Tables], Transform]
    explain: Callable[[Any], str]
    row_wise: bool = True
    validate: Callable[[Any], None] = lambda _operation: None

    @property
    def op(self) -> str:
        """The operation's name in JSON."""
        return str(self.shape.__struct_config__.tag)


def plain(function: Callable[[Any, pl.DataFrame], pl.DataFrame]) -> Callable[[Any, Tables], Transform]:
    """`ready` of an operation that has nothing to prepare."""

    def ready(operation: Any, _tables: Tables) -> Transform:
        return lambda frame: function(operation, frame)

    return ready


def text_columns(columns: Sequence[str], frame: pl.DataFrame) -> list[str]:
    """The columns to work on, which must hold text; without names, every column that does.

    Raises:
        Invalid: one is not there or holds something else.
    """
    if not columns:
        return [name for name, dtype in frame.schema.items() if dtype == pl.String]
    require_columns(columns, frame.schema)
    for name in columns:
        require_kind(frame, name, {TEXT})
    return [name for name in columns if frame.schema[name] != pl.Null]


def require_kind(frame: pl.DataFrame, column: str, kinds: set[str]) -> None:
    """Refuse a column whose values are of another kind; a column without any value fits everywhere.

    Raises:
        Invalid: it is of another kind.
    """
    kind = kind_of(frame.schema[column])
    if kind not in kinds and kind != "null":
        raise Invalid(
            f"column {column!r} holds {frame.schema[column]}, not {' or '.join(sorted(kinds))}",
            code="recipe.wrong_kind",
            hint="A `cast` or `parse_time` step before this one changes the type.",
            facts={"column": column},
        )


def refuse_failures(
    column: str, before: pl.Series, after: pl.Series, on_error: OnError, wanted: str, *, but: str = "null"
) -> None:
    """Refuse values that a conversion lost, naming the first, unless they are to become null.

    Raises:
        Invalid: a value became null.
    """
    if on_error == "null" or after.null_count() <= before.null_count():
        return
    lost = (before.is_not_null() & after.is_null()).arg_true()
    row = int(lost[0])
    raise Invalid(
        f"column {column!r} has {len(lost)} values that are no {wanted}, such as {before[row]!r} in row {row}",
        code="recipe.unreadable_value",
        hint=f'Mend them in an earlier step, or say "on_error": "{but}" to make them missing.',
        facts={"column": column, "row": row, "values": len(lost)},
    )


def listed(names: Sequence[str]) -> str:
    """Names in a sentence."""
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}" if quoted else "nothing"


def text_columns_named(columns: Sequence[str]) -> str:
    """How a sentence names the columns that `text_columns` works on."""
    return listed(columns) if columns else "every text column"
