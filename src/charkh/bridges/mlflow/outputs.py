"""`runs/outputs` and `runs/log-model`: which models a run left."""

import json
from typing import Any, cast

from charkh.bridges.mlflow.call import Call, Route, bad
from charkh.bridges.mlflow.envelope import MISSING, MlflowError, invalid
from charkh.bridges.mlflow.registry_shapes import Fields
from charkh.bridges.mlflow.service import no_run
from charkh.models.log import link_logged
from charkh.models.logged import ID_PATTERN
from charkh.models.logged_index import LoggedById
from charkh.runs.find import by_id
from charkh.runs.tag import tag

MAX_OUTPUTS = 1000
HISTORY_TAG = "mlflow.log-model.history"
_MANDATORY = {"artifact_path", "flavors", "utc_time_created", "run_id"}


def log_outputs(call: Call) -> Fields:
    """Say that a run left logged models, each at a step."""
    state = call.service.active(call.text("run_id"))
    call.permit(state.project, no_run(state.id))
    models = call.items("models")
    if len(models) > MAX_OUTPUTS:
        raise invalid(f"'models' has more than {MAX_OUTPUTS} entries.")
    steps: dict[str, int] = {}
    for each in models:
        identifier, step = each.get("model_id"), each.get("step", 0)
        if not isinstance(identifier, str) or not ID_PATTERN.fullmatch(identifier):
            raise bad("model_id", identifier)
        if isinstance(step, str) and step.removeprefix("-").isdecimal() and len(step) < 20:
            step = int(step)
        if not isinstance(step, int) or isinstance(step, bool):
            raise bad("step", step)
        if call.store.queries.ask(LoggedById(logged=identifier)) is None:
            raise MlflowError(MISSING, f"Logged model with ID '{identifier}' not found.")
        steps[identifier] = step
    link_logged(call.store, state.id, steps, "output")
    return {}


def log_model(call: Call) -> Fields:
    """Add what clients of MLflow 2 say of a model to the run's tag that lists them."""
    state = call.service.active(call.text("run_id"))
    call.permit(state.project, no_run(state.id))
    text = call.text("model_json")
    try:
        said: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid(f"Malformed model info. \n {text[:500]} \n is not a valid JSON.") from error
    model = cast(dict[str, Any], said) if isinstance(said, dict) else {}
    if absent := _MANDATORY - set(model):
        raise invalid(f"Model json is missing mandatory fields: {absent}")
    with state.lock:
        run = by_id(call.store, state.id)
        before = run.tags.get(HISTORY_TAG)
        if before is None and HISTORY_TAG in run.large_tags:
            before = b"".join(call.store.vault.read(run.large_tags[HISTORY_TAG])).decode()
        try:
            listed: Any = json.loads(before or "[]")
        except ValueError:
            listed = []
        entries = cast(list[Any], listed) if isinstance(listed, list) else []
        tag(call.store, state.id, {HISTORY_TAG: json.dumps([*entries, model])})
    return {}


ROUTES = (
    Route("POST", "/mlflow/runs/outputs", log_outputs, "writer"),
    Route("POST", "/mlflow/runs/log-model", log_model, "writer"),
)
