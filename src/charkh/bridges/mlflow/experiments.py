"""MLflow's experiments, which are projects here: make, get, search, rename, tag, delete and restore."""

import re
from typing import Any

from charkh.bridges.mlflow.call import Call, Route
from charkh.bridges.mlflow.clauses import Clause, check_operator, matches, parse_clauses, parse_order
from charkh.bridges.mlflow.envelope import EXISTS, INVALID_STATE, MISSING, MlflowError, invalid
from charkh.bridges.mlflow.pages import more, page
from charkh.bridges.mlflow.run_shape import artifact_root, milliseconds
from charkh.bridges.mlflow.validation import MAX_EXPERIMENT_TAG, MAX_KEY, check_key, too_long
from charkh.core.errors import Conflict
from charkh.runs.project import MAX_PROJECT_NAME, Project
from charkh.runs.projects import (
    create_project,
    delete_project,
    list_projects,
    rename_project,
    restore_project,
    tag_project,
)

MAX_RESULTS = 50_000
DEFAULT_RESULTS = 1000
VIEWS: dict[object, bool | None] = {
    "ACTIVE_ONLY": False,
    "DELETED_ONLY": True,
    "ALL": None,
    1: False,
    2: True,
    3: None,
}
"""What is asked for, as whether it is deleted; numbers are the protocol's own for the words."""

_ID = re.compile(r"-?[0-9]{1,19}")
_TIMES = {"creation_time": "created", "last_update_time": "updated"}
_ATTRIBUTES = {"attributes", "attribute", "attr", ""}
_TAGS = {"tags", "tag"}
_TEXT_OPERATORS = {"=", "!=", "LIKE", "ILIKE"}
_NUMBER_OPERATORS = {"=", "!=", "<", "<=", ">", ">="}


def create(call: Call) -> dict[str, Any]:
    """Make an experiment of a name that none has, deleted ones included."""
    name, location = call.text("name"), call.text("artifact_location", "")
    if len(name) > MAX_PROJECT_NAME:
        raise too_long("name", MAX_PROJECT_NAME)
    call.permit(name)
    check_location(location)
    tags = dict(map(_tag, call.items("tags")))
    try:
        made = create_project(call.store, name, tags=tags, location=location)
    except Conflict as error:
        trash = " It is deleted: restore it, or delete it for good." if error.facts.get("deleted") else ""
        raise MlflowError(EXISTS, f"Experiment(name={name}) already exists.{trash}") from error
    call.service.forget_all()
    return {"experiment_id": made.id}


def get(call: Call) -> dict[str, Any]:
    """The experiment with an id; deleted ones too."""
    return {"experiment": experiment_shape(experiment_of(call))}


def get_by_name(call: Call) -> dict[str, Any]:
    """The experiment with a name; deleted ones too."""
    name = call.text("experiment_name")
    try:
        project = next(each for each in list_projects(call.store, deleted=None) if each.name == name)
    except StopIteration:
        raise MlflowError(MISSING, f"Could not find experiment with name '{name}'") from None
    call.permit(project.name, MlflowError(MISSING, f"Could not find experiment with name '{name}'"))
    return {"experiment": experiment_shape(project)}


def delete(call: Call) -> None:
    """Put an experiment and its runs into the trash."""
    project = experiment_of(call)
    if project.deleted is not None:
        raise no_experiment(project.id)
    try:
        delete_project(call.store, project.id)
    except Conflict as error:
        raise invalid(error.message) from error
    call.service.forget_all()


def restore(call: Call) -> None:
    """Take an experiment out of the trash."""
    project = experiment_of(call)
    if project.deleted is None:
        raise no_experiment(project.id)
    restore_project(call.store, project.id)
    call.service.forget_all()


def update(call: Call) -> None:
    """Give an experiment another name."""
    project, name = experiment_of(call), call.text("new_name")
    if project.deleted is not None:
        raise MlflowError(INVALID_STATE, "Cannot rename a non-active experiment.")
    if len(name) > MAX_PROJECT_NAME:
        raise too_long("name", MAX_PROJECT_NAME)
    call.permit(name)
    try:
        rename_project(call.store, project.id, name)
    except Conflict as error:
        raise MlflowError(EXISTS, f"Experiment(name={name}) already exists.") from error
    call.service.forget_all()


def set_tag(call: Call) -> None:
    """Set a tag of an experiment."""
    project = active_experiment(call)
    name, value = _tag({"key": call.text("key"), "value": call.text("value", "")})
    tag_project(call.store, project.id, {name: value})
    call.service.forget_all()


def delete_tag(call: Call) -> None:
    """Remove a tag of an experiment."""
    project, key = active_experiment(call), call.text("key")
    if key not in project.tags:
        raise MlflowError(MISSING, f"No tag with name: {key} in experiment with id {project.id}")
    tag_project(call.store, project.id, {key: None})
    call.service.forget_all()


def search(call: Call) -> dict[str, Any]:
    """The experiments that meet a filter, page by page."""
    size = results(call, DEFAULT_RESULTS)
    view = view_of(call, "view_type")
    clauses = tuple(map(_checked, parse_clauses(call.text("filter", ""))))
    keys = [_order(text) for text in call.texts("order_by")] or [("creation_time", False), ("experiment_id", True)]
    found = [
        each for each in visible_experiments(call, deleted=view) if all(_meets(each, clause) for clause in clauses)
    ]
    if not any(key == "experiment_id" for key, _ in keys):
        keys.append(("experiment_id", True))
    for key, rising in reversed(keys):
        found.sort(key=lambda each, key=key: _attribute(each, key), reverse=not rising)
    part, token = page(found, call.text("page_token", ""), size)
    return {"experiments": [experiment_shape(each) for each in part], **more(token)}


def experiment_shape(project: Project) -> dict[str, Any]:
    """A project as MLflow's clients read an experiment."""
    return {
        "experiment_id": project.id,
        "name": project.name,
        "artifact_location": artifact_root(project.id, project.location),
        "lifecycle_stage": "active" if project.deleted is None else "deleted",
        "creation_time": milliseconds(project.created),
        "last_update_time": milliseconds(project.updated or project.created),
        "tags": [{"key": name, "value": value} for name, value in sorted(project.tags.items())],
    }


def experiment_of(call: Call) -> Project:
    """The experiment that `experiment_id` names; deleted ones too.

    Raises:
        MlflowError: there is none, or that is no id.
    """
    return known_experiment(call, call.text("experiment_id"))


def known_experiment(call: Call, identifier: str) -> Project:
    """The experiment with this id; deleted ones too.

    Raises:
        MlflowError: there is none, or that is no id.
    """
    if not _ID.fullmatch(identifier):
        raise invalid(f"Invalid experiment ID: '{identifier}'. Experiment ID must be a valid integer.")
    wanted = str(int(identifier))
    project = call.service.projects().get(wanted) or _found(call, wanted)
    call.permit(project.name, no_experiment(wanted))
    return project


def _found(call: Call, identifier: str) -> Project:
    """A project that was made a moment ago, perhaps by another process."""
    call.service.forget_all()
    project = call.service.projects().get(identifier)
    if project is None:
        raise no_experiment(identifier)
    return project


def active_experiment(call: Call) -> Project:
    """The experiment that `experiment_id` names, where it may be written.

    Raises:
        MlflowError: there is none, or it is deleted.
    """
    project = experiment_of(call)
    require_active(project)
    return project


def require_active(project: Project) -> None:
    """Refuse an experiment in the trash.

    Raises:
        MlflowError: it is.
    """
    if project.deleted is not None:
        raise invalid(f"The experiment {project.id} must be in the 'active' state. Current state is deleted.")


def visible_experiments(call: Call, *, deleted: bool | None) -> list[Project]:
    """The experiments that the caller may see."""
    return [each for each in list_projects(call.store, deleted=deleted) if call.may_see(each.name)]


def no_experiment(identifier: str) -> MlflowError:
    """What MLflow's server says of an experiment that is not there."""
    return MlflowError(MISSING, f"No Experiment with id={identifier} exists")


def results(call: Call, default: int, most: int = MAX_RESULTS) -> int:
    """How many results are asked for.

    Raises:
        MlflowError: none or too many.
    """
    wanted = call.whole("max_results", default)
    if wanted < 1:
        raise invalid(f"Invalid value {wanted} for parameter 'max_results' supplied: It must be a positive integer")
    if wanted > most:
        raise invalid(f"Invalid value {wanted} for parameter 'max_results' supplied: It must be at most {most}")
    return wanted


def view_of(call: Call, name: str) -> bool | None:
    """What is asked for: of deleted ones alone True, of both None.

    Raises:
        MlflowError: it is no view.
    """
    value = call.body.get(name) or "ACTIVE_ONLY"
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not isinstance(value, str | int) or value not in VIEWS:
        raise invalid(f"Invalid value {value!r} for parameter '{name}' supplied.")
    return VIEWS[value]


def check_location(location: str) -> None:
    """Whether a place may be told to clients as that of an experiment's artifacts; nothing here ever opens it.

    Raises:
        MlflowError: it may not.
    """
    if "#" in location or ";" in location:
        raise invalid("'artifact_location' URL can't include fragments or params.")
    if "?" in location and ".." in location.partition("?")[2]:
        raise invalid(f"Invalid query string: {location.partition('?')[2]}")
    if ".." in location.replace("\\", "/").split("/"):
        raise invalid(f"Invalid artifact_location: '{location}'. It must not contain '..'.")


def _tag(fields: dict[str, Any]) -> tuple[str, str]:
    key, value = fields.get("key"), fields.get("value", "")
    if not isinstance(key, str) or not key:
        raise invalid("Missing value for required parameter 'key'.")
    if not isinstance(value, str):
        raise invalid(f"The value of the tag '{key}' is no text.")
    check_key(key, "key")
    if len(key) > MAX_KEY:
        raise too_long("key", MAX_KEY)
    if len(value) > MAX_EXPERIMENT_TAG:
        raise too_long("value", MAX_EXPERIMENT_TAG)
    return key, value


def _checked(clause: Clause) -> Clause:
    if clause.entity in _TAGS:
        check_operator(clause, _TEXT_OPERATORS, f"Invalid comparator for tag: {clause.operator}")
        if not isinstance(clause.value, str):
            raise invalid(f"Expected a quoted string value for tag (e.g. 'my-value'). Got value {clause.value}")
        return clause
    if clause.entity not in _ATTRIBUTES:
        raise invalid(
            f"Invalid entity type '{clause.entity}'. Valid values are"
            " {'attribute', 'tag', 'attributes', 'tags', 'attr', 'attribute'}"
        )
    if clause.key in _TIMES:
        check_operator(clause, _NUMBER_OPERATORS, f"Invalid comparator for attribute: {clause.operator}")
        if not isinstance(clause.value, float):
            raise invalid(f"Expected a numeric value for {clause.key}, got {clause.value!r}")
        return clause
    if clause.key not in {"name", "experiment_id"}:
        raise invalid(
            f"Invalid attribute key '{clause.key}' specified. Valid keys are "
            "{'name', 'creation_time', 'last_update_time', 'experiment_id'}"
        )
    check_operator(clause, _TEXT_OPERATORS, f"Invalid comparator for attribute: {clause.operator}")
    if not isinstance(clause.value, str):
        raise invalid(f"Expected a quoted string value for attributes (e.g. 'my-value'). Got value {clause.value}")
    return clause


def _meets(project: Project, clause: Clause) -> bool:
    held = project.tags.get(clause.key) if clause.entity in _TAGS else _attribute(project, clause.key)
    return matches(clause, held)


def _attribute(project: Project, key: str) -> Any:
    if key in _TIMES:
        return milliseconds(project.created if key == "creation_time" else project.updated)
    return project.name if key == "name" else int(project.id)


def _order(text: str) -> tuple[str, bool]:
    field, rising = parse_order(text)
    key = field.partition(".")[2] if field.partition(".")[0] in _ATTRIBUTES - {""} else field
    if key not in {"name", "creation_time", "last_update_time", "experiment_id"}:
        raise invalid(
            f"Invalid order_by entity: {field}. Valid keys are name, creation_time, last_update_time, experiment_id."
        )
    return key, rising


ROUTES = (
    Route("POST", "/mlflow/experiments/create", create, "writer"),
    Route("GET", "/mlflow/experiments/get", get, "reader"),
    Route("GET", "/mlflow/experiments/get-by-name", get_by_name, "reader"),
    Route("POST", "/mlflow/experiments/delete", delete, "writer"),
    Route("POST", "/mlflow/experiments/restore", restore, "writer"),
    Route("POST", "/mlflow/experiments/update", update, "writer"),
    Route("POST", "/mlflow/experiments/set-experiment-tag", set_tag, "writer"),
    Route("POST", "/mlflow/experiments/delete-experiment-tag", delete_tag, "writer"),
    Route("POST", "/mlflow/experiments/search", search, "reader"),
    Route("GET", "/mlflow/experiments/search", search, "reader"),
)
