"""MLflow's evaluation datasets: made, labelled, tied to experiments, and filled record by record."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import msgspec

from charkh.bridges.mlflow.call import Call, Route, as_fields, as_items, bad, missing
from charkh.bridges.mlflow.clauses import Clause, check_operator, matches, parse_clauses, parse_order
from charkh.bridges.mlflow.envelope import MISSING, MlflowError, invalid
from charkh.bridges.mlflow.experiments import known_experiment, results
from charkh.bridges.mlflow.pages import more, page
from charkh.bridges.mlflow.run_shape import milliseconds
from charkh.core.errors import NotFound
from charkh.runs.evaluation_dataset import EvaluationDataset, EvaluationDatasets
from charkh.runs.evaluation_datasets import (
    MAX_NAME,
    change_evaluation_dataset,
    delete_evaluation_dataset,
    find_evaluation_dataset,
    make_evaluation_dataset,
    merge_records,
    read_records,
    remove_records,
)

MAX_RECORDS = 10_000
MAX_EXPERIMENTS = 1000
DEFAULT_RESULTS = 1000
_TEXTS = {"name": ("=", "!=", "LIKE", "ILIKE"), "created_by": ("=", "!=", "LIKE", "ILIKE")}
_NUMBERS = ("=", "!=", "<", "<=", ">", ">=")
_MOMENTS = ("created_time", "last_update_time")


def create(call: Call) -> dict[str, Any]:
    """Make an evaluation dataset."""
    name = call.text("name")
    if len(name) > MAX_NAME or not name.isprintable():
        raise invalid(f"A dataset's name has 1 to {MAX_NAME} printable characters.")
    made = make_evaluation_dataset(call.store, name, tags=_tags(call, "tags"), projects=_experiments(call))
    return {"dataset": _shape(made)}


def get(call: Call) -> dict[str, Any]:
    """An evaluation dataset without its records."""
    return {"dataset": _shape(_known(call))}


def delete(call: Call) -> None:
    """Delete an evaluation dataset for good; one that is not there is gone already."""
    try:
        delete_evaluation_dataset(call.store, _known(call).id)
    except MlflowError as error:
        if error.code != MISSING:
            raise


def search(call: Call) -> dict[str, Any]:
    """The evaluation datasets that meet a filter, page by page."""
    clauses = tuple(map(_checked, parse_clauses(call.text("filter_string", ""))))
    among = set(call.texts("experiment_ids"))
    found = [
        each
        for each in call.store.queries.ask(EvaluationDatasets())
        if _may_see(call, each)
        and (not among or among & set(each.projects))
        and all(matches(clause, _held(each, clause)) for clause in clauses)
    ]
    keys = [_order(text) for text in call.texts("order_by")] or [("created_time", False)]
    for key, rising in reversed(keys):
        found.sort(key=lambda each, key=key: _value(each, key) or "", reverse=not rising)
    part, token = page(found, call.text("page_token", ""), results(call, DEFAULT_RESULTS))
    return {"datasets": [_shape(each) for each in part], **more(token)}


def set_tags(call: Call) -> dict[str, Any]:
    """Set labels; those that are not named stay."""
    if not call.has("tags"):
        raise missing("tags")
    change_evaluation_dataset(call.store, _known(call).id, tags=_tags(call, "tags"))
    return {"dataset": _shape(_known(call))}


def delete_tag(call: Call) -> None:
    """Remove a label; one that is not there is gone already."""
    change_evaluation_dataset(call.store, _known(call).id, tags={call.path_values["key"]: None})


def upsert(call: Call) -> dict[str, Any]:
    """Add records, or change those that have the same inputs."""
    dataset, given = _known(call), _json(call, "records")
    records = [as_fields(each) for each in as_items(given)]
    if not records or None in records:
        raise bad("records", call.body.get("records"))
    if len(records) > MAX_RECORDS:
        raise invalid(f"A request can hold at most {MAX_RECORDS} records. Got {len(records)}.")
    for each in records:
        for name in ("inputs", "expectations", "tags"):
            if each is not None and each.get(name) is not None and as_fields(each[name]) is None:
                raise bad(f"records.{name}", each[name])
    merged = merge_records(call.store, dataset.id, [each for each in records if each is not None])
    return {"inserted_count": merged.added, "updated_count": merged.changed}


def get_records(call: Call) -> dict[str, Any]:
    """The records of an evaluation dataset, page by page."""
    found = read_records(call.store, _known(call).id)
    part, token = page(found, call.text("page_token", ""), results(call, DEFAULT_RESULTS))
    return {"records": json.dumps(part), **more(token)}


def delete_records(call: Call) -> dict[str, Any]:
    """Remove records by their ids."""
    return {"deleted_count": remove_records(call.store, _known(call).id, call.texts("dataset_record_ids"))}


def get_experiments(call: Call) -> dict[str, Any]:
    """The experiments that an evaluation dataset belongs to."""
    return {"experiment_ids": list(_known(call).projects)}


def add_experiments(call: Call) -> dict[str, Any]:
    """Let it belong to more experiments."""
    return _belong(call, belongs=True)


def remove_experiments(call: Call) -> dict[str, Any]:
    """Let it belong to some experiments no more."""
    return _belong(call, belongs=False)


def _belong(call: Call, *, belongs: bool) -> dict[str, Any]:
    dataset = _known(call)
    wanted = (
        _experiments(call) if belongs else [each for each in call.texts("experiment_ids") if each in dataset.projects]
    )
    changes = {each: belongs for each in wanted if (each in dataset.projects) != belongs}
    if changes:
        change_evaluation_dataset(call.store, dataset.id, projects=changes)
    kept = [each for each in dataset.projects if changes.get(each, True)]
    added = [each for each in changes if changes[each]]
    # As it is now, without asking: who may see one project sees nothing of what belongs to none.
    return {"dataset": _shape(msgspec.structs.replace(dataset, projects=(*kept, *added)))}


def _known(call: Call) -> EvaluationDataset:
    """The dataset that the path names.

    Raises:
        MlflowError: there is none, or the caller may not do this to it.
    """
    identifier = call.path_values["dataset_id"]
    absent = MlflowError(MISSING, f"Evaluation dataset with id '{identifier[:256]}' not found")
    try:
        found = find_evaluation_dataset(call.store, identifier)
    except NotFound as error:
        raise absent from error
    names = {each.id: each.name for each in call.service.projects().values()}
    for project in found.projects or ("",):
        call.permit(names.get(project, ""), absent)
    return found


def _may_see(call: Call, dataset: EvaluationDataset) -> bool:
    names = {each.id: each.name for each in call.service.projects().values()}
    return all(call.may_see(names.get(project, "")) for project in dataset.projects or ("",))


def _experiments(call: Call) -> list[str]:
    ids = call.texts("experiment_ids")
    if len(ids) > MAX_EXPERIMENTS:
        raise invalid(f"A dataset can be tied to at most {MAX_EXPERIMENTS} experiments at once. Got {len(ids)}.")
    return [known_experiment(call, each).id for each in dict.fromkeys(ids)]


def _tags(call: Call, name: str) -> dict[str, str]:
    tags = as_fields(_json(call, name)) if call.has(name) else {}
    if tags is None:
        raise bad(name, call.body.get(name))
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in tags.items()}


def _json(call: Call, name: str) -> object:
    text = call.text(name, "")
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError) as error:
        raise bad(name, text[:200]) from error


def _shape(dataset: EvaluationDataset) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "dataset_id": dataset.id,
        "name": dataset.name,
        "tags": json.dumps(dataset.tags),
        "digest": hashlib.sha256(f"{dataset.id}{dataset.stamp}".encode()).hexdigest()[:8],
        "created_time": milliseconds(dataset.created),
        "last_update_time": milliseconds(dataset.updated),
        "experiment_ids": list(dataset.projects),
    }
    if dataset.records:
        shape["profile"] = json.dumps({"num_records": dataset.records})
    if dataset.user:
        shape["created_by"] = shape["last_updated_by"] = dataset.user
    return shape


def _checked(clause: Clause) -> Clause:
    if clause.entity == "tags":
        check_operator(clause, _TEXTS["name"], f"Invalid comparator '{clause.operator}' for a tag")
    elif clause.entity == "" and (clause.key in _TEXTS or clause.key in _MOMENTS):
        allowed: Sequence[str] = _TEXTS.get(clause.key, _NUMBERS)
        check_operator(clause, allowed, f"Invalid comparator '{clause.operator}' for {clause.key}")
    else:
        raise invalid(
            f"Invalid attribute key '{clause.key}' specified. Valid keys are: {sorted((*_TEXTS, *_MOMENTS))} and"
            " tags.<key>"
        )
    return clause


def _held(dataset: EvaluationDataset, clause: Clause) -> str | float | None:
    return dataset.tags.get(clause.key) if clause.entity == "tags" else _value(dataset, clause.key)


def _value(dataset: EvaluationDataset, key: str) -> str | float | None:
    values: dict[str, str | float | None] = {
        "name": dataset.name,
        "created_by": dataset.user or None,
        "created_time": float(milliseconds(dataset.created)),
        "last_update_time": float(milliseconds(dataset.updated)),
    }
    return values[key]


def _order(text: str) -> tuple[str, bool]:
    key, rising = parse_order(text)
    if key not in {"name", *_MOMENTS}:
        raise invalid(f"Invalid order_by clause '{text}': it is one of name, created_time and last_update_time.")
    return key, rising


_PATH = "/mlflow/datasets/{dataset_id}"
V3 = ("3.0",)
ROUTES = (
    Route("POST", "/mlflow/datasets/create", create, "writer", V3),
    Route("POST", "/mlflow/datasets/search", search, "reader", V3),
    Route("GET", "/mlflow/datasets/search", search, "reader", V3),
    Route("GET", _PATH, get, "reader", V3),
    Route("DELETE", _PATH, delete, "writer", V3),
    Route("PATCH", f"{_PATH}/tags", set_tags, "writer", V3),
    Route("DELETE", f"{_PATH}/tags/{{key}}", delete_tag, "writer", V3),
    Route("POST", f"{_PATH}/records", upsert, "writer", V3),
    Route("GET", f"{_PATH}/records", get_records, "reader", V3),
    Route("DELETE", f"{_PATH}/records", delete_records, "writer", V3),
    Route("GET", f"{_PATH}/experiment-ids", get_experiments, "reader", V3),
    Route("POST", f"{_PATH}/add-experiments", add_experiments, "writer", V3),
    Route("POST", f"{_PATH}/remove-experiments", remove_experiments, "writer", V3),
)
