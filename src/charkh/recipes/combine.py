"""Combine recipes: one after another, as one."""

from charkh.core.errors import Conflict
from charkh.recipes.recipe import Recipe


def combine(*recipes: Recipe) -> Recipe:
    """The recipe that does what these do in turn, such as tidying and then features, for a live request.

    Raises:
        Conflict: two of them call different datasets by one name.
    """
    tables: dict[str, str] = {}
    for recipe in recipes:
        for name, ref in recipe.tables.items():
            if tables.setdefault(name, ref) != ref:
                raise Conflict(
                    f"{name!r} is {tables[name]} in one recipe and {ref} in another",
                    code="recipe.tables_differ",
                    hint="Give the table another name in one of them.",
                )
    description = " ".join(recipe.description for recipe in recipes if recipe.description)
    return Recipe(description=description, tables=tables, steps=tuple(step for each in recipes for step in each.steps))
