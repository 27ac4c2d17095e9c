"""A run's life for an MLflow client: create, get, update, delete, restore, and search."""

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from charkh.bridges.mlflow.call import Call, Route, bad
from charkh.bridges.mlflow.envelope import invalid
from charkh.bridges.mlflow.experiments import known_experiment, require_active, results, view_of, visible_experiments
from charkh.bridges.mlflow.pages import more, start_of, token_of
from charkh.bridges.mlflow.run_filters import run_condition, run_order
from charkh.bridges.mlflow.run_names import random_name
from charkh.bridges.mlflow.run_shape import PARENT, RUN_NAME, STATUSES, fresh_shape, info_shape, run_shapes
from charkh.bridges.mlflow.service import RunState, no_run
from charkh.bridges.mlflow.validation import MAX_SECONDS, read_tag
from charkh.core.clock import seconds
from charkh.core.errors import Conflict, NotFound
from charkh.core.events import Draft
from charkh.core.ids import ID_PATTERN, new_id
from charkh.ports.store import Store
from charkh.runs.delete import delete_run
from charkh.runs.facts import ended_draft, started_draft, tagged_draft
from charkh.runs.find import by_id
from charkh.runs.index import RunsByIds
from charkh.runs.live import open_segments
from charkh.runs.restore import restore_run
from charkh.runs.run import (
    MAX_NAME,
    RENAMED_KIND,
    SCHEDULED,
    STARTED_KIND,
    EndStatus,
    Run,
    RunRenamed,
    RunStarted,
    bounded_text,
)
from charkh.runs.search import find_runs

DEFAULT_RESULTS = 1000
NUMBERS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
"""The protocol's own numbers for the statuses."""

ENDS: Mapping[str, EndStatus] = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "killed"}


def create(call: Call) -> dict[str, Any]:
    """Begin a run in an experiment that is not deleted."""
    project = known_experiment(call, call.text("experiment_id", "") or "0")
    require_active(project)
    tags = dict(read_tag(tag, f"tags[{place}]") for place, tag in enumerate(call.items("tags")))
    name, named = call.text("run_name", ""), tags.pop(RUN_NAME, "")
    if name and named and name != named:
        raise invalid(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values"
            f" (run_name='{name}', mlflow.runName='{named}')."
        )
    run, parent = new_id(), tags.get(PARENT, "")
    if ID_PATTERN.fullmatch(parent):
        del tags[PARENT]
    else:
        parent = ""
    began = started_draft(
        run,
        _bounded(name or named or random_name()),
        "",
        parent,
        "",
        0,
        project="" if project.id == "0" else project.id,
        user=call.text("user_id", ""),
        began=_seconds(call, "start_time"),
    )
    (event,) = call.store.record(began)
    tagged = None
    if tags:
        # Behind it: what a caller may say of a run is judged by the run that is there.
        tagged = tagged_draft(call.store, run, tags, {})
        record(call.store, tagged)
    call.service.begin(run, project)
    shown = Run(
        started=began.body,
        name=began.body.name,
        project=project.id,
        user=began.body.user or event.actor.partition("@")[0],
        over=False,
        status="running",
        created=began.body.began or seconds(event.clock),
        actor=event.actor,
        stamp=event.stamp,
        tags={} if tagged is None else tagged.body.tags,
        large_tags={} if tagged is None else tagged.body.large,
    )
    return {"run": fresh_shape(call.store, shown, project, call.service)}


def get(call: Call) -> dict[str, Any]:
    """A run with everything that is known of it; deleted ones too."""
    run = run_id(call)
    call.permit(call.service.state(run).project, no_run(run))
    return {"run": shape_of(call, run)}


def update(call: Call) -> dict[str, Any]:
    """Say how a run stands, when it ended, or what it is called."""
    state = call.service.state(run_id(call))
    call.permit(state.project, no_run(state.id))
    call.service.active(state.id)
    status, name = _status(call), call.text("run_name", "")
    with state.lock:
        found = call.store.queries.ask(RunsByIds(runs=(state.id,), now=time.time()))
        if not found:
            raise no_run(state.id)
        run = found[0]
        if name:
            run = _renamed(call, run, _bounded(name))
        if status in ENDS:
            run = _end(call, run, ENDS[status])
        elif status == "SCHEDULED" and run.status != SCHEDULED:
            record(call.store, ended_draft(run.id, SCHEDULED, "", 0, moment=_seconds(call, "end_time")), durable=True)
            run = msgspec.structs.replace(run, status=SCHEDULED, over=False, ended=None)
        elif status == "RUNNING":
            run = _go_on(call, run)
        elif not status and call.has("end_time") and run.over:
            run = _end(call, run, ENDS.get(STATUSES[run.status], "finished"))
        state.over = run.over
    return {"run_info": info_shape(run, call.service.projects().get(run.project), call.service)}


def delete(call: Call) -> None:
    """Put a run into the trash."""
    state = call.service.state(run_id(call))
    call.permit(state.project, no_run(state.id))
    if not state.deleted:
        delete_run(call.store, state.id)
        call.service.forget(state.id)


def restore(call: Call) -> None:
    """Take a run out of the trash."""
    state = call.service.state(run_id(call))
    call.permit(state.project, no_run(state.id))
    if state.deleted:
        try:
            restore_run(call.store, state.id)
        except Conflict as error:
            raise invalid(error.message) from error
        call.service.forget(state.id)


def search(call: Call) -> dict[str, Any]:
    """The runs of some experiments that meet a filter, page by page."""
    size = results(call, DEFAULT_RESULTS)
    where, orders = run_condition(call.store, call.text("filter", "")), run_order(call.texts("order_by"))
    start = start_of(call.text("page_token", ""))
    wanted = _experiments(call)
    if not wanted:
        return {"runs": []}
    # Segments before the catalog: one that is sealed in between is met in both, never in neither.
    segments = open_segments(call.store)
    found = find_runs(
        call.store,
        where,
        orders,
        limit=size + 1,
        offset=start,
        deleted=view_of(call, "run_view_type"),
        projects=wanted,
    )
    shown = run_shapes(call.store, call.service, found[:size], segments)
    return {"runs": shown, **more(token_of(start + size) if len(found) > size else "")}


def run_id(call: Call) -> str:
    """The run that a call is about; old clients call the field `run_uuid`.

    Raises:
        MlflowError: none is named.
    """
    return call.text("run_id", "") or call.text("run_uuid", "") or call.text("run_id")


def shape_of(call: Call, run: str) -> dict[str, Any]:
    """One run as clients read it.

    Raises:
        MlflowError: there is none.
    """
    segments = open_segments(call.store)
    try:
        found = by_id(call.store, run)
    except NotFound as error:
        raise no_run(run) from error
    return run_shapes(call.store, call.service, [found], segments)[0]


def record(store: Store, *drafts: Draft, durable: bool = False) -> None:
    """Record facts whose bytes are in the vault."""
    if any(draft.holds for draft in drafts):
        store.vault.flush()
    store.record(*drafts, durable=durable)


def set_run_tags(call: Call, state: RunState, tags: Mapping[str, str | None]) -> None:
    """Set tags of a run, None removing one; the run's name is one of them for MLflow.

    Raises:
        MlflowError: a name cannot be kept.
    """
    plain = dict(tags)
    name = plain.pop(RUN_NAME, None)
    if name:
        body = RunRenamed(run=state.id, name=bounded_text(_bounded(name), "run's name"))
        record(call.store, Draft(kind=RENAMED_KIND, subject=f"run:{state.id}", body=body))
    if not plain:
        return
    with state.lock:
        draft = tagged_draft(
            call.store, state.id, plain, {key: state.tagged[key] for key in plain if key in state.tagged}
        )
        if draft.holds:
            call.store.vault.flush()
        (event,) = call.store.record(draft)
        state.tagged.update(dict.fromkeys(plain, (event.id,)))


def _experiments(call: Call) -> tuple[str, ...]:
    """The experiments that are asked for and may be seen."""
    wanted = call.texts("experiment_ids")
    for each in wanted:
        if not each.isdecimal():
            raise invalid(f"Invalid experiment ID: '{each}'. Experiment ID must be a valid integer.")
    visible = {each.id for each in visible_experiments(call, deleted=None)}
    return tuple(sorted({str(int(each)) for each in wanted} & visible))


def _renamed(call: Call, run: Run, name: str) -> Run:
    if name == run.name:
        return run
    body = RunRenamed(run=run.id, name=bounded_text(name, "run's name"))
    record(call.store, Draft(kind=RENAMED_KIND, subject=run.subject, body=body))
    return msgspec.structs.replace(run, name=body.name)


def _end(call: Call, run: Run, status: EndStatus) -> Run:
    """The run has ended: its points are sealed, and its end outlives the power."""
    moment = _seconds(call, "end_time")
    if run.over and run.status == status and (not moment or moment == run.ended):
        return run
    drafts, drop = call.service.recorder.end(run.id)
    record(call.store, *drafts, ended_draft(run.id, status, "", 0, moment=moment), durable=True)
    drop()
    return msgspec.structs.replace(run, over=True, status=status, ended=moment or time.time())


def _go_on(call: Call, run: Run) -> Run:
    """The run is taken up again, or only says that it lives."""
    if run.over or run.status == SCHEDULED:
        body = RunStarted(run=run.id, name=run.started.name, project=run.started.project)
        record(call.store, Draft(kind=STARTED_KIND, subject=run.subject, body=body))
    call.service.recorder.touch(run.id)
    return msgspec.structs.replace(run, over=False, status="running", ended=None)


def _status(call: Call) -> str:
    value = call.body.get("status")
    if value is None or value == "":
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        value = NUMBERS.get(value, value)
    if not isinstance(value, str) or value not in NUMBERS.values():
        raise bad("status", value)
    return value


def _seconds(call: Call, name: str) -> float:
    moment = call.whole(name, 0) / 1000
    if not 0 <= moment < MAX_SECONDS:
        raise bad(name, call.body.get(name))
    return moment


def _bounded(name: str) -> str:
    if len(name) > MAX_NAME:
        raise invalid(f"'run_name' exceeds the maximum length of {MAX_NAME} characters")
    return name


ROUTES = (
    Route("POST", "/mlflow/runs/create", create, "writer"),
    Route("GET", "/mlflow/runs/get", get, "reader"),
    Route("POST", "/mlflow/runs/update", update, "writer"),
    Route("POST", "/mlflow/runs/delete", delete, "writer"),
    Route("POST", "/mlflow/runs/restore", restore, "writer"),
    Route("POST", "/mlflow/runs/search", search, "reader"),
)
