"""Find a recorded recipe, and read it back."""

from charkh.core.errors import NotFound
from charkh.core.ids import ID_PATTERN
from charkh.core.refs import parse_name
from charkh.ports.store import Store
from charkh.recipes.document import parse_recipe
from charkh.recipes.index import RecipeById, RecipeByName, Recipes
from charkh.recipes.recipe import Recipe
from charkh.recipes.recorded import RecipeVersion


def find(store: Store, ref: str) -> RecipeVersion:
    """The recorded recipe that `ref` means: a name (the recipe recorded last under it), `recipe:ID` or an id.

    Raises:
        NotFound: none is meant.
    """
    identifier = ref.removeprefix("recipe:")
    if ID_PATTERN.fullmatch(identifier):
        version = store.queries.ask(RecipeById(recipe=identifier))
    else:
        version = store.queries.ask(RecipeByName(name=parse_name(ref, "recipe name")))
    if version is None:
        known = ", ".join(each.name for each in store.queries.ask(Recipes())[:10]) or "none yet"
        raise NotFound(
            f"there is no recipe {ref}",
            code="recipe.not_found",
            hint=f"`charkh recipe list` shows them; known: {known}.",
        )
    return version


def load(store: Store, version: RecipeVersion) -> Recipe:
    """The steps of a recorded recipe.

    Raises:
        NotFound: its bytes are not here.
        Corrupt: they are not what their digest says.
    """
    return parse_recipe(b"".join(store.vault.read(version.recorded.document)), f"recipe {version.name}")
