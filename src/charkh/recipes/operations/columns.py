"""Operations on whole columns: rename, drop, keep, split."""

from collections import Counter
from collections.abc import Mapping, Sequence

import polars as pl

from charkh.core.errors import Invalid
from charkh.datasets.expressions import TEXT, require_columns
from charkh.recipes.operations.operation import Behaviour, Step, listed, plain, require_kind


class Rename(Step, frozen=True, kw_only=True, tag="rename"):
    """Give columns other names; `columns` is new names by old ones."""

    columns: dict[str, str]


class Drop(Step, frozen=True, kw_only=True, tag="drop"):
    """Leave columns out; with `missing_ok`, those that are not there are passed over."""

    columns: tuple[str, ...]
    missing_ok: bool = False


class Keep(Step, frozen=True, kw_only=True, tag="keep"):
    """Keep only these columns, in this order; with `missing_ok`, those that are not there are passed over."""

    columns: tuple[str, ...]
    missing_ok: bool = False


class SplitColumn(Step, frozen=True, kw_only=True, tag="split_column"):
    """Cut text at a separator into several columns.

    Parts that are not there are null; what is left over stays, separators included, in the last column.
    The column itself is dropped unless `keep` is said.
    """

    column: str
    separator: str
    into: tuple[str, ...]
    keep: bool = False


def rename(operation: Rename, frame: pl.DataFrame) -> pl.DataFrame:
    require_columns(operation.columns, frame.schema)
    names = [operation.columns.get(name, name) for name in frame.columns]
    _refuse_twice(names)
    return frame.rename(operation.columns)


def drop(operation: Drop, frame: pl.DataFrame) -> pl.DataFrame:
    if not operation.missing_ok:
        require_columns(operation.columns, frame.schema)
    return frame.drop(operation.columns, strict=False)


def keep(operation: Keep, frame: pl.DataFrame) -> pl.DataFrame:
    if not operation.missing_ok:
        require_columns(operation.columns, frame.schema)
    return frame.select([name for name in operation.columns if name in frame.schema])


def split_column(operation: SplitColumn, frame: pl.DataFrame) -> pl.DataFrame:
    require_columns([operation.column], frame.schema)
    require_kind(frame, operation.column, {TEXT})
    others = frame.columns if operation.keep else [name for name in frame.columns if name != operation.column]
    _refuse_twice([*others, *operation.into])
    text = pl.col(operation.column).cast(pl.String)
    parts = text.str.splitn(operation.separator, len(operation.into))
    added = [parts.struct.field(f"field_{place}").alias(name) for place, name in enumerate(operation.into)]
    return frame.with_columns(added).select([*others, *operation.into])


def refuse_existing(frame: pl.DataFrame, names: Sequence[str]) -> None:
    """Refuse new columns whose names are taken.

    Raises:
        Invalid: one of them is there already.
    """
    _refuse_twice([*frame.columns, *names])


def _refuse_twice(names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise Invalid(
            f"there would be two columns named {twice[0]!r}",
            code="recipe.column_twice",
            hint="Choose another name, or drop the column that is there first.",
            facts={"column": twice[0]},
        )


def _validate_columns(operation: Drop | Keep) -> None:
    if not operation.columns or len(set(operation.columns)) != len(operation.columns):
        raise Invalid("`columns` needs distinct names", code="recipe.invalid_step", hint='Write "columns": ["a", "b"].')


def _validate_split(operation: SplitColumn) -> None:
    if len(operation.into) < 2 or len(set(operation.into)) != len(operation.into) or not operation.separator:
        raise Invalid(
            "a split needs a separator and at least two distinct names in `into`",
            code="recipe.invalid_step",
            hint='Write e.g. "separator": "-", "into": ["city", "state"].',
        )


def _validate_rename(operation: Rename) -> None:
    if not operation.columns:
        raise Invalid("`columns` names nothing", code="recipe.invalid_step", hint='Write "columns": {"old": "new"}.')


def _renames(columns: Mapping[str, str]) -> str:
    return ", ".join(f"`{old}` to `{new}`" for old, new in columns.items())


BEHAVIOURS = (
    Behaviour(Rename, plain(rename), lambda step: f"Rename {_renames(step.columns)}.", validate=_validate_rename),
    Behaviour(Drop, plain(drop), lambda step: f"Drop {listed(step.columns)}.", validate=_validate_columns),
    Behaviour(Keep, plain(keep), lambda step: f"Keep only {listed(step.columns)}.", validate=_validate_columns),
    Behaviour(
        SplitColumn,
        plain(split_column),
        lambda step: f"Split `{step.column}` at {step.separator!r} into {listed(step.into)}.",
        validate=_validate_split,
    ),
)
