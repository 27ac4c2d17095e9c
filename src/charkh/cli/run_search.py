"""`charkh run list` and `charkh run search`."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_note, write_table
from charkh.cli.run_refs import SHORT_ID, Columns, Limit, Offset, Order, Where, shown_duration, shown_value
from charkh.runs.projects import list_projects
from charkh.runs.query import Field
from charkh.runs.query_parser import parse_condition, parse_fields, parse_order
from charkh.runs.resolve import resolve_field, unknown_names
from charkh.runs.run import Run, logged_metrics
from charkh.runs.search import search, with_fields

FEW = 4
Deleted = Annotated[bool, typer.Option("--deleted", help="Those in the trash instead.")]
Project = Annotated[str, typer.Option("--project", help="Only of this project, and of those in it as in a folder.")]


def list_runs(
    limit: Limit = 20, project: Project = "", columns: Columns = "", deleted: Deleted = False, json: AsJson = False
) -> None:
    """List the latest runs."""
    _write_found("", "", limit, 0, project, columns, deleted=deleted, json=json)


def search_runs(
    text: Where = "",
    order: Order = "",
    limit: Limit = 100,
    offset: Offset = 0,
    project: Project = "",
    columns: Columns = "",
    deleted: Deleted = False,
    json: AsJson = False,
) -> None:
    """Find runs by params, metrics, tags, data, files, code, time, project, and what is written about them.

    Fields: params.X, text(params.X), metrics.X (its last value), min max first count best(metrics.X), tags.X; id, name,
    project, group, parent, status, user, created, ended, duration, commit, branch, dirty, script, error; data (such as
    'flights@3'), artifact, text.

    Comparisons are =, !=, <, <=, >, >=, ~ (contains; with * or ? a pattern), like, in (…), is null; join them by and,
    or, not and parentheses. Times are '2026-01-31', -7d, today; durations 90s, 2h.
    """
    _write_found(text, order, limit, offset, project, columns, deleted=deleted, json=json)


def _write_found(
    text: str, order: str, limit: int, offset: int, project: str, columns: str, *, deleted: bool, json: bool
) -> None:
    fields = parse_fields(columns) if columns else ()
    with open_workspace() as workspace:
        store = workspace.store
        names = {each.id: each.name for each in list_projects(store, deleted=None)}
        inside = tuple(each for each, name in names.items() if _is_in(name, project)) if project else ()
        found: Sequence[Run] = ()
        if inside or not project:
            found = search(store, text, order=order, limit=limit, offset=offset, deleted=deleted, projects=inside)
        wanted = [resolve_field(store, field) for field in fields]
        known = with_fields(store, found, wanted)
        hints = () if found else unknown_names(store, parse_condition(text), parse_order(order))
    for hint in hints:
        write_note(hint)
    if json:
        write_json([{"id": run.id, **msgspec.to_builtins(run, enc_hook=str)} for run in found])
        return
    shown = [[shown_value(each.lookup(field)) for field in wanted] for each in known]
    _write_runs(found, fields, shown, names)


def _write_runs(
    found: Sequence[Run], fields: Sequence[Field], shown: Sequence[Sequence[str]], names: Mapping[str, str]
) -> None:
    several = len({run.project for run in found}) > 1
    rows: list[list[object]] = []
    for run, values in zip(found, shown, strict=True):
        cells = list(values) if fields else [_few(run.params), _few(logged_metrics(run.metrics))]
        project = [names.get(run.project, "")] if several else []
        took = shown_duration(run)
        rows.append([run.id[:SHORT_ID], run.name, *project, run.status, shown_time(run.created), took, *cells])
    heads = [str(field) for field in fields] or ["params", "metrics"]
    project = ["project"] if several else []
    write_table(["run", "name", *project, "status", "created", "took", *heads], rows, empty="no run yet")


def _is_in(name: str, project: str) -> bool:
    """Whether a project is the one asked for, or lies in it."""
    return name == project or name.startswith(f"{project.rstrip('/')}/")


def _few(values: Mapping[str, Any]) -> str:
    chosen = [f"{name}={shown_value(value)}" for name, value in list(values.items())[:FEW]]
    return ", ".join(chosen) + (f" +{len(values) - FEW}" if len(values) > FEW else "")
