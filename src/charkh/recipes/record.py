"""Record a recipe, so that what it made can be traced back to it."""

import msgspec

from charkh.core.canon import canonical_json
from charkh.core.errors import Bug
from charkh.core.events import Draft, Edge
from charkh.core.redact import redact
from charkh.core.refs import parse_name
from charkh.datasets.find import find as find_dataset
from charkh.ports.store import Store
from charkh.recipes.apply import check_steps
from charkh.recipes.index import RecipeByName
from charkh.recipes.recipe import Recipe, is_live, step_lines
from charkh.recipes.recorded import RECORDED_KIND, RecipeRecorded, RecipeVersion


def record(store: Store, recipe: Recipe, name: str) -> RecipeVersion:
    """Record the recipe under a name; recording the one that has the name already changes nothing.

    Its tables are pinned first: what is recorded, and what its id stands for, names dataset versions by id.

    Args:
        store: where it goes.
        recipe: the steps.
        name: what people call it.

    Raises:
        Invalid: the name cannot be one, or a step can never be applied.
        NotFound: a table is no dataset that is there.
    """
    name = parse_name(name, "recipe name")
    pinned = pin(store, recipe)
    known = store.queries.ask(RecipeByName(name=name))
    if known is not None and known.id == pinned.id:
        return known
    document = store.vault.put_bytes(canonical_json(pinned), "recipe.json")
    store.vault.flush()
    subject = f"recipe:{pinned.id}"
    tables = {table: subject.removeprefix("dataset:") for table, subject in pinned.tables.items()}
    body = RecipeRecorded(
        name=name,
        recipe=pinned.id,
        digest=pinned.digest,
        document=document,
        steps=len(pinned.steps),
        lines=step_lines(pinned.steps),
        tables=tables,
        live=is_live(pinned),
    )
    edges = tuple(Edge(subject, "looks_up", target) for target in sorted(set(pinned.tables.values())))
    store.record(
        Draft(kind=RECORDED_KIND, subject=subject, body=body, edges=edges, holds=(document.held,)),
        durable=True,
    )
    version = store.queries.ask(RecipeByName(name=name))
    if version is None:
        raise Bug(f"the recipe {name!r} that was just recorded cannot be found")
    return version


def pin(store: Store, recipe: Recipe) -> Recipe:
    """The recipe as it can be kept: every table named by the id of the dataset version that it means now, and no
    credential in what is written for people.

    Raises:
        Invalid: a step can never be applied.
        NotFound: a table is no dataset that is there.
    """
    check_steps(recipe)
    pinned = {table: find_dataset(store, ref).subject for table, ref in sorted(recipe.tables.items())}
    return msgspec.structs.replace(
        recipe,
        description=redact(recipe.description),
        tables=pinned,
        steps=tuple(msgspec.structs.replace(step, note=redact(step.note)) for step in recipe.steps),
    )
