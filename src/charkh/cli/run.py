"""`charkh run`: list, search, show, log, compare, tag, artifact, replay and delete."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
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
from charkh.cli.run_console import console
from charkh.cli.run_media import media
from charkh.cli.run_replay import replay
from charkh.cli.titles import titles_of
from charkh.core.errors import Invalid, NotFound
from charkh.core.files import FileRef
from charkh.ports.store import Store
from charkh.runs.compare import Row, compare, only_differing
from charkh.runs.delete import delete_run
from charkh.runs.find import find
from charkh.runs.held import MediaKey
from charkh.runs.history import Curve, metric_histories, metric_history, metric_names
from charkh.runs.index import ArtifactsOf, ChildRuns, LinksOf, ParamConflicts
from charkh.runs.live import Known, with_segments
from charkh.runs.media import count_media, list_media, read_media
from charkh.runs.query_parser import parse_order
from charkh.runs.run import SYSTEM_CONTEXT, Artifact, LargeValue, Run, json_text
from charkh.runs.search import search as search_runs
from charkh.runs.shows import NOTES
from charkh.runs.tag import tag as tag_run

app = typer.Typer(no_args_is_help=True, help="Recorded executions: params, metrics, artifacts, provenance.")

Ref = Annotated[
    str, typer.Argument(metavar="RUN", help="run:1f3a, the beginning of an id, or a name that one run has.")
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")]
Order = Annotated[str, typer.Option("--order", help="Such as 'metrics.auc desc, created'; newest first by default.")]
Columns = Annotated[
    str, typer.Option("--columns", help="Fields to show, by commas: params.rate,metrics.auc,tags.stage,duration.")
]
SHORT_ID = 18
FEW = 4


@app.command("list")
def list_runs(limit: Limit = 20, columns: Columns = "", json: AsJson = False) -> None:
    """List the latest runs."""
    _write_found("", "", limit, columns, json=json)


@app.command()
def search(
    text: Annotated[str, typer.Argument(help='Such as "params.rate >= 0.1 and metrics.auc > 0.7".')] = "",
    order: Order = "",
    limit: Limit = 100,
    columns: Columns = "",
    json: AsJson = False,
) -> None:
    """Find runs by params.X, metrics.X, max(metrics.X), tags.X, status, name, group, created, duration, commit …

    Comparisons are =, !=, <, <=, >, >=, ~ (contains), in (…), is null; join them by and, or, not and parentheses.
    """
    _write_found(text, order, limit, columns, json=json)


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
        notes = [read_media(store, each).decode("utf-8", "replace") for each in list_media(store, found.id, NOTES)]
        command = _command(store, found)
        titles = titles_of(store, [each.target if each.source == found.subject else each.source for each in links])
    if not system:
        found = msgspec.structs.replace(found, metrics=_logged(found.metrics))
    if json:
        more = {"artifacts": artifacts, "links": links, "conflicts": conflicts, "children": children}
        more |= {"media": [_media_words(each) for each in shows], "notes": notes}
        write_json({"run": found, "command": command, **more})
        return
    _write_run(found, command)
    _write_block("params", [(name, _shown(value)) for name, value in found.params.items()])
    _write_block("conflicts", [(each.name, f"also given: {', '.join(map(_shown, each.others))}") for each in conflicts])
    _write_block("metrics", list(found.metrics.items()))
    _write_block("media", [(each.key, f"{shown_count(each.count, each.kind)}") for each in shows if each.key != NOTES])
    _write_block("notes", [(str(number), text) for number, text in enumerate(notes, 1)])
    _write_block("tags", list(found.tags.items()))
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
    shown = [[step, shown_time(moment), _number(value), writer] for step, moment, value, writer, _ in rows]
    write_table(columns if every_writer else columns[:3], [row if every_writer else row[:3] for row in shown])


@app.command("compare")
def compare_runs(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN…", help="Two or more runs.")],
    everything: Annotated[bool, typer.Option("--all", help="Also what is equal.")] = False,
    json: AsJson = False,
) -> None:
    """Show what differs between runs: params, metrics, code, environment and data."""
    if len(runs) < 2:
        raise Invalid("one run cannot be compared", code="run.compare", hint="Name two or more runs.")
    with open_workspace() as workspace:
        found = compare(workspace.store, runs)
    families = {
        "params": found.params,
        "metrics": found.metrics,
        "code": found.code,
        "environment": found.environment,
        "data": found.data,
    }
    chosen = {name: rows if everything else only_differing(rows) for name, rows in families.items()}
    if json:
        write_json({"runs": [run.id for run in found.runs], **chosen})
        return
    names = [run.name for run in found.runs]
    distinct = all(names) and len({*names}) == len(names)
    write_table(
        ["", "name", *(run.name if distinct else f"{run.name} {run.id[:SHORT_ID]}".strip() for run in found.runs)],
        [[family, row.name, *map(_shown, row.values)] for family, rows in chosen.items() for row in _sorted(rows)],
        empty="nothing differs",
    )


@app.command()
def tag(
    run: Ref,
    tags: Annotated[list[str], typer.Argument(metavar="NAME=VALUE…", help="NAME= removes a tag.")],
    json: AsJson = False,
) -> None:
    """Set or remove tags."""
    wanted: dict[str, str | None] = {}
    for each in tags:
        name, sign, value = each.partition("=")
        if not sign:
            raise Invalid(f"{each!r} sets no tag", code="run.bad_tag", hint="Write NAME=VALUE, or NAME= to remove it.")
        wanted[name] = value or None
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


@app.command()
def delete(
    run: Ref,
    reason: Annotated[str, typer.Option("--reason", help="Why, in a sentence.")] = "",
    json: AsJson = False,
) -> None:
    """Delete a run; `charkh gc` then frees its bytes."""
    with open_workspace() as workspace:
        gone = delete_run(workspace.store, run, reason=reason)
    if json:
        write_json(gone)
        return
    write_note(f"deleted run:{gone.id}")


def _write_found(text: str, order: str, limit: int, columns: str, *, json: bool) -> None:
    fields = [key.field for key in parse_order(columns)] if columns else []
    with open_workspace() as workspace:
        found = search_runs(workspace.store, text, order=order, limit=limit)
        aspects = any(field.family in {"low", "high"} for field in fields)
        known = [with_segments(workspace.store, run, ()) if aspects else Known(run=run) for run in found]
    if json:
        write_json(found)
        return
    heads = [str(field) for field in fields] if fields else ["params", "metrics"]
    rows: list[list[object]] = []
    for each in known:
        run = each.run
        cells = (
            [_shown(each.lookup(field)) for field in fields]
            if fields
            else [_few(run.params), _few(_logged(run.metrics))]
        )
        rows.append([run.id[:SHORT_ID], run.name, run.status, shown_time(run.created), _duration(run), *cells])
    write_table(["run", "name", "status", "created", "took", *heads], rows, empty="no run yet")


def _write_run(run: Run, command: Sequence[str]) -> None:
    known = run.provenance
    pairs: list[tuple[str, object]] = [
        ("run", run.subject),
        ("name", run.name),
        ("status", run.status + (f": {run.error}" if run.error else "")),
        ("created", f"{shown_time(run.created)} by {run.actor}"),
        ("took", _duration(run)),
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
        write_pairs((f"  {name}", _number(value) if isinstance(value, float) else value) for name, value in pairs)


def _logged(metrics: dict[str, float]) -> dict[str, float]:
    """The metrics that the code logged, without what was measured of the machine."""
    return {name: value for name, value in metrics.items() if not name.endswith(f"[{SYSTEM_CONTEXT}]")}


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
    shown = [[name, _number(last), points, step] for name, last, points, step in rows]
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


def _sorted(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (not row.differs, row.name))


def _few(values: dict[str, Any]) -> str:
    chosen = [f"{name}={_shown(value)}" for name, value in list(values.items())[:FEW]]
    return ", ".join(chosen) + (f" +{len(values) - FEW}" if len(values) > FEW else "")


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, LargeValue):
        return shown_size(value.file.size)
    if isinstance(value, float):
        return _number(value)
    return value if isinstance(value, str) else json_text(value)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if math.isfinite(value) else str(value)


def _duration(run: Run) -> str:
    seconds = run.seconds
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {rest:02d}s" if minutes else f"{seconds:.1f}s"


app.command("replay")(replay)
app.command("media")(media)
app.command("console")(console)
