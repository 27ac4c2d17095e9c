"""Operations that remove or move rows: filter, deduplicate, sort. They are not for live requests."""

from typing import Literal

import polars as pl

from charkh.core.errors import Invalid
from charkh.core.expressions import parse_expression
from charkh.datasets.expressions import compile_condition, require_columns
from charkh.recipes.operations.operation import Behaviour, Step, listed, plain


class Filter(Step, frozen=True, kw_only=True, tag="filter"):
    """Keep the rows for which the condition is true; rows for which it is missing go, too."""

    where: str


class Deduplicate(Step, frozen=True, kw_only=True, tag="deduplicate"):
    """Keep the first (or last) of the rows that are equal in `columns`; without `columns`, in all of them."""

    columns: tuple[str, ...] = ()
    keep: Literal["first", "last"] = "first"


class Sort(Step, frozen=True, kw_only=True, tag="sort"):
    """Order the rows by columns; equal ones stay in their order, missing values come last."""

    columns: tuple[str, ...]
    descending: bool = False


def filter_rows(operation: Filter, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(compile_condition(operation.where, frame.schema))


def deduplicate(operation: Deduplicate, frame: pl.DataFrame) -> pl.DataFrame:
    require_columns(operation.columns, frame.schema)
    return frame.unique(list(operation.columns) or None, keep=operation.keep, maintain_order=True)


def sort(operation: Sort, frame: pl.DataFrame) -> pl.DataFrame:
    require_columns(operation.columns, frame.schema)
    return frame.sort(operation.columns, descending=operation.descending, nulls_last=True, maintain_order=True)


def _validate_filter(operation: Filter) -> None:
    parse_expression(operation.where)


def _validate_sort(operation: Sort) -> None:
    if not operation.columns:
        raise Invalid("`columns` is empty", code="recipe.invalid_step", hint='Write "columns": ["scheduled_at"].')


def _explain_deduplicate(operation: Deduplicate) -> str:
    alike = f"with equal {listed(operation.columns)}" if operation.columns else "that are equal"
    return f"Of rows {alike}, keep the {operation.keep}."


def _explain_sort(operation: Sort) -> str:
    return f"Sort by {listed(operation.columns)}{', greatest first' if operation.descending else ''}."


BEHAVIOURS = (
    Behaviour(
        Filter,
        plain(filter_rows),
        lambda step: f"Keep rows where {step.where}.",
        row_wise=False,
        validate=_validate_filter,
    ),
    Behaviour(Deduplicate, plain(deduplicate), _explain_deduplicate, row_wise=False),
    Behaviour(Sort, plain(sort), _explain_sort, row_wise=False, validate=_validate_sort),
)
