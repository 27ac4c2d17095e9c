"""What a client records into a run: metrics, params and tags, one at a time or in batches."""

from collections.abc import Iterable, Sequence
from typing import Any

from charkh.bridges.mlflow.call import Call, Route
from charkh.bridges.mlflow.envelope import MISSING, MlflowError, invalid
from charkh.bridges.mlflow.run_shape import PARENT, RUN_NAME, run_tags
from charkh.bridges.mlflow.runs import record, run_id, set_run_tags
from charkh.bridges.mlflow.service import RunState, no_run, texts_of
from charkh.bridges.mlflow.validation import (
    MAX_BATCH_BYTES,
    Metric,
    check_batch,
    check_run_id,
    check_unique,
    read_metric,
    read_param,
    read_tag,
)
from charkh.models.log import measure
from charkh.models.logged import Measurement
from charkh.runs.facts import params_draft
from charkh.runs.find import by_id
from charkh.runs.recorder import Point
from charkh.runs.values import plain_params


def log_metric(call: Call) -> None:
    """Log one point."""
    run = run_id(call)
    metric = read_metric(call.body, named=True)
    state = _writable(call, run)
    _log(call, state, [metric])


def log_param(call: Call) -> None:
    """Log a param; it may be said again, and not changed."""
    state = _writable(call, run_id(call))
    key, value = read_param(call.body)
    with state.lock:
        kept = _kept(call, {key: value})
        known = state.params.get(key)
        if known is not None and known != kept[key]:
            raise invalid(
                f"Changing param values is not allowed. Param with key='{key}' was already logged with value='{known}'"
                f" for run ID='{state.id}'. Attempted logging new value '{value}'."
            )
        _keep_params(call, state, kept)


def log_batch(call: Call) -> None:
    """Log many: params, then metrics, then tags."""
    size = int(call.headers.get("content-length", "0") or "0")
    if size > MAX_BATCH_BYTES:
        raise invalid(
            f"Batched logging API requests must be at most {MAX_BATCH_BYTES} bytes, got a request of size {size}."
        )
    run = run_id(call)
    check_run_id(run)
    metrics, params, tags = call.items("metrics"), call.items("params"), call.items("tags")
    points = [read_metric(each, f"metrics[{place}]") for place, each in enumerate(metrics)]
    chosen = [read_param(each, f"params[{place}]") for place, each in enumerate(params)]
    labels = dict(read_tag(each, f"tags[{place}]") for place, each in enumerate(tags))
    check_batch(metrics, params, tags)
    check_unique([key for key, _ in chosen])
    state = _writable(call, run)
    if chosen:
        with state.lock:
            kept = _kept(call, dict(chosen))
            changed = [
                {"key": key, "old_value": state.params[key], "new_value": value}
                for key, value in chosen
                if key in state.params and state.params[key] != kept[key]
            ]
            if changed:
                raise invalid(
                    f"Changing param values is not allowed. Params were already logged='{changed}' for run"
                    f" ID='{state.id}'."
                )
            _keep_params(call, state, kept)
    if points:
        _log(call, state, points)
    if labels:
        set_run_tags(call, state, labels)


def set_tag(call: Call) -> None:
    """Set a tag; the latest value stays."""
    state = _writable(call, run_id(call))
    key, value = read_tag(call.body)
    set_run_tags(call, state, {key: value})


def delete_tag(call: Call) -> None:
    """Remove a tag."""
    state, key = _writable(call, run_id(call)), call.text("key")
    if key not in run_tags(call.store, by_id(call.store, state.id)) or key in {RUN_NAME, PARENT}:
        raise MlflowError(MISSING, f"No tag with name: {key} in run with id {state.id}")
    set_run_tags(call, state, {key: None})


def _writable(call: Call, run: str) -> RunState:
    state = call.service.state(run)
    call.permit(state.project, no_run(state.id))
    call.service.active(state.id)
    return state


def _log(call: Call, state: RunState, metrics: Sequence[Metric]) -> None:
    call.service.recorder.log(state.id, points_of(metrics))
    measured: dict[str, list[Measurement]] = {}
    for each in metrics:
        if each.model_id:
            value = Measurement(
                key=each.key,
                value=each.value,
                time=each.timestamp,
                step=each.step,
                dataset=each.dataset_name,
                digest=each.dataset_digest,
            )
            measured.setdefault(each.model_id, []).append(value)
    if measured:
        measure(call.store, state.id, measured)


def points_of(metrics: Iterable[Metric]) -> list[Point]:
    """Points as records: neighbours of one moment and step, each of another metric, in one."""
    points: list[Point] = []
    moment, step = -1, 0
    for each in metrics:
        if each.timestamp != moment or each.step != step or each.key in points[-1][2]:
            moment, step = each.timestamp, each.step
            points.append((moment / 1000, step, {}))
        points[-1][2][each.key] = each.value
    return points


def _kept(call: Call, params: dict[str, str]) -> dict[str, str]:
    """Params as the store keeps them: without credentials."""
    plain = plain_params(params)
    kept: dict[str, Any] = {name: plain.values.get(name, params[name]) for name in params}
    return texts_of(call.store, kept)


def _keep_params(call: Call, state: RunState, kept: dict[str, str]) -> None:
    new = {key: value for key, value in kept.items() if key not in state.params}
    if new:
        record(call.store, params_draft(call.store, state.id, new))
        state.params.update(new)
    call.service.recorder.touch(state.id)


def _is_known(call: Call) -> bool:
    """Whether the run's state is in memory, so that nothing has to be asked for."""
    run = call.body.get("run_id") or call.body.get("run_uuid")
    return isinstance(run, str) and call.service.known(run) is not None and not call.body.get("model_id")


ROUTES = (
    Route("POST", "/mlflow/runs/log-metric", log_metric, "writer", inline=_is_known),
    Route("POST", "/mlflow/runs/log-parameter", log_param, "writer", inline=_is_known),
    Route("POST", "/mlflow/runs/log-batch", log_batch, "writer"),
    Route("POST", "/mlflow/runs/set-tag", set_tag, "writer", inline=_is_known),
    Route("POST", "/mlflow/runs/delete-tag", delete_tag, "writer"),
)
