"""What a fetch brought, before it becomes a version: the source's recipe, then its checks, on the new part alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec
import polars as pl

from charkh.checks.check import Check
from charkh.checks.document import parse_suite
from charkh.checks.gate import gate
from charkh.checks.record import record as record_check
from charkh.checks.result import ROW
from charkh.checks.run import run as run_check
from charkh.core.errors import Bug, Invalid, NotFound
from charkh.core.source_settings import SourceSettings
from charkh.datasets.csv_file import read_header
from charkh.datasets.dataset import Reading
from charkh.datasets.dtypes import dtype_text, parse_dtype, widest
from charkh.datasets.formats import format_of, scan_csv, scan_jsonl
from charkh.datasets.sniff import read_shape
from charkh.datasets.walk import local_files
from charkh.recipes.apply import apply
from charkh.recipes.document import parse_recipe
from charkh.recipes.find import find as find_recipe
from charkh.recipes.find import load as load_recipe
from charkh.recipes.record import record as record_recipe
from charkh.recipes.recorded import RecipeVersion
from charkh.recipes.tables import read_tables
from charkh.sources.collecting import Arrival, Collected
from charkh.sources.source import State
from charkh.sources.staging import Staging
from charkh.workspace.workspace import Workspace


class Screened(NamedTuple):
    """What is left, what it was made from beside the source, and the check that set rows aside."""

    collected: Collected
    origins: tuple[tuple[str, str], ...] = ()
    check: Check | None = None


def screen(
    workspace: Workspace, settings: SourceSettings, before: State, collected: Collected, staging: Staging, about: str
) -> Screened:
    """Apply the recipe, then run the checks; failing rows are in quarantine when this returns.

    Args:
        workspace: whose files the settings name.
        settings: of the source.
        before: what the source had said: text is read in the types that it had.
        collected: what came.
        staging: where the rows that are left are written.
        about: subject that the check is about.

    Raises:
        GateRefused: rows fail beyond what the suite tolerates; the check is recorded, and no version is made.
        Invalid: what came is no table, or a step of the recipe cannot be applied.
        NotFound: there is no such suite or recipe.
    """
    if not collected.arrivals:
        return Screened(collected)
    reading = Reading(separator=settings.separator, nulls=settings.nulls)
    types = _text_types(collected.arrivals, reading, before)
    frames = [_read(arrival, reading, types) for arrival in collected.arrivals]
    origins: list[tuple[str, str]] = []
    if settings.recipe:
        version = _recipe(workspace, settings.recipe)
        recipe = load_recipe(workspace.store, version)
        tables = read_tables(workspace.store, recipe)
        frames = [apply(recipe, frame, tables=tables) for frame in frames]
        origins.append(("made_from", version.subject))
    check = None
    if settings.checks:
        frames, check = _checked(workspace, settings.checks, frames, about)
        origins.append(("made_from", check.subject))
    arrivals = [_written(each, frame, staging) for each, frame in zip(collected.arrivals, frames, strict=True)]
    state = collected.state
    if types:
        columns = {name: dtype_text(dtype) for name, dtype in types.items()}
        state = msgspec.structs.replace(state, columns={**before.columns, **state.columns, **columns})
    return Screened(collected._replace(arrivals=tuple(arrivals), state=state), tuple(origins), check)


def _text_types(arrivals: Sequence[Arrival], reading: Reading, before: State) -> dict[str, pl.DataType]:
    """The types of text files: what they look like, together with what those that came before looked like."""
    files = [
        local_files([arrival.place])[0]._replace(path=arrival.item.path)
        for arrival in arrivals
        if arrival.place is not None and format_of(arrival.item.path) == "csv"
    ]
    if not files:
        return {}
    types: dict[str, pl.DataType] = {}
    for name, found in read_shape(sorted(files), reading).columns.items():
        known = parse_dtype(before.columns.get(name, ""))
        # A text column stays one where all of its new texts look like numbers.
        types[name] = found if known is None else known if known == pl.String else widest(known, found) or found
    return types


def _read(arrival: Arrival, reading: Reading, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    place, path = arrival.place, arrival.item.path
    kind = format_of(path)
    if place is None:
        raise Bug(f"{arrival.item.key} came without its bytes")
    if kind is None:
        raise Invalid(
            f"{arrival.item.key} is no table, and checks and recipes are for tables",
            code="source.not_a_table",
            hint="Collect CSV, Parquet or JSON Lines files, or leave `checks` and `recipe` out.",
        )
    if kind != "csv":
        return (pl.scan_parquet(place, glob=False) if kind == "parquet" else scan_jsonl(place)).collect()
    header = read_header(place, path, reading)
    # What has no value yet has no type; Polars reads it as text.
    empty = [name for name in header if types[name] == pl.Null]
    read = scan_csv(place, path, reading, {name: pl.String() if name in empty else types[name] for name in header})
    return read.with_columns(pl.lit(None).alias(name) for name in empty).select(list(types)).collect()


def _checked(
    workspace: Workspace, source: str, frames: Sequence[pl.DataFrame], about: str
) -> tuple[list[pl.DataFrame], Check]:
    """The good rows of each frame; the suite sees all at once, so that a row may repeat none of another file."""
    place = workspace.folder / source
    suite = parse_suite(_content(place, "check").decode(), source)
    result = run_check(suite, pl.concat(frames, how="vertical_relaxed"))
    check = record_check(workspace.store, place.stem, result, about=about)
    gate(result, "what came")
    good: list[pl.DataFrame] = []
    first = taken = 0
    for frame in frames:
        bad = result.bad.filter(pl.col(ROW).is_between(first, first + frame.height, closed="left")).height
        good.append(result.good.slice(taken, frame.height - bad))
        first, taken = first + frame.height, taken + frame.height - bad
    return good, check


def _written(arrival: Arrival, frame: pl.DataFrame, staging: Staging) -> Arrival:
    path = str(PurePosixPath(arrival.item.path).with_suffix(".parquet"))
    place = staging.new_file(f"{staging.place(path).stem}.screened")
    frame.write_parquet(place)
    return arrival._replace(item=msgspec.structs.replace(arrival.item, path=path), place=place, rewritten=True)


def _recipe(workspace: Workspace, source: str) -> RecipeVersion:
    if not source.endswith(".json"):
        return find_recipe(workspace.store, source)
    place = workspace.folder / source
    return record_recipe(workspace.store, parse_recipe(_content(place, "recipe"), source), place.stem)


def _content(place: Path, what: str) -> bytes:
    try:
        return place.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no {what} {place}", code=f"{what}.no_file", hint="Paths are relative to the workspace."
        ) from error
