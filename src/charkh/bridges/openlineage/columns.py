"""Which columns of a version come from which columns of the versions it was made from, as far as a recipe says it."""

from charkh.bridges.openlineage.facets import Json
from charkh.core.errors import NotFound
from charkh.core.expressions import columns_of, parse_expression
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.index import DatasetById
from charkh.lineage.index import EdgesFrom
from charkh.ports.store import Store
from charkh.recipes.document import parse_recipe
from charkh.recipes.index import RecipeById
from charkh.recipes.operations.all import columns_named
from charkh.recipes.operations.columns import Rename, SplitColumn
from charkh.recipes.operations.operation import Step
from charkh.recipes.operations.values import Bin, Derive
from charkh.recipes.recipe import Recipe


def column_lineage(store: Store, version: DatasetVersion, *, namespace: str) -> Json:
    """The fields of the facet; empty where no recipe, or more than one dataset, made the version.

    A column whose name nobody touched is the one of that name; a renamed one is traced to its old name; one that a step
    made is derived from the other columns that the step names.
    """
    targets = [edge.target.partition(":") for edge in store.queries.ask(EdgesFrom(subject=version.subject))]
    recipes = [identifier for noun, _, identifier in targets if noun == "recipe"]
    datasets = [
        identifier for noun, _, identifier in targets if noun == "dataset" and identifier != version.made.parent
    ]
    if not recipes or len(set(datasets)) != 1:
        return {}
    source = store.queries.ask(DatasetById(version=datasets[0]))
    steps = [step for each in recipes for step in _steps(store, each)]
    if source is None or not steps:
        return {}
    traced = _traced({column.name for column in source.made.schema}, steps)
    fields: Json = {}
    for column in version.made.schema:
        origins, touched = traced.get(column.name, (frozenset[str](), False))
        if origins:
            kind = {"type": "DIRECT", "subtype": "TRANSFORMATION" if touched else "IDENTITY"}
            named = {"namespace": namespace, "name": source.made.name}
            fields[column.name] = {
                "inputFields": [{**named, "field": origin, "transformations": [kind]} for origin in sorted(origins)]
            }
    return fields


def _steps(store: Store, recipe: str) -> tuple[Step, ...]:
    recorded = store.queries.ask(RecipeById(recipe=recipe))
    if recorded is None:
        return ()
    try:
        parsed: Recipe = parse_recipe(b"".join(store.vault.read(recorded.recorded.document)))
    except NotFound:  # its bytes are not on this machine
        return ()
    return parsed.steps


def _traced(columns: set[str], steps: list[Step]) -> dict[str, tuple[frozenset[str], bool]]:
    """By name of a column after the steps, the columns before them that it comes from, and whether it was touched."""
    known: dict[str, tuple[frozenset[str], bool]] = {name: (frozenset({name}), False) for name in columns}
    for step in steps:
        if isinstance(step, Rename):
            moved = {new: known.pop(old) for old, new in step.columns.items() if old in known}
            known.update({new: (origins, True) for new, (origins, _) in moved.items()})
            continue
        made, sources = _made_by(step)
        for name in made:
            known[name] = (frozenset(origin for each in sources if each in known for origin in known[each][0]), True)
        for name in columns_named(step) if not made else ():
            if name in known:
                known[name] = (known[name][0], True)
    return known


def _made_by(step: Step) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns that a step makes, and those that it makes them from."""
    if isinstance(step, Derive):
        return (step.column,), columns_of(parse_expression(step.value))
    if isinstance(step, SplitColumn):
        return step.into, (step.column,)
    if isinstance(step, Bin) and step.into:
        return (step.into,), (step.column,)
    return (), ()
