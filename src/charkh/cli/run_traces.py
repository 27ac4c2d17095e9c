"""`charkh run traces`: the traces of a run or project, or one of them with its spans."""

from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_line, write_pairs, write_table
from charkh.core.errors import Invalid
from charkh.ports.store import Store
from charkh.runs.find import find
from charkh.runs.projects import find_project, list_projects
from charkh.runs.trace import Span, Trace
from charkh.runs.trace_index import TracesIn
from charkh.runs.traces import find_trace, read_spans, scan_traces


def traces(
    run: Annotated[
        str, typer.Argument(metavar="RUN|TRACE", help="A run, or the id of a trace, which shows its spans.")
    ] = "",
    project: Annotated[str, typer.Option("--project", "-p", help="Only those of this project.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most, the newest first.")] = 50,
    json: AsJson = False,
) -> None:
    """List the traces that belong to a run, or show one with its spans."""
    with open_workspace() as workspace:
        store = workspace.store
        if run.removeprefix("trace:").startswith("tr-"):
            if project:
                raise Invalid("a trace is in one project", code="trace.project", hint="Leave --project out.")
            _write_one(store, find_trace(store, run), json=json)
            return
        query = TracesIn(
            projects=_projects(store, project),
            limit=limit,
            run=find(store, run).id if run else "",
        )
        found = list(scan_traces(store, query))
    if json:
        write_json(found)
        return
    rows = [
        [each.id, each.logged.name, each.logged.state, _took(each), shown_time(each.logged.began_ms / 1000)]
        for each in found
    ]
    write_table(["trace", "name", "state", "took", "began"], rows, empty="there are no traces")


def _projects(store: Store, project: str) -> tuple[str, ...]:
    if project:
        return (find_project(store, project).id,)
    return tuple(each.id for each in list_projects(store, deleted=None))


def _write_one(store: Store, trace: Trace, *, json: bool) -> None:
    spans = read_spans(store, (trace.id,))[trace.id]
    if json:
        write_json({"trace": trace, "spans": spans})
        return
    write_pairs(
        [
            ("trace", trace.id),
            ("name", trace.logged.name),
            ("state", trace.logged.state),
            ("took", _took(trace)),
            ("began", shown_time(trace.logged.began_ms / 1000)),
            *((("runs", ", ".join(trace.runs)),) if trace.runs else ()),
            *((f"{each.kind} {each.name}", each.value) for each in trace.assessments),
        ]
    )
    write_line("")
    rows = [[f"{'  ' * depth}{span.name}", span.status, _span_took(span)] for depth, span in _tree(spans)]
    write_table(["span", "status", "took"], rows, empty="its spans are not here")


def _tree(spans: tuple[Span, ...]) -> list[tuple[int, Span]]:
    """The spans, each below the one that it is a part of; what belongs to one that is not here stands at the top."""
    known = {span.id for span in spans}
    below: dict[str, list[Span]] = {}
    for span in spans:
        below.setdefault(span.parent if span.parent in known and span.parent != span.id else "", []).append(span)
    found: list[tuple[int, Span]] = []
    waiting = [(0, span) for span in reversed(below.pop("", []))]
    while waiting:
        depth, span = waiting.pop()
        found.append((depth, span))
        waiting += [(depth + 1, child) for child in reversed(below.pop(span.id, []))]
    return found


def _took(trace: Trace) -> str:
    return "" if trace.logged.duration_ms is None else f"{trace.logged.duration_ms} ms"


def _span_took(span: Span) -> str:
    return f"{(span.ended_ns - span.began_ns) / 1e6:.1f} ms" if span.ended_ns else ""
