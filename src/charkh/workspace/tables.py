"""Data in the SDK: datasets, recipes, checks and splits, each recorded where it is used."""

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from charkh.checks.document import parse_suite
from charkh.checks.gate import gate
from charkh.checks.record import record as record_check
from charkh.checks.run import run as run_check
from charkh.core.errors import Invalid, NotFound
from charkh.datasets.add import add_table
from charkh.datasets.find import find as find_dataset
from charkh.datasets.split import Split, split_by_time
from charkh.datasets.table import Table
from charkh.pipelines.active import inside_step
from charkh.pipelines.step import effect
from charkh.recipes.apply import apply
from charkh.recipes.document import parse_recipe
from charkh.recipes.find import find as find_recipe
from charkh.recipes.find import load as load_recipe
from charkh.recipes.record import record as record_recipe
from charkh.recipes.recorded import RecipeVersion
from charkh.recipes.tables import read_tables
from charkh.runs.active import current
from charkh.workspace.ambient import existing_workspace, workspace
from charkh.workspace.check_context import context_for
from charkh.workspace.dataset import Dataset
from charkh.workspace.expecting import TABLE, expect
from charkh.workspace.locking import locked_ref
from charkh.workspace.workspace import Workspace

FromTable = Callable[[Table], Table]


def dataset(ref: str) -> Dataset:
    """A dataset's version, read when it is asked for rows; the current run records that it used it.

    Args:
        ref: such as `flights@3`; `flights` for the version that `charkh.lock` pins, or else the newest;
            `flights@latest` for the newest in any case.

    Raises:
        NotFound: there is no such version or no workspace, or the pinned version is not known here.
        Invalid: a cached step asks for what a name happens to mean now.
    """
    expect(ref, "removeprefix", "dataset", "a reference such as 'flights@3'", "Name the dataset.")
    if inside_step() and "@" not in ref and not ref.startswith("dataset:"):
        raise Invalid(
            f"the cached step {inside_step()} reads {ref!r}, whatever version that is at the time",
            code="dataset.moving_in_step",
            hint=f"Read it in the pipeline and pass it to the step, or name a version such as {ref}@3.",
        )
    opened = existing_workspace()
    version = find_dataset(opened.store, locked_ref(opened, "dataset", ref))
    active = current()
    if active is not None:
        active.use(version.subject)
    return Dataset(opened, version)


@effect
def add(name: str, table: Table | pl.DataFrame, *, message: str = "") -> Table:
    """Keep a table as a version of a dataset; equal content gives the version that is there.

    Args:
        name: of the dataset.
        table: what is kept; what it was made from is recorded with it.
        message: what a person should know about it.

    Returns:
        The table, now made from that version alone.
    """
    given = Table(table) if isinstance(table, pl.DataFrame) else table
    expect(given, "frame", "add", "a charkh.Table or a Polars frame", "Make a frame of it: pl.DataFrame(…).")
    active = current()
    version = add_table(
        workspace().store,
        name,
        given.frame,
        message=message,
        made_by=active.id if active is not None else "",
        origins=[("made_from", origin) for origin in given.origins],
    )
    return Table(given.frame, (version.subject,))


def recipe(source: str | Path) -> FromTable:
    """A recipe that can be applied to tables; it is recorded, and what it makes says so.

    Args:
        source: a JSON file, relative to the workspace, or the name of a recorded recipe.

    Raises:
        NotFound: there is neither such a file nor such a recipe.
        Invalid: the file is no recipe.
    """
    opened = workspace()
    store = opened.store
    version_of = _from_file(opened, Path(source)) if Path(source).suffix == ".json" else _recorded(opened, str(source))

    @effect
    def apply_recipe(table: Table) -> Table:
        expect(table, "having", "recipe(…)", "a charkh.Table", TABLE)
        version = version_of()
        pinned = load_recipe(store, version)
        return table.having(apply(pinned, table.frame, tables=read_tables(store, pinned)), version.subject)

    return apply_recipe


def check(source: str | Path) -> FromTable:
    """A suite of checks: what it lets through goes on, the failing rows go to quarantine with their reasons.

    Args:
        source: a TOML file, relative to the workspace.

    Raises:
        NotFound: there is no such file.
        Invalid: it is no suite.
        GateRefused: by the returned function, when rows fail beyond what the suite tolerates.
    """
    opened = workspace()
    suite = parse_suite(_read(opened.folder / source, "check").decode(), str(source))

    @effect
    def run_checks(table: Table) -> Table:
        expect(table, "having", "check(…)", "a charkh.Table", TABLE)
        store = opened.store
        # A table that is a version's, as it is, has earlier ones; what a recipe made of it has not.
        alone = len(table.origins) == 1 and table.origins[0].startswith("dataset:")
        version = find_dataset(store, table.origins[0]) if alone else None
        context = context_for(store, suite, version)
        result = run_check(suite, table.frame, context=context)
        about = next((origin for origin in table.origins if origin.startswith("dataset:")), "")
        active = current()
        made_by = active.id if active is not None else ""
        recorded = record_check(opened.store, Path(source).stem, result, about=about, made_by=made_by)
        return table.having(gate(result).good, recorded.subject)

    return run_checks


def split(
    table: Table,
    *,
    target: str,
    time: str,
    test: str | float = "1mo",
    drop: Sequence[str] = (),
    unknown: Sequence[str] = (),
    allow: Sequence[str] = (),
) -> Split:
    """The last rows by time for the test, everything earlier for training; features that leak are refused.

    See `charkh.datasets.split.split_by_time` for the arguments.
    """
    expect(table, "frame", "split", "a charkh.Table", TABLE)
    return split_by_time(table, target=target, time=time, test=test, drop=drop, unknown=unknown, allow=allow)


def _from_file(opened: Workspace, source: Path) -> Callable[[], RecipeVersion]:
    """Records the recipe of a file when it is used; recording what is recorded already changes nothing."""
    steps = parse_recipe(_read(opened.folder / source, "recipe"), str(source))
    return lambda: record_recipe(opened.store, steps, source.stem)


def _recorded(opened: Workspace, ref: str) -> Callable[[], RecipeVersion]:
    version = find_recipe(opened.store, ref)
    return lambda: version


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no {what} {path}", code=f"{what}.no_file", hint="Paths are relative to the workspace."
        ) from error
