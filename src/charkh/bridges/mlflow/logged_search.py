"""`logged-models/search`: MLflow's grammar over logged models, with metrics on one dataset or all."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from charkh.bridges.mlflow.call import Call, Route
from charkh.bridges.mlflow.clauses import Clause, check_operator, matches, parse_clauses
from charkh.bridges.mlflow.envelope import invalid
from charkh.bridges.mlflow.experiments import visible_experiments
from charkh.bridges.mlflow.pages import fields_of, start_of, token_of
from charkh.bridges.mlflow.registry_shapes import STATUSES, Fields, logged_fields, milliseconds
from charkh.models.logged import LoggedModel, RunMeasurement, latest_value
from charkh.models.logged_index import LoggedModels
from charkh.models.texts import all_tags
from charkh.ports.store import Store

DEFAULT_RESULTS = 100
MAX_RESULTS = 50_000
MAX_EXPERIMENTS = 10_000
_NUMERIC = ("<", "<=", ">", ">=", "=", "!=")
_TEXT = ("=", "!=", "LIKE", "ILIKE", "IN", "NOT IN")
_ALIASES = {
    "creation_time": "creation_timestamp_ms",
    "creation_timestamp": "creation_timestamp_ms",
    "last_updated_timestamp": "last_updated_timestamp_ms",
    "last_updated_time": "last_updated_timestamp_ms",
}
_ATTRIBUTES: Mapping[str, Callable[[LoggedModel], str | int | None]] = {
    "creation_timestamp_ms": lambda model: milliseconds(model.made.created),
    "last_updated_timestamp_ms": lambda model: milliseconds(model.updated),
    "experiment_id": lambda model: model.made.project,
    "name": lambda model: model.made.name,
    "model_id": lambda model: model.id,
    "model_type": lambda model: model.made.type or None,
    "status": lambda model: STATUSES[model.status].removeprefix("LOGGED_MODEL_"),
    "source_run_id": lambda model: model.made.run or None,
    "status_message": lambda model: model.message or None,
}


def search(call: Call) -> Fields:
    """Find logged models in experiments."""
    experiments = call.texts("experiment_ids")
    if not experiments:
        raise invalid("Missing value for required parameter 'experiment_ids'.")
    if len(experiments) > MAX_EXPERIMENTS:
        raise invalid(f"'experiment_ids' has more than {MAX_EXPERIMENTS} entries.")
    datasets = _datasets(call)
    text = call.text("filter", "")
    clauses = parse_clauses(text)
    for clause in clauses:
        _check(clause)
    order = [dict(each) for each in call.items("order_by")]
    keys = [_order_key(each) for each in order]
    size = call.whole("max_results", DEFAULT_RESULTS) or DEFAULT_RESULTS
    if not 1 <= size <= MAX_RESULTS:
        raise invalid(f"Invalid value {size} for parameter 'max_results' supplied: It must be 1 to {MAX_RESULTS}")
    start = _start(call, experiments, text, order)
    visible = {project.id for project in visible_experiments(call, deleted=None)}
    asked = tuple(each for each in experiments if each in visible)
    found = [
        model
        for model in call.store.queries.ask(LoggedModels(projects=asked))
        if _matches(call.store, model, clauses, datasets)
    ]
    if not any(str(each.get("field_name")) in {*_ALIASES, "creation_timestamp_ms"} for each in order):
        keys.append((_ATTRIBUTES["creation_timestamp_ms"], False))
    for key, rises in reversed(keys):
        _sort(found, key, rises)
    answer: Fields = {}
    if shown := found[start : start + size]:
        answer["models"] = [logged_fields(call.store, model) for model in shown]
    if start + size < len(found):
        said = {"experiment_ids": list(experiments), "filter_string": text or None, "order_by": order or None}
        answer["next_page_token"] = token_of(start + size, **said)
    return answer


def _datasets(call: Call) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for each in call.items("datasets"):
        name, digest = each.get("dataset_name"), each.get("dataset_digest") or ""
        if not isinstance(name, str) or not name or not isinstance(digest, str):
            raise invalid("`dataset_name` in the `datasets` clause must be specified.")
        found.append((name, digest))
    return found


def _check(clause: Clause) -> None:
    if clause.entity not in {"", "attributes", "metrics", "params", "tags"}:
        raise invalid(
            f"Invalid entity type: {clause.entity!r}. Expected one of ['attributes', 'metrics', 'params', 'tags']."
        )
    numeric = clause.entity == "metrics"
    if clause.entity in {"", "attributes"}:
        key = _ALIASES.get(clause.key, clause.key)
        if key not in _ATTRIBUTES:
            raise invalid(f"Invalid logged model search key '{clause.key}'")
        numeric = key.endswith("_ms")
    shown = f"{clause.entity or 'attributes'}.{clause.key}"
    message = f"Invalid comparison operator for {shown}: {clause.operator!r}. Expected one of {_TEXT}."
    check_operator(clause, _NUMERIC if numeric else _TEXT, message)
    if numeric != isinstance(clause.value, float):
        raise invalid(f"Invalid value for {shown}: {clause.value!r}. Expected a {'number' if numeric else 'text'}.")


def _matches(store: Store, model: LoggedModel, clauses: Sequence[Clause], datasets: Sequence[tuple[str, str]]) -> bool:
    on_data = [each for each in model.metrics if not datasets or _is_on(each, datasets)]
    if datasets and not on_data and not any(clause.entity == "metrics" for clause in clauses):
        return False
    return all(_meets(store, model, clause, on_data) for clause in clauses)


def _meets(store: Store, model: LoggedModel, clause: Clause, measured: Sequence[RunMeasurement]) -> bool:
    if clause.entity == "metrics":
        return any(each.value.key == clause.key and matches(clause, each.value.value) for each in measured)
    if clause.entity == "params":
        return matches(clause, all_tags(store, model.params, model.long_params).get(clause.key))
    if clause.entity == "tags":
        return matches(clause, all_tags(store, model.tags, model.long_tags).get(clause.key))
    key = _ALIASES.get(clause.key, clause.key)
    if key == "status" and isinstance(clause.value, str):
        clause = clause._replace(value=clause.value.upper().removeprefix("LOGGED_MODEL_"))
    return matches(clause, _ATTRIBUTES[key](model))


def _is_on(measured: RunMeasurement, datasets: Sequence[tuple[str, str]]) -> bool:
    value = measured.value
    return any(value.dataset == name and digest in ("", value.digest) for name, digest in datasets)


def _order_key(each: Mapping[str, Any]) -> tuple[Callable[[LoggedModel], Any], bool]:
    field, rises = each.get("field_name"), each.get("ascending", True)
    name, digest = each.get("dataset_name") or "", each.get("dataset_digest") or ""
    if not isinstance(field, str) or not isinstance(name, str) or not isinstance(digest, str):
        raise invalid(f"Invalid order by field name: {str(field)[:200]}")
    if "." not in field:
        key = _ALIASES.get(field, field)
        if key not in _ATTRIBUTES:
            raise invalid(f"Invalid order by field name: {field[:200]}")
        return _ATTRIBUTES[key], bool(rises)
    entity, _, metric = field.partition(".")
    if entity != "metrics":
        raise invalid(f"Invalid order by field name: {field[:200]}. Only metrics are supported.")
    metric = metric.strip("`")
    return (lambda model: latest_value(model, metric, dataset=name, digest=digest)), bool(rises)


def _sort(found: list[LoggedModel], key: Callable[[LoggedModel], Any], rises: bool) -> None:
    """Sort stably; what has no value, or is no number, comes last in both directions."""
    values = {model.id: key(model) for model in found}
    missing = {identifier for identifier, value in values.items() if value is None or value != value}
    there = [model for model in found if model.id not in missing]
    there.sort(key=lambda model: values[model.id], reverse=not rises)
    found[:] = there + [model for model in found if model.id in missing]


def _start(call: Call, experiments: Sequence[str], text: str, order: list[dict[str, Any]]) -> int:
    token = call.text("page_token", "")
    if not token:
        return 0
    said = fields_of(token)
    for name, expected, what in (
        ("experiment_ids", list(experiments), "Experiment IDs"),
        ("filter_string", text or None, "Filter string"),
        ("order_by", order or None, "Order by"),
    ):
        if said.get(name) != expected:
            raise invalid(
                f"{what} in the page token does not match the requested {what.lower()}. "
                f"Expected: {expected}. Found: {said.get(name)}"
            )
    return start_of(token)


ROUTES = (Route("POST", "/mlflow/logged-models/search", search, "reader"),)
