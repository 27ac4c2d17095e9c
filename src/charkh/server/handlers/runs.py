"""`/api/runs`: search, one run, its params, metrics and files; what differs between runs; the trash, tags and names."""

from urllib.parse import quote

import msgspec
from litestar import get, post
from litestar.datastructures import State
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import Stream

from charkh.core.errors import Invalid, NotFound
from charkh.runs.compare import Comparison, compare
from charkh.runs.delete import delete_run
from charkh.runs.find import find
from charkh.runs.groups import Group, group_runs
from charkh.runs.history import Point, metric_history, metric_names
from charkh.runs.index import ArtifactsOf, ParamConflicts
from charkh.runs.query_parser import parse_fields
from charkh.runs.rename import rename_run
from charkh.runs.restore import restore_run
from charkh.runs.run import Artifact, ParamConflict, Run, SeriesSummary
from charkh.runs.search import RunPage, search, search_page
from charkh.runs.tag import tag
from charkh.runs.thinning import thin
from charkh.server.handlers.opened import limited, workspace_of
from charkh.server.policy import Policy

FEWEST_POINTS = 4
READ = {"policy": Policy.READ, "scoped": True}
WRITE = {"policy": Policy.WRITE, "scoped": True}


class Params(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen, and what was given besides."""

    params: dict[str, object]
    conflicts: tuple[ParamConflict, ...]


class Deletion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a run goes into the trash."""

    reason: str = ""


class Tags(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tags by name; null removes one."""

    tags: dict[str, str | None]


class Name(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name."""

    name: str


@get("/api/runs", opt=READ, sync_to_thread=True)
def list_runs(
    state: State,
    where: FromQuery[str] = "",
    order: FromQuery[str] = "",
    limit: FromQuery[int] = 100,
    offset: FromQuery[int] = 0,
    deleted: FromQuery[bool] = False,
) -> tuple[Run, ...]:
    """Runs that meet a condition such as `params.rate >= 0.1 and metrics.auc > 0.7`, newest first."""
    store = workspace_of(state).store
    return search(store, where, order=order, limit=limited(limit), offset=max(0, offset), deleted=deleted)


@get("/api/runs/page", opt=READ, sync_to_thread=True)
def page_runs(
    state: State,
    where: FromQuery[str] = "",
    order: FromQuery[str] = "",
    limit: FromQuery[int] = 100,
    token: FromQuery[str] = "",
) -> RunPage:
    """The same page by page: `next` of an answer is the token of the following one; runs that begin move nothing."""
    return search_page(workspace_of(state).store, where, order=order, limit=limited(limit), token=token)


@get("/api/runs/run", opt=READ, sync_to_thread=True)
def show_run(state: State, ref: FromQuery[str]) -> Run:
    """The run that a reference means."""
    return find(workspace_of(state).store, ref)


@get("/api/runs/history", opt=READ, sync_to_thread=True)
def show_history(state: State, ref: FromQuery[str], key: FromQuery[str], context: FromQuery[str] = "") -> list[Point]:
    """The points of one metric: step, time, value and attempt."""
    store = workspace_of(state).store
    return metric_history(store, find(store, ref).id, key, context=context).points()


@get("/api/runs/compare", opt=READ, sync_to_thread=True)
def compare_runs(state: State, runs: FromQuery[str]) -> Comparison:
    """What differs between runs that are named by commas: params, metrics, code, environment and data."""
    refs = [each for each in runs.split(",") if each]
    if not refs:
        raise Invalid("no run is named", code="run.compare", hint="Write runs=1f3a,2b4c.")
    return compare(workspace_of(state).store, refs)


@get("/api/runs/groups", opt=READ, sync_to_thread=True)
def list_groups(
    state: State,
    metric: FromQuery[str],
    where: FromQuery[str] = "",
    by: FromQuery[str] = "",
    seed: FromQuery[str] = "",
    limit: FromQuery[int] = 10_000,
) -> tuple[Group, ...]:
    """Mean, deviation and interval of metrics (by commas) over runs that differ by their seed alone, or by `by`."""
    return group_runs(
        workspace_of(state).store,
        where,
        metrics=parse_fields(metric),
        by=parse_fields(by, family="params") if by else (),
        seeds=[each for each in seed.split(",") if each],
        limit=max(1, min(limit, 100_000)),
    )


@get("/api/runs/{run:str}", opt=READ, sync_to_thread=True)
def show_one(state: State, run: FromPath[str]) -> Run:
    """One run, by its id or the beginning of it."""
    return find(workspace_of(state).store, run)


@get("/api/runs/{run:str}/params", opt=READ, sync_to_thread=True)
def show_params(state: State, run: FromPath[str]) -> Params:
    """What was chosen; of several values of one param the first, and the others as conflicts."""
    store = workspace_of(state).store
    found = find(store, run)
    return Params(params=found.params, conflicts=store.queries.ask(ParamConflicts(run=found.id)))


@get("/api/runs/{run:str}/metrics", opt=READ, sync_to_thread=True)
def list_metrics(state: State, run: FromPath[str]) -> tuple[SeriesSummary, ...]:
    """What each segment of the run has of each metric: count, steps, last, least, greatest and first value."""
    store = workspace_of(state).store
    return metric_names(store, find(store, run).id)


@get("/api/runs/{run:str}/metrics/{key:path}", opt=READ, sync_to_thread=True)
def show_metric(
    state: State, run: FromPath[str], key: FromPath[str], context: FromQuery[str] = "", points: FromQuery[int] = 0
) -> list[Point]:
    """The points of one metric; with `points`, at most so many, of which no spike is missing."""
    store = workspace_of(state).store
    curve = metric_history(store, find(store, run).id, key.removeprefix("/"), context=context)
    return (thin(curve, max(FEWEST_POINTS, points)) if points else curve).points()


@get("/api/runs/{run:str}/artifacts", opt=READ, sync_to_thread=True)
def list_artifacts(state: State, run: FromPath[str]) -> tuple[Artifact, ...]:
    """The files that the run left."""
    store = workspace_of(state).store
    return store.queries.ask(ArtifactsOf(run=find(store, run).id))


@get("/api/runs/{run:str}/artifacts/{path:path}", opt=READ, sync_to_thread=True)
def read_artifact(state: State, run: FromPath[str], path: FromPath[str]) -> Stream:
    """The content of one file, to be saved and never shown by a browser."""
    store = workspace_of(state).store
    found = find(store, run)
    wanted = path.removeprefix("/")
    chosen = next((each for each in store.queries.ask(ArtifactsOf(run=found.id)) if each.path == wanted), None)
    if chosen is None:
        raise NotFound(f"run {found.id} left no file {wanted!r}", code="run.no_artifact")
    name = quote(wanted.rpartition("/")[2], safe="")
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "Content-Length": str(chosen.file.size),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
    }
    return Stream(store.vault.read(chosen.file), media_type="application/octet-stream", headers=headers)


@post("/api/runs/{run:str}/delete", opt=WRITE, sync_to_thread=True, status_code=200)
def delete(state: State, run: FromPath[str], data: JSONBody[Deletion]) -> Run:
    """Put a run into the trash."""
    return delete_run(workspace_of(state).store, run, reason=data.reason)


@post("/api/runs/{run:str}/restore", opt=WRITE, sync_to_thread=True, status_code=200)
def restore(state: State, run: FromPath[str]) -> Run:
    """Take a run out of the trash."""
    return restore_run(workspace_of(state).store, run)


@post("/api/runs/{run:str}/tags", opt=WRITE, sync_to_thread=True, status_code=200)
def set_tags(state: State, run: FromPath[str], data: JSONBody[Tags]) -> Run:
    """Set or remove tags."""
    return tag(workspace_of(state).store, run, data.tags)


@post("/api/runs/{run:str}/name", opt=WRITE, sync_to_thread=True, status_code=200)
def rename(state: State, run: FromPath[str], data: JSONBody[Name]) -> Run:
    """Give a run another name."""
    return rename_run(workspace_of(state).store, run, data.name)


HANDLERS = (
    list_runs,
    page_runs,
    show_run,
    show_history,
    compare_runs,
    list_groups,
    show_one,
    show_params,
    list_metrics,
    show_metric,
    list_artifacts,
    read_artifact,
    delete,
    restore,
    set_tags,
    rename,
)
