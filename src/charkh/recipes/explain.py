"""Explain a recipe: one plain sentence a step, and what it changes in a given table."""

import msgspec
import polars as pl

from charkh.datasets.dtypes import dtype_text
from charkh.recipes.apply import NO_TABLES, prepare, run_step
from charkh.recipes.operations.all import BY_SHAPE, Operation
from charkh.recipes.operations.operation import Tables
from charkh.recipes.recipe import Recipe


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What a step did to a table.

    Attributes:
        rows: after the step.
        rows_removed: by the step.
        cells_changed: cells of columns that were there before whose value is another now; reading the text `12`
            as the number 12 changes none. Not counted where rows were removed or moved.
        columns_added: new columns.
        columns_removed: columns that are gone.
        types_changed: columns that were there before and hold another type now, each with that type.
    """

    rows: int
    rows_removed: int
    cells_changed: int
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    types_changed: tuple[tuple[str, str], ...] = ()


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """A step in words.

    Attributes:
        number: of the step, from 1.
        op: its operation.
        sentence: what it does.
        note: why, as its author wrote.
        live: it is taken for live requests, too.
        effect: what it did to the table, when there was one.
    """

    number: int
    op: str
    sentence: str
    note: str = ""
    live: bool = True
    effect: Effect | None = None


def explain(recipe: Recipe, frame: pl.DataFrame | None = None, *, tables: Tables = NO_TABLES) -> tuple[Explained, ...]:
    """The steps in words, with their effects on `frame` when it is given.

    Raises:
        Invalid: a step cannot be applied to the frame.
        NotFound: a lookup's table is not in `tables`.
    """
    if frame is None:
        return tuple(_explained(number, step, None) for number, step in enumerate(recipe.steps, 1))
    explained: list[Explained] = []
    for step in prepare(recipe, tables=tables).steps:
        after = run_step(step, frame)
        explained.append(_explained(step.number, step.operation, _effect(frame, after, step.operation)))
        frame = after
    return tuple(explained)


def _explained(number: int, step: Operation, effect: Effect | None) -> Explained:
    behaviour = BY_SHAPE[type(step)]
    live = step.when == "always" and behaviour.row_wise
    sentence = behaviour.explain(step)
    return Explained(number=number, op=behaviour.op, sentence=sentence, note=step.note, live=live, effect=effect)


def _effect(before: pl.DataFrame, after: pl.DataFrame, step: Operation) -> Effect:
    comparable = BY_SHAPE[type(step)].row_wise
    shared = [name for name in after.columns if name in before.schema]
    return Effect(
        rows=after.height,
        rows_removed=before.height - after.height,
        cells_changed=sum(_changed(before[name], after[name]) for name in shared) if comparable else 0,
        columns_added=tuple(name for name in after.columns if name not in before.schema),
        columns_removed=tuple(name for name in before.columns if name not in after.schema),
        types_changed=tuple(
            (name, dtype_text(after.schema[name])) for name in shared if after.schema[name] != before.schema[name]
        ),
    )


def _changed(before: pl.Series, after: pl.Series) -> int:
    """Cells with another value; where the type is another, the old value counts as read in the new type."""
    lost = before.is_null() != after.is_null()
    if before.dtype != after.dtype:
        try:
            before = before.cast(after.dtype, strict=False)
        except pl.exceptions.PolarsError:
            return int(lost.sum())
        return int((lost | (before.is_not_null() & before.ne_missing(after))).sum())
    return int(before.ne_missing(after).sum())
