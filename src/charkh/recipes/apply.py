"""Apply a recipe: step after step, the same for a training table, a batch of it and a live request."""

import contextlib
from collections.abc import Generator
from types import MappingProxyType
from typing import NamedTuple

import polars as pl

from charkh.core.errors import Bug, CharkhError, Invalid
from charkh.datasets.expression_functions import reason_of
from charkh.recipes.operations.all import BY_SHAPE, Operation, columns_named
from charkh.recipes.operations.operation import Tables, Transform
from charkh.recipes.recipe import Recipe

NO_TABLES: Tables = MappingProxyType({})


class ReadyStep(NamedTuple):
    """A step with its lookup tables prepared."""

    number: int
    operation: Operation
    transform: Transform


class ReadyRecipe(NamedTuple):
    """A recipe that is ready to be applied many times; its lookup tables are checked and held in memory."""

    steps: tuple[ReadyStep, ...]
    live: bool

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Apply it.

        Raises:
            Invalid: a step cannot be applied; the message names its number, operation and column, and the value.
        """
        rows = frame.height
        for step in self.steps:
            frame = run_step(step, frame)
        if self.live and frame.height != rows:
            raise Bug("a recipe changed the number of live rows")
        return frame


def apply(recipe: Recipe, frame: pl.DataFrame, *, tables: Tables = NO_TABLES, live: bool = False) -> pl.DataFrame:
    """The table after every step.

    Args:
        recipe: the steps.
        frame: the table as it came.
        tables: the tables that `lookup` steps read, by the name they have in the recipe.
        live: the rows are live requests: steps for training are left out, and a step that removes or moves rows
            is refused.

    Raises:
        Invalid: a step cannot be applied; the message names its number, operation and column, and the value.
        NotFound: a lookup's table is not in `tables`.
    """
    return prepare(recipe, tables=tables, live=live)(frame)


def prepare(recipe: Recipe, *, tables: Tables = NO_TABLES, live: bool = False) -> ReadyRecipe:
    """Make a recipe ready to be applied many times, as `apply` with the same arguments would apply it.

    Raises:
        Invalid: a step can never be applied, or removes rows of live requests, or a lookup's keys are not unique.
        NotFound: a lookup's table is not in `tables`.
    """
    chosen = [(number, step) for number, step in enumerate(recipe.steps, 1) if not live or step.when == "always"]
    ready: list[ReadyStep] = []
    for number, operation in chosen:
        behaviour = BY_SHAPE[type(operation)]
        if live and not behaviour.row_wise:
            raise Invalid(
                f"step {number} ({behaviour.op}) removes or moves rows, which a live request must not",
                code="recipe.not_live",
                hint='Say "when": "training" in that step to leave it out for live requests.',
                facts={"step": number, "op": behaviour.op},
            )
        with _at(number, operation):
            behaviour.validate(operation)
            transform = behaviour.ready(operation, tables)
        ready.append(ReadyStep(number, operation, transform))
    return ReadyRecipe(tuple(ready), live)


def check_steps(recipe: Recipe) -> None:
    """Refuse a recipe with a step that can never be applied, whatever the table.

    Raises:
        Invalid: there is such a step; the message names it.
    """
    for number, operation in enumerate(recipe.steps, 1):
        with _at(number, operation):
            BY_SHAPE[type(operation)].validate(operation)


def run_step(step: ReadyStep, frame: pl.DataFrame) -> pl.DataFrame:
    """The table after one step.

    Raises:
        Invalid: the step cannot be applied.
    """
    with _at(step.number, step.operation):
        return step.transform(frame)


@contextlib.contextmanager
def _at(number: int, operation: Operation) -> Generator[None]:
    """An error inside says which step it was."""
    try:
        yield
    except CharkhError as error:
        raise type(error)(
            f"{_place(number, operation)}: {error.message}",
            code=error.code,
            hint=error.hint,
            facts={"step": number, **error.facts},
        ) from error
    except pl.exceptions.PolarsError as error:
        raise Invalid(
            f"{_place(number, operation)}: {reason_of(error)}",
            code="recipe.step_failed",
            hint="Look at the types of the columns before this step with `charkh recipe explain`.",
            facts={"step": number},
        ) from error


def _place(number: int, operation: Operation) -> str:
    columns = columns_named(operation)
    shown = f" {', '.join(columns[:3])}{', …' if len(columns) > 3 else ''}" if columns else ""
    return f"step {number} ({BY_SHAPE[type(operation)].op}{shown})"
