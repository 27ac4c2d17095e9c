"""The history of a metric, of one run or of several at once."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from charkh.bridges.mlflow.call import Call, Route
from charkh.bridges.mlflow.envelope import invalid, number
from charkh.bridges.mlflow.pages import more, start_of, token_of
from charkh.bridges.mlflow.runs import run_id
from charkh.bridges.mlflow.service import no_run
from charkh.ports.store import Store
from charkh.runs.history import Curve, metric_histories

MAX_PAGE = 25_000
MAX_RUNS = 100
MAX_INTERVAL = 2500
"""Points of one run in an answer that is thinned out, as MLflow's pages ask for them."""


class Shown(NamedTuple):
    """A point in MLflow's order: by time, then step, then value."""

    timestamp: int
    step: int
    value: float


def history(call: Call) -> dict[str, Any]:
    """The points of one metric of a run."""
    run, key = run_id(call), call.text("metric_key")
    call.permit(call.service.state(run).project, no_run(run))
    points = points_of(call.store, run, key)
    token, size = call.text("page_token", ""), call.whole("max_results", 0)
    start = start_of(token)
    if size < 0 or size > MAX_PAGE:
        raise invalid(f"Invalid value {size} for parameter 'max_results' supplied: It must be between 1 and {MAX_PAGE}")
    end = start + size if size else len(points)
    if not points[start:end]:
        return {}
    return {"metrics": _shapes(key, points[start:end]), **more(token_of(end) if end < len(points) else "")}


def bulk(call: Call) -> dict[str, Any]:
    """The points of one metric of several runs, one run after the other."""
    runs = call.texts("run_id")
    if not runs:
        raise invalid("GetMetricHistoryBulk request must specify at least one run_id.")
    if len(runs) > MAX_RUNS:
        raise invalid(
            f"GetMetricHistoryBulk request cannot specify more than {MAX_RUNS} run_ids. Received {len(runs)} run_ids."
        )
    if not call.has("metric_key"):
        raise invalid("GetMetricHistoryBulk request must specify a metric_key.")
    key, room = call.text("metric_key"), min(max(0, call.whole("max_results", MAX_PAGE)), MAX_PAGE)
    found: list[dict[str, Any]] = []
    for run in sorted(runs):
        call.permit(call.service.state(run).project, no_run(run))
        points = points_of(call.store, run, key)[: room - len(found)]
        found += [{**each, "run_id": run} for each in _shapes(key, points)]
    return {"metrics": found}


def interval(call: Call) -> dict[str, Any]:
    """The points of one metric of several runs, thinned out evenly by step; the first and last steps stay."""
    runs, key = call.texts("run_ids"), call.text("metric_key")
    if not runs:
        raise invalid("Missing value for required parameter 'run_ids'.")
    if len(runs) > MAX_RUNS:
        raise invalid(
            f"GetMetricHistoryBulkInterval request must specify at most {MAX_RUNS} run_ids. Received {len(runs)}"
            " run_ids."
        )
    most = call.whole("max_results", MAX_INTERVAL)
    if not 1 <= most <= MAX_INTERVAL:
        raise invalid(f"max_results must be between 1 and {MAX_INTERVAL}.")
    first, last = _bounds(call)
    histories: dict[str, list[Shown]] = {}
    for run in runs:
        call.permit(call.service.state(run).project, no_run(run))
        points = points_of(call.store, run, key)
        histories[run] = [each for each in points if first is None or last is None or first <= each.step <= last]
    steps = sampled_steps({each.step for points in histories.values() for each in points}, most)
    for points in histories.values():
        # Where a run begins and ends is always shown.
        own = [each.step for each in points]
        steps |= {min(own), max(own)} if own else set[int]()
    found: list[dict[str, Any]] = []
    for run in sorted(histories):
        kept = sorted((each for each in histories[run] if each.step in steps), key=lambda each: (each.step, *each))
        found += [{**each, "run_id": run} for each in _shapes(key, kept)]
    return {"metrics": found}


def points_of(store: Store, run: str, key: str) -> list[Shown]:
    """Every point of a metric, whoever logged it, in MLflow's order; a context is a part of the name: `loss[val]`."""
    name, bracket, rest = key.partition("[")
    curves = metric_histories(store, run, key)
    if not curves and bracket and rest.endswith("]"):
        curves = metric_histories(store, run, name, context=rest[:-1])
    return _merged(curves)


def sampled_steps(steps: Iterable[int], most: int) -> set[int]:
    """At most so many of these steps, evenly spread from the first on."""
    ordered = sorted(steps)
    if len(ordered) <= most:
        return set(ordered)
    return {ordered[place * len(ordered) // most] for place in range(most)}


def _merged(curves: Sequence[Curve]) -> list[Shown]:
    if not curves:
        return []
    import numpy as np  # a server that is asked for no history does not load it

    times = np.rint(np.concatenate([curve.times for curve in curves]) * 1000).astype(np.int64)
    steps = np.concatenate([curve.steps for curve in curves])
    values = np.concatenate([curve.values for curve in curves])
    order = np.lexsort((values, steps, times))
    columns = (times[order].tolist(), steps[order].tolist(), values[order].tolist())
    return [Shown(*each) for each in zip(*columns, strict=True)]


def _shapes(key: str, points: Sequence[Shown]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": number(value), "timestamp": timestamp, "step": step} for timestamp, step, value in points
    ]


def _bounds(call: Call) -> tuple[int | None, int | None]:
    if not call.has("start_step") and not call.has("end_step"):
        return None, None
    if not call.has("start_step") or not call.has("end_step"):
        raise invalid("If either start step or end step are specified, both must be specified.")
    first, last = call.whole("start_step"), call.whole("end_step")
    if first > last:
        raise invalid(f"end_step must be greater than start_step. Found start_step={first} and end_step={last}.")
    return first, last


ROUTES = (
    Route("GET", "/mlflow/metrics/get-history", history, "reader"),
    Route("GET", "/mlflow/metrics/get-history-bulk", bulk, "reader"),
    Route("GET", "/mlflow/metrics/get-history-bulk-interval", interval, "reader"),
)
