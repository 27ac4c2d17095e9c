"""`charkh recipe`: suggest, apply, explain, list and show."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from charkh.cli.documents import begin_document, read_document
from charkh.cli.opening import open_workspace
from charkh.cli.output import (
    AsJson,
    shown_count,
    shown_time,
    write_json,
    write_line,
    write_note,
    write_pairs,
    write_table,
)
from charkh.datasets.find import find as find_dataset
from charkh.ports.store import Store
from charkh.recipes.index import Recipes, RecipeVersions

if TYPE_CHECKING:
    from charkh.recipes.explain import Effect, Explained
    from charkh.recipes.recipe import Recipe

app = typer.Typer(no_args_is_help=True, help="Ordered, replayable cleaning steps.")

Source = Annotated[str, typer.Argument(help="A recipe: a .json file, the name of a recorded one, or recipe:ID.")]
Dataset = Annotated[str, typer.Argument(help="A version of a table: flights@3, flights (the latest) or dataset:ID.")]


@app.command("suggest")
def suggest_steps(
    dataset: Dataset,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the suggestions as a recipe; never over one.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Suggest steps for a table, each with its reason; nothing is changed."""
    # Polars is loaded by the verbs that read tables alone: the others start in half the time.
    from charkh.datasets.read import read_table
    from charkh.recipes.document import format_recipe
    from charkh.recipes.explain import explain
    from charkh.recipes.recipe import Recipe
    from charkh.recipes.suggest import suggest

    with open_workspace() as workspace:
        found = suggest(read_table(workspace.store, find_dataset(workspace.store, dataset)))
    steps = tuple(msgspec.structs.replace(each.operation, note=each.reason) for each in found)
    recipe = Recipe(description=f"Suggested for {dataset}.", steps=steps)
    if out is not None:
        begin_document(out, format_recipe(recipe))
    if json:
        write_json(found)
        return
    sentences = [each.sentence for each in explain(recipe)]
    write_table(
        ["step", "why", "for example"],
        [[sentence, each.reason, each.examples] for sentence, each in zip(sentences, found, strict=True)],
        empty="nothing to suggest",
    )
    if out is not None:
        write_note(f"written to {out}: read it, mend it, then `charkh recipe apply {out} {dataset} --as NAME`")


@app.command("apply")
def apply_recipe(
    source: Source,
    dataset: Dataset,
    name: Annotated[str, typer.Option("--as", help="The dataset that gets the result as a new version.")],
    message: Annotated[str, typer.Option("--message", "-m", help="What a person should know about it.")] = "",
    json: AsJson = False,
) -> None:
    """Apply a recipe to a table: it is recorded, and the result is a version that says what made it."""
    # Polars is loaded by the verbs that read tables alone: the others start in half the time.
    from charkh.datasets.add import add_table
    from charkh.datasets.read import read_table
    from charkh.recipes.apply import apply
    from charkh.recipes.find import find
    from charkh.recipes.record import pin, record
    from charkh.recipes.tables import read_tables

    with open_workspace() as workspace:
        store = workspace.store
        before = find_dataset(store, dataset)
        frame = read_table(store, before)
        recipe = pin(store, _recipe(store, source))
        after = apply(recipe, frame, tables=read_tables(store, recipe))
        known = record(store, recipe, Path(source).stem) if _is_file(source) else find(store, source)
        made = add_table(
            store,
            name,
            after,
            message=message,
            origins=[("made_from", before.subject), ("made_from", known.subject)],
        )
    if json:
        write_json({"dataset": made, "recipe": known})
    else:
        rows = made.made.rows or 0
        write_line(f"{made.ref}: {rows:,} rows, {made.made.columns} columns, from {before.ref} by recipe {known.name}")


@app.command("explain")
def explain_recipe(
    source: Source,
    dataset: Annotated[str, typer.Argument(help="A table to show the effects on, or nothing.")] = "",
    json: AsJson = False,
) -> None:
    """Say in plain words what each step does, and with a table what it changes there."""
    # Polars is loaded by the verbs that read tables alone: the others start in half the time.
    from charkh.datasets.read import read_table
    from charkh.recipes.explain import explain
    from charkh.recipes.tables import read_tables

    with open_workspace() as workspace:
        store = workspace.store
        recipe = _recipe(store, source)
        if dataset:
            frame = read_table(store, find_dataset(store, dataset))
            explained = explain(recipe, frame, tables=read_tables(store, recipe))
        else:
            explained = explain(recipe)
    if json:
        write_json(explained)
        return
    _write_steps(explained, effects=bool(dataset))


@app.command("list")
def list_recipes(
    prefix: Annotated[str, typer.Argument(help="Only names that begin so.")] = "", json: AsJson = False
) -> None:
    """List the recorded recipes, the latest of each name."""
    with open_workspace() as workspace:
        found = workspace.store.queries.ask(Recipes(prefix=prefix))
    if json:
        write_json(found)
        return
    write_table(
        ["recipe", "steps", "live", "id", "recorded", "by"],
        [
            [each.name, each.recorded.steps, each.recorded.live, each.id[:12], shown_time(each.at), each.actor]
            for each in found
        ],
        empty="no recipe is recorded yet; `charkh recipe apply` records one",
    )


@app.command()
def show(source: Source, json: AsJson = False) -> None:
    """Show a recorded recipe: its steps, the tables it is pinned to, and the earlier ones of its name."""
    # Polars is loaded by the verbs that read tables alone: the others start in half the time.
    from charkh.recipes.explain import explain
    from charkh.recipes.find import find, load

    with open_workspace() as workspace:
        version = find(workspace.store, source)
        recipe = load(workspace.store, version)
        earlier = workspace.store.queries.ask(RecipeVersions(name=version.name))
    if json:
        write_json({"version": version, "recipe": recipe, "versions": earlier})
        return
    pinned = [(f"table {name}", ref) for name, ref in recipe.tables.items()]
    write_pairs([("recipe", version.name), ("id", version.id), ("digest", version.recorded.digest), *pinned])
    write_line()
    _write_steps(explain(recipe), effects=False)
    if len(earlier) > 1:
        write_line()
        write_table(["id", "recorded", "by"], [[each.id[:12], shown_time(each.at), each.actor] for each in earlier])


def _recipe(store: Store, source: str) -> "Recipe":
    # Recipes know the operations, and those Polars: the verbs that only list start without them.
    from charkh.recipes.find import find, load

    return _read(source) if _is_file(source) else load(store, find(store, source))


def _is_file(source: str) -> bool:
    return Path(source).suffix == ".json"


def _read(source: str) -> "Recipe":
    # As in `_recipe`.
    from charkh.recipes.document import parse_recipe

    hint = "`charkh recipe suggest DATASET --out FILE` writes a first one."
    return parse_recipe(read_document(Path(source), code="recipe.no_file", hint=hint), source)


def _write_steps(explained: Sequence["Explained"], *, effects: bool) -> None:
    rows: list[list[object]] = []
    for each in explained:
        where = "" if each.live else " (not for live requests)"
        rows.append([each.number, each.sentence + where, *([_effect(each.effect)] if effects else []), each.note])
    columns = ["", "step", *(["effect"] if effects else []), "why"]
    write_table(columns, rows, empty="the recipe has no steps")


def _effect(effect: "Effect | None") -> str:
    if effect is None:
        return ""
    parts = [
        f"{shown_count(effect.rows_removed, 'row')} removed" if effect.rows_removed else "",
        f"{shown_count(effect.cells_changed, 'cell')} changed" if effect.cells_changed else "",
        f"{shown_count(len(effect.columns_added), 'column')} added" if effect.columns_added else "",
        f"{shown_count(len(effect.columns_removed), 'column')} removed" if effect.columns_removed else "",
        *(f"{name} is {kind} now" for name, kind in effect.types_changed),
    ]
    return ", ".join(part for part in parts if part) or "nothing changed"
