"""`logged-models/*`: the models that runs leave before anybody registers them."""

from typing import Any
from urllib.parse import quote

from charkh.bridges.mlflow.artifacts import kind_of, safe_path
from charkh.bridges.mlflow.call import Call, Route, Streamed
from charkh.bridges.mlflow.envelope import MISSING, MlflowError, invalid
from charkh.bridges.mlflow.experiments import known_experiment, require_active
from charkh.bridges.mlflow.locations import Location, children, files_at, logged_root
from charkh.bridges.mlflow.registrations import MODEL_VERSIONS_TAG, registrations, registrations_text
from charkh.bridges.mlflow.registry_shapes import Fields, checked_pair, logged_fields
from charkh.bridges.mlflow.sources import root_of
from charkh.core.errors import CharkhError
from charkh.models.log import change_logged, delete_logged, log_model
from charkh.models.logged import ID_PATTERN, LoggedModel, LoggedStatus
from charkh.models.logged_index import LoggedById
from charkh.runs.projects import find_project

MAX_NAME = 500
MAX_TEXT = 1_000_000
MAX_ITEMS = 1000
_BAD = ("/", ":", ".", "%", '"', "'")
_STATUSES: dict[str, LoggedStatus] = {
    "LOGGED_MODEL_PENDING": "pending",
    "LOGGED_MODEL_READY": "ready",
    "LOGGED_MODEL_UPLOAD_FAILED": "failed",
    "1": "pending",
    "2": "ready",
    "3": "failed",
}


def create(call: Call) -> Fields:
    """Log a model in an experiment that is not deleted."""
    project = known_experiment(call, call.text("experiment_id"))
    require_active(project)
    name = call.text("name", "")
    if name and (any(each in name for each in _BAD) or len(name) > MAX_NAME or not name.isprintable()):
        raise invalid(
            f"Invalid model name ({name[:200]!r}) provided. Model name must be a non-empty string and cannot contain "
            f"the following characters: {_BAD}"
        )
    run = call.text("source_run_id", "")
    model = log_model(
        call.store,
        name or f"model-{call.store.clock.now() % 1_000_000:06}",
        project=project.id,
        run=run,
        type=call.text("model_type", ""),
        params=_pairs(call, "params"),
        tags=_pairs(call, "tags"),
    )
    return {"model": logged_fields(call.store, model)}


def get(call: Call) -> Fields:
    """A logged model by its id; a deleted one where that is allowed."""
    model = model_of(call, deleted=call.truth("allow_deleted"))
    return {"model": logged_fields(call.store, model)}


def finalize(call: Call) -> Fields:
    """Say that a logged model is whole, or that it failed."""
    model = model_of(call)
    status = _STATUSES.get(str(call.body.get("status", "")))
    if status is None:
        raise invalid(f"Invalid value for parameter 'status' supplied: {str(call.body.get('status'))[:100]}")
    changed = change_logged(call.store, model.id, status=status, message=call.text("status_message", ""))
    return {"model": logged_fields(call.store, changed)}


def delete(call: Call) -> Fields:
    """Delete a logged model; versions that were registered from it stay."""
    delete_logged(call.store, model_of(call).id)
    return {}


def set_tags(call: Call) -> Fields:
    """Set tags of a logged model."""
    model, tags = model_of(call), _pairs(call, "tags")
    if MODEL_VERSIONS_TAG in tags:
        # The server has written it when the version was made, and clients write it once more.
        tags[MODEL_VERSIONS_TAG] = registrations_text(registrations(tags[MODEL_VERSIONS_TAG]))
    change_logged(call.store, model.id, tags=tags)
    return {}


def delete_tag(call: Call) -> Fields:
    """Remove a tag of a logged model."""
    model, key = model_of(call), call.path_values["key"]
    if key not in model.tags and key not in model.long_tags:
        raise MlflowError(MISSING, f"No tag with key {key!r} found for model with ID {model.id!r}.")
    change_logged(call.store, model.id, tags={key: None})
    return {}


def log_params(call: Call) -> Fields:
    """Add params to a logged model; one that is there keeps its value."""
    model = model_of(call)
    change_logged(call.store, model.id, params=_pairs(call, "params"))
    return {}


def list_artifacts(call: Call) -> Fields:
    """The files and folders directly below a folder of a logged model."""
    model = model_of(call)
    path = safe_path(call.text("artifact_directory_path", ""))
    root = logged_root(model.made.project, model.id, root_of(call.store, model.made.project))
    found = children(files_at(call.store, Location("logged", model.id, "")), path)
    answer: Fields = {"root_uri": root}
    if found:
        answer["files"] = [
            {"path": each, "is_dir": size is None, **({} if size is None else {"file_size": size})}
            for each, size in found
        ]
    return answer


def get_artifact(call: Call) -> Streamed:
    """The content of a file of a logged model."""
    model, path = model_of(call), safe_path(call.text("artifact_file_path"))
    files = files_at(call.store, Location("logged", model.id, path))
    file = next((each.file for each in files if each.path == path), None)
    if file is None:
        raise MlflowError(MISSING, f"No such artifact: '{path}'")
    name = path.rpartition("/")[2]
    return Streamed(
        pieces=call.store.vault.read(file),
        length=file.size,
        kind=kind_of(name),
        headers=(("content-disposition", f"attachment; filename*=UTF-8''{quote(name)}"),),
    )


def model_of(call: Call, *, deleted: bool = False) -> LoggedModel:
    """The logged model that the path names, once the caller may see its project.

    Raises:
        MlflowError: there is none, or it is deleted.
    """
    identifier = call.path_values["model_id"]
    model = call.store.queries.ask(LoggedById(logged=identifier)) if ID_PATTERN.fullmatch(identifier) else None
    if model is None or (model.deleted is not None and not deleted):
        raise MlflowError(MISSING, f"Logged model with ID '{identifier[:100]}' not found.")
    call.permit(project_name(call, model.made.project))
    return model


def project_name(call: Call, project: str) -> str:
    """The name of a project by its id; empty where nobody knows it."""
    try:
        return find_project(call.store, project or "0").name
    except CharkhError:
        return ""


def _pairs(call: Call, field: str) -> dict[str, str]:
    items = call.items(field)
    if len(items) > MAX_ITEMS:
        raise invalid(f"'{field}' has more than {MAX_ITEMS} entries.")
    found: dict[str, str] = {}
    for item in items:
        key, value = item.get("key"), item.get("value", "")
        if not isinstance(key, str) or not isinstance(value, str):
            raise invalid(f"Invalid value for parameter '{field}' supplied: keys and values are texts.")
        key, value = checked_pair(key, value, MAX_TEXT)
        found[key] = value
    return found


_BASE = "/mlflow/logged-models"
_ONE: Any = f"{_BASE}/{{model_id}}"
ROUTES = (
    Route("POST", _BASE, create, "writer"),
    Route("GET", _ONE, get, "reader"),
    Route("PATCH", _ONE, finalize, "writer"),
    Route("DELETE", _ONE, delete, "writer"),
    Route("PATCH", f"{_ONE}/tags", set_tags, "writer"),
    Route("DELETE", f"{_ONE}/tags/{{key...}}", delete_tag, "writer"),
    Route("POST", f"{_ONE}/params", log_params, "writer"),
    Route("GET", f"{_ONE}/artifacts/directories", list_artifacts, "reader"),
    Route("GET", f"{_ONE}/artifacts/files", get_artifact, "reader"),
)
