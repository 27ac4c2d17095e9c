"""`charkh run`: show, log, tag and artifact; the other verbs stand in modules of their own, `run_VERB.py`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent
from typing import Annotated, Any

import msgspec
import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import (
    AsJson,
    shown_count,
    shown_size,
    shown_time,
    write_json,
    write_line,
    write_note,
    write_pairs,
    write_table,
)
from charkh.cli.run_compare import compare_runs
from charkh.cli.run_console import console
from charkh.cli.run_export import export
from charkh.cli.run_group import group
from charkh.cli.run_media import media
from charkh.cli.run_refs import Ref, shown_duration, shown_number, shown_value
from charkh.cli.run_rename import rename
from charkh.cli.run_replay import replay
from charkh.cli.run_search import list_runs, search_runs
from charkh.cli.run_traces import traces
from charkh.cli.run_trash import delete, purge, restore
from charkh.cli.tags import GivenTags, given_tags
from charkh.cli.titles import titles_of
from charkh.core.errors import NotFound
from charkh.core.files import FileRef
from charkh.ports.store import Store
from charkh.runs.find import find
from charkh.runs.held import MediaKey
from charkh.runs.history import Curve, metric_histories, metric_history, metric_names
from charkh.runs.index import ArtifactsOf, ChildRuns, LinksOf, ParamConflicts
from charkh.runs.media import count_media
from charkh.runs.notes import NOTE_TAG, read_note
from charkh.runs.project import DEFAULT_PROJECT
from charkh.runs.projects import list_projects
from charkh.runs.run import SYSTEM_CONTEXT, Artifact, Run, logged_metrics
from charkh.runs.tag import tag as tag_run

app = typer.Typer(no_args_is_help=True, help="Recorded executions: params, metrics, artifacts, provenance.")
app.command("list")(list_runs)
app.command("search")(search_runs)
app.command("compare")(compare_runs)
app.command("group")(group)
app.command("export")(export)


@app.command()
def show(
    run: Ref,
    patch: Annotated[bool, typer.Option("--patch", help="Print the uncommitted changes it ran with: a patch.")] = False,
    system: Annotated[bool, typer.Option("--system", help="Also what was measured of the machine.")] = False,
    json: AsJson = False,
) -> None:
    """Show a run: params, metrics, media, tags, artifacts, links, and where its code came from."""
    with open_workspace() as workspace:
        store = workspace.store
        found = find(store, run)
        if patch:
            _write_patch(store, found)
            return
        artifacts = store.queries.ask(ArtifactsOf(run=found.id))
        links = store.queries.ask(LinksOf(run=found.id))
        conflicts = store.queries.ask(ParamConflicts(run=found.id))
        children = store.queries.ask(ChildRuns(parent=found.id))
        shows = count_media(store, found.id)
        note = read_note(store, found)
        names = {each.id: each.name for each in list_projects(store, deleted=None)}
        project = names.get(found.project, found.project)
        command = _command(store, found)
        titles = titles_of(store, [each.target if each.source == found.subject else each.source for each in links])
    if not system:
        found = msgspec.structs.replace(found, metrics=logged_metrics(found.metrics))
    if json:
        more = {"artifacts": artifacts, "links": links, "conflicts": conflicts, "children": children}
        more |= {"media": [_media_words(each) for each in shows], "note": note, "project": project}
        write_json({"id": found.id, "run": found, "command": command, **more})
        return
    _write_run(found, project, command)
    _write_block("params", [(name, shown_value(value)) for name, value in found.params.items()])
    _write_block(
        "conflicts", [(each.name, f"also given: {', '.join(map(shown_value, each.others))}") for each in conflicts]
    )
    _write_block("metrics", list(found.metrics.items()))
    _write_block("media", [(each.key, f"{shown_count(each.count, each.kind)}") for each in shows])
    if note:
        write_line()
        write_line("note")
        write_line(indent(note, "  "))
    _write_block("tags", [(name, value) for name, value in found.tags.items() if name != NOTE_TAG])
    _write_block("artifacts", [(each.path, shown_size(each.file.size)) for each in artifacts])
    _write_block(
        "links",
        [(each.relation, titles[each.target if each.source == found.subject else each.source]) for each in links]
        + [("child", f"run:{child}") for child in children],
    )


@app.command()
def log(
    run: Ref,
    metric: Annotated[str, typer.Argument(help="The metric; without it, all of them with their last values.")] = "",
    context: Annotated[str, typer.Option("--context", help="Such as val; system for the machine's own.")] = "",
    every_writer: Annotated[
        bool, typer.Option("--every-writer", help="What every rank and attempt logged, not only what shows by default.")
    ] = False,
    last: Annotated[int, typer.Option("--last", min=0, help="Only the last so many points; 0 for all.")] = 0,
    json: AsJson = False,
) -> None:
    """Print the history of a metric, point by point."""
    with open_workspace() as workspace:
        store = workspace.store
        found = find(store, run)
        if not metric:
            _write_metrics(store, found, context, json=json)
            return
        if every_writer:
            curves = metric_histories(store, found.id, metric, context=context)
        else:
            curves = (metric_history(store, found.id, metric, context=context),)
    rows = [row for curve in curves for row in _points(curve, last)]
    if json:
        write_json([dict(zip(("step", "time", "value", "writer", "attempt"), row, strict=True)) for row in rows])
        return
    columns = ["step", "time", "value", "writer"]
    shown = [[step, shown_time(moment), shown_number(value), writer] for step, moment, value, writer, _ in rows]
    write_table(columns if every_writer else columns[:3], [row if every_writer else row[:3] for row in shown])


@app.command()
def tag(
    run: Ref,
    tags: GivenTags,
    json: AsJson = False,
) -> None:
    """Set or remove tags."""
    wanted = given_tags(tags)
    with open_workspace() as workspace:
        found = tag_run(workspace.store, run, wanted)
    if json:
        write_json(found)
        return
    write_pairs(found.tags.items())


@app.command()
def artifact(
    run: Ref,
    path: Annotated[str, typer.Argument(help="Path among the run's artifacts; without it they are listed.")] = "",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write it; stdout by default.")] = None,
    json: AsJson = False,
) -> None:
    """List the files that a run left, or get one of them."""
    with open_workspace() as workspace:
        store = workspace.store
        found = find(store, run)
        artifacts = store.queries.ask(ArtifactsOf(run=found.id))
        if path:
            _copy_artifact(store, found, artifacts, path, out)
            return
    if json:
        write_json(artifacts)
        return
    write_table(
        ["path", "size", "added"],
        [[each.path, shown_size(each.file.size), shown_time(each.at)] for each in artifacts],
        empty="the run left no files",
    )


def _write_run(run: Run, project: str, command: Sequence[str]) -> None:
    known = run.provenance
    pairs: list[tuple[str, object]] = [
        ("run", run.subject),
        ("name", run.name),
        ("project", project if run.project != DEFAULT_PROJECT else ""),
        ("status", run.status + (f": {run.error}" if run.error else "")),
        ("created", f"{shown_time(run.created)} by {run.actor}"),
        ("took", shown_duration(run)),
        ("group", run.started.group),
        ("parent", f"run:{run.started.parent}" if run.started.parent else ""),
        ("incomplete", f"{run.lost_records} records were lost" if run.lost_records else ""),
    ]
    if known is not None:
        system = known.system if known.commit or known.branch else ""
        dirty = {True: "with uncommitted changes", False: "", None: ""}[known.dirty]
        pairs += [
            ("code", " ".join(filter(None, [system, known.commit[:12], known.branch, dirty]))),
            ("remote", known.remote),
            ("command", " ".join(command)),
            ("machine", f"{run.started.host}: {known.cpus} CPUs, {shown_size(known.memory)}, {known.platform}"),
            ("accelerators", known.gpus),
            ("python", known.python),
        ]
    write_pairs((label, value) for label, value in pairs if value)


def _write_block(title: str, pairs: Sequence[tuple[str, object]]) -> None:
    if pairs:
        write_line()
        write_line(title)
        write_pairs((f"  {name}", shown_number(value) if isinstance(value, float) else value) for name, value in pairs)


def _media_words(each: MediaKey) -> dict[str, Any]:
    words: dict[str, Any] = {"key": each.key, "kind": each.kind, "count": each.count}
    return words | {"first_step": each.first_step, "last_step": each.last_step}


def _write_metrics(store: Store, run: Run, context: str, *, json: bool) -> None:
    counts: dict[str, tuple[int, int]] = {}
    for each in metric_names(store, run.id):
        if (context and each.context != context) or (not context and each.context == SYSTEM_CONTEXT):
            continue
        count, greatest = counts.get(each.name, (0, each.last_step))
        counts[each.name] = (count + each.count, max(greatest, each.last_step))
    rows = [(name, run.metrics.get(name), *counts[name]) for name in sorted(counts)]
    if json:
        write_json([dict(zip(("metric", "last", "points", "last_step"), row, strict=True)) for row in rows])
        return
    shown = [[name, shown_number(last), points, step] for name, last, points, step in rows]
    write_table(["metric", "last", "points", "last step"], shown, empty="the run has no metrics")


def _write_patch(store: Store, run: Run) -> None:
    patch = run.provenance.patch if run.provenance is not None else None
    if patch is None:
        committed = run.provenance is not None and run.provenance.commit
        raise NotFound(
            f"run {run.id} has no uncommitted changes on record",
            code="run.no_patch",
            hint="It ran on a clean commit."
            if committed
            else "No version control system told of the folder that it ran in.",
        )
    if run.provenance is not None and run.provenance.patch_cut:
        write_note("the changes were longer than what is kept: this patch is not complete")
    _write_bytes(store, patch)


def _copy_artifact(store: Store, run: Run, artifacts: Sequence[Artifact], path: str, out: Path | None) -> None:
    chosen = next((each for each in artifacts if each.path == path), None)
    if chosen is None:
        raise NotFound(
            f"run {run.id} left no file {path!r}",
            code="run.no_artifact",
            hint=f"It left: {', '.join(each.path for each in artifacts[:10]) or 'nothing'}.",
        )
    if out is None:
        _write_bytes(store, chosen.file)
        return
    with out.open("wb") as file:
        file.writelines(store.vault.read(chosen.file))


def _write_bytes(store: Store, file: FileRef) -> None:
    for chunk in store.vault.read(file):
        sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


def _command(store: Store, run: Run) -> list[str]:
    file = run.provenance.command if run.provenance is not None else None
    if file is None:
        return []
    return msgspec.json.decode(b"".join(store.vault.read(file)), type=list[str])


def _points(curve: Curve, last: int) -> list[tuple[int, float, float, str, int]]:
    chosen = curve.points()[-last:] if last else curve.points()
    return [(point.step, point.time, point.value, curve.writer, point.attempt) for point in chosen]


app.command("rename")(rename)
app.command("delete")(delete)
app.command("restore")(restore)
app.command("purge")(purge)
app.command("replay")(replay)
app.command("media")(media)
app.command("console")(console)
app.command("traces")(traces)
