"""MLflow's filters and orders of runs as the conditions that every search of runs here is made of.

One engine answers both grammars (`charkh.runs.search`). A run that lacks what is compared meets no comparison; statuses
are compared in MLflow's words, so that `FAILED` means lost runs too.
"""

import re
from collections.abc import Sequence

from charkh.bridges.mlflow.clauses import COMPARE, NULLS, Clause, Value, parse_clauses, parse_order
from charkh.bridges.mlflow.envelope import invalid
from charkh.bridges.mlflow.run_shape import PARENT, RUN_NAME, STATUSES
from charkh.ports.store import Store
from charkh.runs.inputs import RunsWithInput
from charkh.runs.query import All, Any_, Comparison, Condition, Field, Not, Order

ENTITIES = {
    **dict.fromkeys(("metric", "metrics"), "metric"),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), "parameter"),
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("attribute", "attributes", "attr", "run", ""), "attribute"),
    **dict.fromkeys(("dataset", "datasets"), "dataset"),
}
TEXTS = {"run_id": "id", "run_name": "name", "user_id": "user"}
TIMES = {"start_time": "created", "end_time": "ended"}
ATTRIBUTES = ("run_id", "run_name", "user_id", "status", "artifact_uri", "start_time", "end_time")
_SYNONYMS = {
    "run name": "run_name",
    "Run name": "run_name",
    "Run Name": "run_name",
    "created": "start_time",
    "Created": "start_time",
}
_TEXT_OPERATORS = ("=", "!=", "LIKE", "ILIKE")
_NUMBER_OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
_OPERATORS = {"=": "==", "LIKE": "like", "ILIKE": "ilike", "IN": "in", "NOT IN": "not in"}
_RUN_IN_URI = re.compile(r"mlflow-artifacts:/[^/]+/([0-9a-f]{32})/artifacts")


def run_condition(store: Store, text: str) -> Condition | None:
    """The condition that an MLflow filter means; None when it is empty.

    Raises:
        MlflowError: it is not of MLflow's grammar.
    """
    found = tuple(_condition(store, clause) for clause in parse_clauses(text))
    return None if not found else found[0] if len(found) == 1 else All(found)


def run_order(texts: Sequence[str]) -> tuple[Order, ...]:
    """The order that MLflow's `order_by` means: newest first and by id where nothing else tells runs apart.

    Raises:
        MlflowError: it is none.
    """
    orders: list[Order] = []
    for text in texts:
        field, rising = parse_order(text)
        orders.append(Order(_order_field(field, text), descending=not rising))
    fields = [order.field for order in orders]
    if len(set(fields)) < len(fields):
        raise invalid(f"`order_by` contains duplicate fields: {list(texts)}")
    ties = (Order(Field("run", "created"), descending=True), Order(Field("run", "id")))
    return (*orders, *(tie for tie in ties if tie.field not in fields))


def _condition(store: Store, clause: Clause) -> Condition:
    entity = ENTITIES.get(clause.entity)
    if entity is None:
        raise invalid(f"Invalid entity type '{clause.entity}'. Valid values are {sorted(set(ENTITIES) - {''})}")
    if entity == "metric":
        return _numeric(clause, Field("metrics", clause.key), "metric", 1.0)
    if entity == "parameter":
        return _textual(clause, Field("told", clause.key), "param", (*_TEXT_OPERATORS, *NULLS))
    if entity == "tag":
        return _tag(clause)
    if entity == "dataset":
        return _dataset(store, clause)
    return _attribute(clause)


def _numeric(clause: Clause, field: Field, what: str, unit: float) -> Condition:
    _require(clause, _NUMBER_OPERATORS, what)
    if not isinstance(clause.value, float):
        raise invalid(f"Expected numeric value type for {what}. Found {_shown(clause.value)}")
    return Comparison(field, _OPERATORS.get(clause.operator, clause.operator), (clause.value * unit,))


def _textual(clause: Clause, field: Field, what: str, allowed: Sequence[str]) -> Condition:
    _require(clause, allowed, what)
    if clause.operator in NULLS:
        return Comparison(field, clause.operator.lower())
    return Comparison(field, _OPERATORS.get(clause.operator, clause.operator), _texts(clause, what))


def _tag(clause: Clause) -> Condition:
    allowed = (*_TEXT_OPERATORS, *NULLS)
    if clause.key == RUN_NAME:
        return _textual(clause, Field("run", "name"), "tag", allowed)
    tagged = _textual(clause, Field("tags", clause.key), "tag", allowed)
    if clause.key != PARENT:
        return tagged
    # Most parents are kept as what they are; only what is no id of a run is kept as a tag.
    parts = (_textual(clause, Field("run", "parent"), "tag", allowed), tagged)
    return All(parts) if clause.operator == "IS NULL" else Any_(parts)


def _dataset(store: Store, clause: Clause) -> Condition:
    _require(clause, (*_TEXT_OPERATORS, "IN", "NOT IN"), "dataset attribute")
    key = clause.key
    if key != "name" and key != "digest" and key != "context":
        raise invalid(f"Invalid dataset key '{key}' specified. Valid keys are '{{'name', 'digest', 'context'}}'")
    operator = _OPERATORS.get(clause.operator, clause.operator)
    values = _texts(clause, "dataset")
    runs = store.queries.ask(RunsWithInput(word=key, operator=operator, values=values))
    return Comparison(Field("run", "id"), "in", runs)


def _attribute(clause: Clause) -> Condition:
    key = _SYNONYMS.get(clause.key, clause.key)
    if key in TIMES:
        return _numeric(clause, Field("run", TIMES[key]), "attribute", 0.001)
    if key == "status":
        return _status(clause)
    if key == "artifact_uri":
        return _artifact_uri(clause)
    if key not in TEXTS:
        raise invalid(f"Invalid attribute key '{clause.key}' specified. Valid keys are '{list(ATTRIBUTES)}'")
    listed = ("IN", "NOT IN") if key == "run_id" else ()
    return _textual(clause, Field("run", TEXTS[key]), "attributes", (*_TEXT_OPERATORS, *listed))


def _status(clause: Clause) -> Condition:
    _require(clause, _TEXT_OPERATORS, "attribute")
    (wanted,) = _texts(clause, "attributes")
    meeting = tuple(name for name, word in STATUSES.items() if COMPARE[clause.operator](word, wanted))
    return Comparison(Field("run", "status"), "in", meeting)


def _artifact_uri(clause: Clause) -> Condition:
    if clause.operator not in {"=", "!="}:
        raise invalid("artifact_uri can be compared with = and != here: it is made from the run's id")
    (wanted,) = _texts(clause, "attributes")
    named = _RUN_IN_URI.fullmatch(wanted)
    same = Comparison(Field("run", "id"), "in", (named.group(1),) if named else ())
    return same if clause.operator == "=" else Not(same)


def _require(clause: Clause, allowed: Sequence[str], what: str) -> None:
    if clause.operator not in allowed:
        raise invalid(f"Invalid comparator '{clause.operator}' for {what}: it is not one of {sorted(allowed)}")


def _texts(clause: Clause, what: str) -> tuple[str, ...]:
    value = clause.value
    if isinstance(value, tuple):
        return value
    if not isinstance(value, str):
        raise invalid(f"Expected a quoted string value for {what} (e.g. 'my-value'). Got value {_shown(value)}")
    return (value,)


def _shown(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _order_field(text: str, whole: str) -> Field:
    before, dot, key = text.partition(".")
    if text[:1] in {"`", '"'} or not dot:
        before, key = "", text
    if len(key) >= 2 and key[0] == key[-1] and key[0] in {"`", '"'}:
        key = key[1:-1]
    entity = ENTITIES.get(before)
    if entity == "metric":
        return Field("metrics", key)
    if entity == "parameter":
        return Field("told", key)
    if entity == "tag":
        return Field("run", "name") if key == RUN_NAME else Field("tags", key)
    key = _SYNONYMS.get(key, key)
    words = {**TEXTS, **TIMES, "status": "status", "artifact_uri": "id"}
    if entity != "attribute" or key not in words:
        raise invalid(f"Invalid order_by clause '{whole}': there is no such attribute, metric, param or tag.")
    return Field("run", words[key])
