"""The data and models that a run says it used."""

import json
from typing import Any

from charkh.bridges.mlflow.call import Call, Route, as_fields, as_items
from charkh.bridges.mlflow.envelope import MlflowError, invalid
from charkh.bridges.mlflow.experiments import visible_experiments
from charkh.bridges.mlflow.run_shape import CONTEXT
from charkh.bridges.mlflow.runs import record, run_id
from charkh.bridges.mlflow.service import no_run
from charkh.bridges.mlflow.validation import check_run_id, too_long
from charkh.core.errors import CharkhError
from charkh.core.events import Draft
from charkh.datasets.find import find as find_version
from charkh.models.log import link_logged
from charkh.ports.store import Store
from charkh.runs.inputs import InputsInProjects, InputsOfRuns, input_draft

MAX_NAME = 500
MAX_DIGEST = 36
MAX_SCHEMA = 1_048_575
MAX_SOURCE = 65_535
MAX_PROFILE = 16_777_215
MAX_TAG_KEY = 255
MAX_TAG_VALUE = 500
MAX_SUMMARIES = 1000
MAX_EXPERIMENTS = 20


def log_inputs(call: Call) -> None:
    """Say which data and which models a run used; of one name and digest the first word stays."""
    run = run_id(call)
    check_run_id(run)
    state = call.service.state(run)
    call.permit(state.project, no_run(state.id))
    call.service.active(state.id)
    known = {(each.name, each.digest) for each in call.store.queries.ask(InputsOfRuns(runs=(run,))).get(run, ())}
    drafts: list[Draft] = []
    for each in call.items("datasets"):
        draft = _draft(call.store, run, each)
        name = (draft.body.name, draft.body.digest)
        if name not in known:
            known.add(name)
            drafts.append(draft)
    if drafts:
        record(call.store, *drafts)
    models = [each.get("model_id") for each in call.items("models")]
    if models:
        link_logged(call.store, run, {str(each): 0 for each in models if each}, "input")
    call.service.recorder.touch(run)


def search_datasets(call: Call) -> dict[str, Any]:
    """The data that the runs of some experiments used: what MLflow's pages offer to filter by."""
    wanted = set(call.texts("experiment_ids"))
    if not wanted:
        raise invalid("SearchDatasets request must specify at least one experiment_id.")
    if len(wanted) > MAX_EXPERIMENTS:
        raise invalid(
            f"SearchDatasets request cannot specify more than {MAX_EXPERIMENTS} experiment_ids."
            f" Received {len(wanted)} experiment_ids."
        )
    visible = tuple(sorted(wanted & {each.id for each in visible_experiments(call, deleted=None)}))
    found = call.store.queries.ask(InputsInProjects(projects=visible, limit=MAX_SUMMARIES))
    return {
        "dataset_summaries": [
            {
                "experiment_id": each.project,
                "name": each.name,
                "digest": each.digest,
                **({"context": each.context} if each.context else {}),
            }
            for each in found
        ]
    }


def _draft(store: Store, run: str, fields: dict[str, Any]) -> Draft:
    data = as_fields(fields.get("dataset"))
    if data is None:
        raise MlflowError("INTERNAL_ERROR", "Dataset input must have a dataset associated with it.")
    texts = {name: _text(data, name, limit) for name, limit in _LIMITS.items()}
    for name in ("name", "digest", "source_type", "source"):
        if not texts[name]:
            raise invalid(f"Missing value for required parameter 'datasets.dataset.{name}'.")
    tags: dict[str, str] = {}
    for tag in map(as_fields, as_items(fields.get("tags"))):
        if tag is None or not tag.get("key"):
            raise invalid("InputTag key cannot be None")
        tags[_text(tag, "key", MAX_TAG_KEY)] = _text(tag, "value", MAX_TAG_VALUE)
    return input_draft(store, run, context=tags.pop(CONTEXT, ""), tags=tags, version=_version(store, texts), **texts)


_LIMITS = {
    "name": MAX_NAME,
    "digest": MAX_DIGEST,
    "source_type": MAX_NAME,
    "source": MAX_SOURCE,
    "schema": MAX_SCHEMA,
    "profile": MAX_PROFILE,
}


def _text(fields: dict[str, Any], name: str, limit: int) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise invalid(f"Invalid value for parameter '{name}' supplied: it is no text.")
    if len(value) > limit:
        raise too_long(name, limit)
    return value


def _version(store: Store, texts: dict[str, str]) -> str:
    """The dataset version of this store that the source names, such as `charkh:flights@3`; empty if there is none."""
    source = texts["source"]
    try:
        decoded: Any = json.loads(source)
    except (ValueError, RecursionError):
        decoded = source
    named = as_fields(decoded)
    uri: Any = decoded if named is None else named.get("uri") or named.get("url")
    if not isinstance(uri, str) or not uri.startswith("charkh:"):
        return ""
    try:
        return find_version(store, uri.removeprefix("charkh:").lstrip("/")).subject
    except CharkhError:
        # A name that this store does not know is a name all the same.
        return ""


ROUTES = (
    Route("POST", "/mlflow/runs/log-inputs", log_inputs, "writer"),
    Route("POST", "/mlflow/experiments/search-datasets", search_datasets, "reader"),
)
