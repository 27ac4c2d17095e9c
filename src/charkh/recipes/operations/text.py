"""Operations on text: trim, case, replace."""

from typing import Literal

import polars as pl

from charkh.core.errors import Invalid
from charkh.datasets.expression_functions import checked_pattern
from charkh.recipes.operations.operation import Behaviour, Step, plain, text_columns, text_columns_named


class Trim(Step, frozen=True, kw_only=True, tag="trim"):
    """Take white space off both ends of text; with `collapse`, runs of it inside become one space.

    Without `columns`, every column of text.
    """

    columns: tuple[str, ...] = ()
    collapse: bool = False


class Case(Step, frozen=True, kw_only=True, tag="case"):
    """Write text in one case. Without `columns`, every column of text."""

    to: Literal["lower", "upper", "title"]
    columns: tuple[str, ...] = ()


class Replace(Step, frozen=True, kw_only=True, tag="replace"):
    """Replace every occurrence of `find` in text by `by`.

    With `regex`, `find` is a regular expression in Rust's syntax and `by` may name its groups: `${1}`.
    """

    columns: tuple[str, ...]
    find: str
    by: str
    regex: bool = False


def trim(operation: Trim, frame: pl.DataFrame) -> pl.DataFrame:
    names = text_columns(operation.columns, frame)
    trimmed = [pl.col(name).cast(pl.String).str.strip_chars() for name in names]
    if operation.collapse:
        trimmed = [text.str.replace_all(r"\s+", " ") for text in trimmed]
    return frame.with_columns(trimmed)


def case(operation: Case, frame: pl.DataFrame) -> pl.DataFrame:
    names = text_columns(operation.columns, frame)
    texts = [pl.col(name).cast(pl.String).str for name in names]
    if operation.to == "lower":
        return frame.with_columns(text.to_lowercase() for text in texts)
    if operation.to == "upper":
        return frame.with_columns(text.to_uppercase() for text in texts)
    return frame.with_columns(text.to_titlecase() for text in texts)


def replace(operation: Replace, frame: pl.DataFrame) -> pl.DataFrame:
    names = text_columns(operation.columns, frame)
    return frame.with_columns(
        pl.col(name).cast(pl.String).str.replace_all(operation.find, operation.by, literal=not operation.regex)
        for name in names
    )


def _validate_replace(operation: Replace) -> None:
    if not operation.find or not operation.columns:
        raise Invalid(
            "a replacement needs `columns` and a text in `find`",
            code="recipe.invalid_step",
            hint='Write e.g. "columns": ["city"], "find": "St.", "by": "Saint".',
        )
    if operation.regex:
        checked_pattern(operation.find)


def _explain_trim(operation: Trim) -> str:
    runs = ", and make one space of every run" if operation.collapse else ""
    return f"Trim white space around {text_columns_named(operation.columns)}{runs}."


def _explain_replace(operation: Replace) -> str:
    what = f"what matches {operation.find!r}" if operation.regex else repr(operation.find)
    return f"Replace {what} by {operation.by!r} in {text_columns_named(operation.columns)}."


BEHAVIOURS = (
    Behaviour(Trim, plain(trim), _explain_trim),
    Behaviour(Case, plain(case), lambda step: f"Write {text_columns_named(step.columns)} in {step.to} case."),
    Behaviour(Replace, plain(replace), _explain_replace, validate=_validate_replace),
)
