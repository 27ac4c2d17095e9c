"""Read the tables that a recipe looks things up in."""

import polars as pl

from charkh.datasets.find import find as find_dataset
from charkh.datasets.read import read_table
from charkh.ports.store import Store
from charkh.recipes.operations.lookup import Lookup
from charkh.recipes.recipe import Recipe


def read_tables(store: Store, recipe: Recipe) -> dict[str, pl.DataFrame]:
    """The tables for `apply`, with the columns that the recipe uses; of a recorded recipe, the pinned versions.

    Raises:
        NotFound: a table is no dataset that is there.
    """
    columns: dict[str, dict[str, None]] = {}
    for step in recipe.steps:
        if isinstance(step, Lookup):
            columns.setdefault(step.table, {}).update(dict.fromkeys([*step.on.values(), *step.columns]))
    return {
        table: read_table(store, find_dataset(store, recipe.tables[table]), columns=list(names))
        for table, names in columns.items()
    }
