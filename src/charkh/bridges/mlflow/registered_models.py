"""`registered-models/*`: models by name, their tags, aliases and search."""

from collections.abc import Mapping
from typing import Any

from charkh.bridges.mlflow.call import Call, Route
from charkh.bridges.mlflow.clauses import Clause, check_operator, matches, parse_clauses, parse_order
from charkh.bridges.mlflow.envelope import EXISTS, INVALID, MISSING, MlflowError, invalid
from charkh.bridges.mlflow.pages import more, page
from charkh.bridges.mlflow.registry_shapes import (
    PROMPT_TAG,
    Fields,
    alias_of,
    latest_by_stage,
    model_fields,
    model_of,
    model_tags,
    name_of,
    numbered,
    size_of,
    tag_of,
    tags_of,
    version_fields,
    version_of,
)
from charkh.core.errors import Conflict, Invalid
from charkh.models.decisions import Describe, MoveAlias, Tag
from charkh.models.declare import declare, find_model
from charkh.models.index import AliasHolderOf, Models, ModelVersions
from charkh.models.model import ModelSummary
from charkh.models.registered import STAGES, canonical_stage, name_subject
from charkh.models.remove import remove
from charkh.models.rename import rename
from charkh.models.texts import put_text, put_words
from charkh.workspace.governing import admit_to
from charkh.workspace.promoting import refuse_gated

MAX_MODELS = 1000
_TEXT = ("=", "!=", "LIKE", "ILIKE")
_ORDER_KEYS = ("name", "timestamp", "last_updated_timestamp")


def create(call: Call) -> Fields:
    """Make a model without versions."""
    name, tags = name_of(call), tags_of(call)
    if "/" in name:
        raise invalid(f"Invalid name: '{name}'. Registered model name cannot contain '/' or ':'.")
    try:
        model = declare(call.store, name, description=call.text("description", ""), tags=tags)
    except Conflict as error:
        raise _exists(find_model(call.store, name), is_prompt=tags.get(PROMPT_TAG) == "true") from error
    return {"registered_model": model_fields(call.store, model)}


def get(call: Call) -> Fields:
    """The model that has a name."""
    return {"registered_model": model_fields(call.store, model_of(call))}


def update(call: Call) -> Fields:
    """Describe a model; an absent description takes it away, as MLflow does."""
    model = model_of(call)
    about = name_subject(model.keys[0])
    call.store.commands.decide(Describe(about=about, text=put_text(call.store, call.text("description", ""))))
    return {"registered_model": model_fields(call.store, find_model(call.store, model.name))}


def rename_model(call: Call) -> Fields:
    """Give a model another name."""
    model, new = model_of(call), name_of(call, "new_name")
    if "/" in new:
        raise invalid(f"Invalid new_name: '{new}'. Registered model name cannot contain '/' or ':'.")
    try:
        renamed = rename(call.store, model.name, new)
    except Conflict as error:
        raise MlflowError(EXISTS, f"Registered Model (name={new}) already exists.") from error
    return {"registered_model": model_fields(call.store, renamed)}


def delete(call: Call) -> Fields:
    """Remove a model with its versions and aliases."""
    remove(call.store, model_of(call).name, held=True)
    return {}


def search(call: Call) -> Fields:
    """Find models; prompts only where they are asked for."""
    size = size_of(call, 100, MAX_MODELS)
    clauses = parse_clauses(call.text("filter", ""))
    _check(clauses)
    wanted = wants_prompts(clauses)
    clauses = tuple(clause for clause in clauses if not (clause.key == PROMPT_TAG and clause.entity))
    found = [
        model
        for model in call.store.queries.ask(Models())
        if (model.tags.get(PROMPT_TAG) == "true") == wanted and _matches(call, model, clauses)
    ]
    _sort(found, call.texts("order_by"))
    shown, token = page(found, call.text("page_token", ""), size)
    if not shown:
        return {}
    return {"registered_models": [model_fields(call.store, model) for model in shown], **more(token)}


def latest_versions(call: Call) -> Fields:
    """The latest version of each stage, or of some."""
    model = model_of(call)
    try:
        stages = {canonical_stage(stage) for stage in call.texts("stages")} or set(STAGES)
    except Invalid as error:
        raise invalid(
            f"Invalid Model Version stage: {call.texts('stages')[0]}. Value must be one of None, Staging, "
            "Production, Archived."
        ) from error
    latest = latest_by_stage(call.store.queries.ask(ModelVersions(name=model.name)))
    shown = [version_fields(call.store, version) for stage, version in latest.items() if stage in stages]
    return {"model_versions": shown} if shown else {}


def set_tag(call: Call) -> Fields:
    """Set a tag of a model."""
    model, (key, value) = model_of(call), tag_of(call)
    call.store.commands.decide(Tag(about=name_subject(model.keys[0]), said=put_words(call.store, {key: value})))
    return {}


def delete_tag(call: Call) -> Fields:
    """Remove a tag of a model; one that is not there is gone already."""
    model, key = model_of(call), call.text("key")
    if key in model.tags or key in model.long_tags:
        about = name_subject(model.keys[0])
        call.store.commands.decide(Tag(about=about, said=put_words(call.store, {key: None})))
    return {}


def set_alias(call: Call) -> Fields:
    """Let a version hold an alias."""
    alias = alias_of(call, reserved=True)
    version = version_of(call)
    refuse_gated(call.workspace, alias, version.ref)
    admit_to(call.workspace, version, alias)
    call.store.commands.decide(MoveAlias(name=version.made.name, alias=alias, version=version.id))
    return {}


def delete_alias(call: Call) -> Fields:
    """Let nobody hold an alias."""
    model, alias = model_of(call), alias_of(call, reserved=False)
    if alias in model.aliases:
        refuse_gated(call.workspace, alias, model.name)
        call.store.commands.decide(MoveAlias(name=model.name, alias=alias, version=""))
    return {}


def by_alias(call: Call) -> Fields:
    """The version that holds an alias; `latest` is the greatest."""
    model, alias = model_of(call), alias_of(call, reserved=False)
    if alias.lower() == "latest":
        if model.latest is None:
            raise MlflowError(MISSING, f"Latest version not found for model {model.name}.")
        return {"model_version": version_fields(call.store, model.latest)}
    holder = call.store.queries.ask(AliasHolderOf(name=model.name, alias=alias))
    if holder is None or holder.version is None or holder.version.deleted is not None:
        raise MlflowError(INVALID, f"Registered model alias {alias} not found.")
    version = numbered(call.store, model.name, str(holder.version.made.number)) if not holder.rivals else holder.version
    return {"model_version": version_fields(call.store, version)}


def wants_prompts(clauses: tuple[Clause, ...]) -> bool:
    """Whether a filter asks for prompts, which every other search leaves out."""
    for clause in clauses:
        if clause.key == PROMPT_TAG and clause.entity in {"tag", "tags"}:
            value = str(clause.value).lower()
            return (clause.operator, value) in {("=", "true"), ("!=", "false")}
    return False


def check_entity(clause: Clause, keys: Mapping[str, Any] | tuple[str, ...]) -> bool:
    """Whether a clause is about a tag; an attribute otherwise.

    Raises:
        MlflowError: there is no such entity or attribute.
    """
    if clause.entity in {"tag", "tags"}:
        check_operator(clause, _TEXT, f"Invalid comparator for tag: {clause.operator}")
        if not isinstance(clause.value, str):
            raise invalid(f"Expected a quoted string value for tag (e.g. 'my-value'). Got value {clause.value}")
        return True
    if clause.entity not in {"", "attribute"}:
        raise invalid(f"Invalid entity type '{clause.entity}'. Valid entity types are ('attribute', 'tag', 'tags')")
    if clause.key not in keys:
        raise invalid(f"Invalid attribute key '{clause.key}' specified. Valid keys are '{set(keys)}'")
    return False


def _check(clauses: tuple[Clause, ...]) -> None:
    for clause in clauses:
        if not check_entity(clause, ("name",)):
            check_operator(clause, (*_TEXT, "IN"), f"Invalid comparator for attribute: {clause.operator}")
            if isinstance(clause.value, float):
                raise invalid(
                    "Expected a quoted string value or a list of quoted string values for attributes. "
                    f"Got value {clause.value:g}"
                )


def _matches(call: Call, model: ModelSummary, clauses: tuple[Clause, ...]) -> bool:
    tags = model_tags(call.store, model) if any(clause.entity in {"tag", "tags"} for clause in clauses) else {}
    return all(
        matches(clause, tags.get(clause.key) if clause.entity in {"tag", "tags"} else model.name) for clause in clauses
    )


def _sort(found: list[ModelSummary], order: tuple[str, ...]) -> None:
    seen: list[tuple[str, bool]] = []
    for text in order:
        key, rises = parse_order(text)
        key = key.strip('`"')
        if key not in _ORDER_KEYS:
            raise invalid(f"Invalid order by key '{key}' specified. Valid keys are '{set(_ORDER_KEYS)}'")
        field = "name" if key == "name" else "updated"
        if field in {name for name, _ in seen}:
            raise invalid(f"`order_by` contains duplicate fields: {list(order)}")
        seen.append((field, rises))
    # Stable sorts, the least important first.
    found.sort(key=lambda model: model.name)
    for field, rises in reversed(seen):
        found.sort(key=(lambda model: model.name) if field == "name" else _updated, reverse=not rises)


def _updated(model: ModelSummary) -> Any:
    return round(model.updated * 1000)


def _exists(model: ModelSummary, *, is_prompt: bool) -> MlflowError:
    old = "Prompt" if model.tags.get(PROMPT_TAG) == "true" else "Registered Model"
    new = "Prompt" if is_prompt else "Registered Model"
    if old != new:
        return MlflowError(
            EXISTS,
            f"Tried to create a {new.lower()} with name {model.name!r}, but the name is already taken by a "
            f"{old.lower()}. MLflow does not allow creating a model and a prompt with the same name.",
        )
    return MlflowError(EXISTS, f"{new} (name={model.name}) already exists.")


_BASE = "/mlflow/registered-models"
ROUTES = (
    Route("POST", f"{_BASE}/create", create, "writer"),
    Route("GET", f"{_BASE}/get", get, "reader"),
    Route("PATCH", f"{_BASE}/update", update, "writer"),
    Route("POST", f"{_BASE}/rename", rename_model, "writer"),
    Route("DELETE", f"{_BASE}/delete", delete, "writer"),
    Route("GET", f"{_BASE}/search", search, "reader"),
    Route("POST", f"{_BASE}/get-latest-versions", latest_versions, "reader"),
    Route("GET", f"{_BASE}/get-latest-versions", latest_versions, "reader"),
    Route("POST", f"{_BASE}/set-tag", set_tag, "writer"),
    Route("DELETE", f"{_BASE}/delete-tag", delete_tag, "writer"),
    Route("POST", f"{_BASE}/alias", set_alias, "writer"),
    Route("DELETE", f"{_BASE}/alias", delete_alias, "writer"),
    Route("GET", f"{_BASE}/alias", by_alias, "reader"),
)
