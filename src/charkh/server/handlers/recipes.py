"""`/api/recipes`: recorded recipes and their steps."""

from litestar import get
from litestar.datastructures import State
from litestar.params import FromQuery

from charkh.recipes.explain import Explained, explain
from charkh.recipes.find import find, load
from charkh.recipes.index import Recipes
from charkh.recipes.recorded import RecipeVersion
from charkh.server.handlers.opened import workspace_of
from charkh.server.policy import Policy


@get("/api/recipes", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_recipes(state: State, prefix: FromQuery[str] = "") -> tuple[RecipeVersion, ...]:
    """For every name the recipe recorded last under it."""
    return workspace_of(state).store.queries.ask(Recipes(prefix=prefix))


@get("/api/recipes/recipe", opt={"policy": Policy.READ}, sync_to_thread=True)
def show_recipe(state: State, ref: FromQuery[str]) -> tuple[Explained, ...]:
    """The steps of a recipe, each in a sentence."""
    store = workspace_of(state).store
    return explain(load(store, find(store, ref)))


HANDLERS = (list_recipes, show_recipe)
