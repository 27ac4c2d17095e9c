"""What a fetch brought, before it becomes a version: the source's recipe, then its checks, on the new part alone."""

from collections.abc import Sequence
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
from charkh.datasets.dataset import Reading
from charkh.datasets.formats import format_of, scan_csv, scan_jsonl
from charkh.datasets.sniff import read_file_shape
from charkh.recipes.apply import apply
from charkh.recipes.document import parse_recipe
from charkh.recipes.find import find as find_recipe
from charkh.recipes.find import load as load_recipe
from charkh.recipes.record import record as record_recipe
from charkh.recipes.recorded import RecipeVersion
from charkh.recipes.tables import read_tables
from charkh.sources.collecting import Arrival, Collected
from charkh.sources.staging import Staging
from charkh.workspace.workspace import Workspace


class Screened(NamedTuple):
    """What is left, what it was made from beside the source, and the check that set rows aside."""

    collected: Collected
    origins: tuple[tuple[str, str], ...] = ()
    check: Check | None = None


def screen(
    workspace: Workspace, settings: SourceSettings, collected: Collected, staging: Staging, about: str
) -> Screened:
    """Apply the recipe, then run the checks; failing rows are in quarantine when this returns.

    Args:
        workspace: whose files the settings name.
        settings: of the source.
        collected: what came.
        staging: where the rows that are left are written.
        about: subject that the check is about.

    Raises:
        GateRefused: rows fail beyond what the suite tolerates; the check is recorded, and no version is made.
        Invalid: what came is no table, or a step of the recipe cannot be applied.
        NotFound: there is no such suite or recipe.
    """
    if not collected.arrivals or not (settings.recipe or settings.checks):
        return Screened(collected)
    reading = Reading(separator=settings.separator, nulls=settings.nulls)
    frames = [_read(arrival, reading) for arrival in collected.arrivals]
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
    return Screened(collected._replace(arrivals=tuple(arrivals)), tuple(origins), check)


def _read(arrival: Arrival, reading: Reading) -> pl.DataFrame:
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
    if kind == "csv":
        return scan_csv(place, path, reading, read_file_shape(place, path, reading).columns).collect()
    return (pl.scan_parquet(place, glob=False) if kind == "parquet" else scan_jsonl(place)).collect()


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
