"""`model-versions/*`: versions of registered models, their stages, tags and search."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from charkh.bridges.mlflow.call import Call, Route
from charkh.bridges.mlflow.clauses import Clause, check_operator, matches, parse_clauses, parse_order
from charkh.bridges.mlflow.envelope import INVALID_STATE, MlflowError, invalid
from charkh.bridges.mlflow.locations import Stored
from charkh.bridges.mlflow.mlmodel import EMPTY, libraries_of, safety_of, signature_of
from charkh.bridges.mlflow.pages import more, page
from charkh.bridges.mlflow.registered_models import check_entity, wants_prompts
from charkh.bridges.mlflow.registrations import MODEL_VERSIONS_TAG, registrations, registrations_text
from charkh.bridges.mlflow.registry_shapes import (
    PROMPT_TAG,
    Fields,
    model_of,
    numbered,
    size_of,
    tag_of,
    tags_of,
    version_fields,
    version_of,
    version_tags,
)
from charkh.bridges.mlflow.sources import Source, download_uri, read_source
from charkh.core.canon import canonical_json
from charkh.core.digests import digest_of
from charkh.core.errors import Invalid, NotFound
from charkh.core.files import TreeEntry, TreeRef
from charkh.core.mlmodel import FILE, read_mlmodel
from charkh.core.redact import redact
from charkh.models.annotate import tag
from charkh.models.decisions import DeleteModelVersion, Describe, RegisterModel
from charkh.models.index import AllVersions, Models, ModelVersions
from charkh.models.log import change_logged, find_logged
from charkh.models.model import ModelVersion, VersionMade
from charkh.models.registered import canonical_stage
from charkh.models.stage import move_to_stage
from charkh.models.texts import put_text, put_words
from charkh.ports.runtimes import Safety
from charkh.ports.store import Store

MAX_VERSIONS = 200_000
MAX_LINK = 2000
RUNTIME = "mlflow"
"""Name of the runtime that loads an MLmodel folder."""

NOWHERE = TreeRef("", 0, 0)
_TEXT = ("=", "!=", "LIKE", "ILIKE")
_NUMERIC = ("=", "!=", "<", ">", "<=", ">=")
_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "name": (*_TEXT, "IN"),
    "run_id": (*_TEXT, "IN"),
    "source_path": _TEXT,
    "version_number": _NUMERIC,
}
_ORDER: Mapping[str, Callable[[ModelVersion], Any]] = {
    "name": lambda version: version.made.name,
    "version_number": lambda version: version.made.number,
    "creation_timestamp": lambda version: round(version.created * 1000),
    "last_updated_timestamp": lambda version: round(version.updated * 1000),
}


def create(call: Call) -> Fields:
    """Make a version of what lies at a source of ours, or of what is said to lie elsewhere."""
    model, text = model_of(call), call.text("source")
    tags = tags_of(call)
    source = read_source(call.store, text, call.text("run_id", ""), call.text("model_id", ""))
    description = put_text(call.store, call.text("description", ""))
    run = call.text("run_id", "") or source.run
    made = version_made(call.store, model.name, text, source, run=run, link=call.text("run_link", ""))
    said = put_words(call.store, tags)
    made = msgspec.structs.replace(made, description=description)
    command = RegisterModel(made=made, metrics={}, said=said, always=True, declared=True)
    (first, *_) = call.store.commands.decide(command)
    version = next(
        each for each in call.store.queries.ask(ModelVersions(name=model.name)) if each.subject == first.subject
    )
    if source.logged:
        note_registration(call.store, source.logged, model.name, version.made.number)
    return {"model_version": version_fields(call.store, version)}


def version_made(store: Store, name: str, text: str, source: Source, *, run: str, link: str = "") -> VersionMade:
    """What is said of a version whose files lie at a source; they are shared with it, none is copied."""
    tree, fields, safety = NOWHERE, {}, Safety(level="code", reasons=("its bytes are not here",))
    if source.files and all(store.vault.rely_on([each.file for each in source.files])):
        tree = store.vault.put_tree([TreeEntry(each.path, each.file) for each in source.files])
        store.vault.flush()
        fields = _mlmodel(store, source.files)
        paths = [each.path for each in source.files]
        safety = safety_of(fields, paths) if fields else Safety(level="code", reasons=("it has no MLmodel file",))
    return VersionMade(
        name=name,
        version="",
        number=0,
        content=digest_of(canonical_json([name, tree, text, run])),
        tree=tree,
        runtime=RUNTIME,
        libraries=libraries_of(fields),
        signature=signature_of(fields) if fields else EMPTY,
        safety=safety,
        run=run,
        source=redact(text),
        logged=source.logged,
        link=redact(link)[:MAX_LINK],
    )


def note_registration(store: Store, logged: str, name: str, number: int) -> None:
    """Write on the logged model which versions were made from it, in the tag that MLflow's clients look at.

    The client writes the same tag after the server did: each entry stands there once.
    """
    model = find_logged(store, logged)
    entries = registrations(model.tags.get(MODEL_VERSIONS_TAG, ""))
    entry = (name, number)
    if entry not in entries:
        change_logged(store, logged, tags={MODEL_VERSIONS_TAG: registrations_text([*entries, entry])})


def get(call: Call) -> Fields:
    """A version by name and number."""
    return {"model_version": version_fields(call.store, version_of(call))}


def update(call: Call) -> Fields:
    """Describe a version."""
    version = version_of(call)
    text = put_text(call.store, call.text("description", ""))
    call.store.commands.decide(Describe(about=version.subject, text=text))
    return {"model_version": version_fields(call.store, _again(call, version))}


def transition(call: Call) -> Fields:
    """Move a version to a stage."""
    stage, archive = call.text("stage"), call.truth("archive_existing_versions")
    try:
        canonical = canonical_stage(stage)
    except Invalid as error:
        raise invalid(
            f"Invalid Model Version stage: {stage[:100]}. Value must be one of None, Staging, Production, Archived."
        ) from error
    if archive and canonical not in {"Staging", "Production"}:
        raise invalid(
            f"Model version transition cannot archive existing model versions because '{stage}' is not an Active "
            "stage. Valid stages are ['Staging', 'Production']"
        )
    version = move_to_stage(call.store, version_of(call).id, canonical, archive=archive)
    return {"model_version": version_fields(call.store, version)}


def delete(call: Call) -> Fields:
    """Delete a version, with the aliases that it holds."""
    call.store.commands.decide(DeleteModelVersion(version=version_of(call).id, aliases=True))
    return {}


def search(call: Call) -> Fields:
    """Find versions; those of prompts only where they are asked for."""
    size = size_of(call, 10_000, MAX_VERSIONS)
    clauses = parse_clauses(call.text("filter", ""))
    _check(clauses)
    prompts = {model.name for model in call.store.queries.ask(Models()) if model.tags.get(PROMPT_TAG) == "true"}
    wanted = wants_prompts(clauses)
    rest = tuple(clause for clause in clauses if not (clause.key == PROMPT_TAG and clause.entity))
    found = [
        version
        for version in _candidates(call.store, rest)
        if (version.made.name in prompts) == wanted and _matches(call.store, version, rest)
    ]
    _sort(found, call.texts("order_by"))
    shown, token = page(found, call.text("page_token", ""), size)
    if not shown:
        return {}
    return {"model_versions": [version_fields(call.store, version) for version in shown], **more(token)}


def get_download_uri(call: Call) -> Fields:
    """Where the files of a version are found."""
    return {"artifact_uri": download_uri(call.store, version_of(call))}


def set_tag(call: Call) -> Fields:
    """Set a tag of a version."""
    version, (key, value) = version_of(call), tag_of(call)
    tag(call.store, version.subject, {key: value})
    return {}


def delete_tag(call: Call) -> Fields:
    """Remove a tag of a version; one that is not there is gone already."""
    version, key = version_of(call), call.text("key")
    if key in version.tags or key in version.long_tags:
        tag(call.store, version.subject, {key: None})
    return {}


def _again(call: Call, version: ModelVersion) -> ModelVersion:
    return numbered(call.store, version.made.name, str(version.made.number))


def _mlmodel(store: Store, files: Sequence[Stored]) -> dict[str, Any]:
    found = next((each.file for each in files if each.path == FILE), None)
    if found is None:
        return {}
    try:
        return read_mlmodel(b"".join(store.vault.read(found, 0, 1024 * 1024 + 1)))
    except NotFound as error:
        raise MlflowError(INVALID_STATE, f"The file {FILE} of the model cannot be read: {error.message}") from error


def _check(clauses: tuple[Clause, ...]) -> None:
    for clause in clauses:
        if check_entity(clause, _ATTRIBUTES):
            continue
        if clause.key == "version_number":
            message = f"Invalid comparator for attribute {clause.key}: {clause.operator}"
            check_operator(clause, _NUMERIC, message)
            if not isinstance(clause.value, float):
                raise invalid(f"Expected a numeric value for {clause.key}. Got value {clause.value}")
            continue
        check_operator(clause, _ATTRIBUTES[clause.key], f"Invalid comparator for attribute: {clause.operator}")
        if isinstance(clause.value, float):
            raise invalid("Only the '{'version_number'}' attributes support comparison with numeric values.")


def _candidates(store: Store, clauses: tuple[Clause, ...]) -> Sequence[ModelVersion]:
    """The versions that can match at all, by what the catalog finds fast."""
    for clause in clauses:
        if not clause.entity and clause.key == "name" and clause.operator == "=":
            return store.queries.ask(ModelVersions(name=str(clause.value)))
        if not clause.entity and clause.key == "run_id" and clause.operator in {"=", "IN"}:
            runs = clause.value if isinstance(clause.value, tuple) else (str(clause.value),)
            if len(runs) <= 100:
                return store.queries.ask(AllVersions(runs=runs))
    return store.queries.ask(AllVersions())


def _matches(store: Store, version: ModelVersion, clauses: tuple[Clause, ...]) -> bool:
    return all(matches(clause, _held(store, version, clause)) for clause in clauses)


def _held(store: Store, version: ModelVersion, clause: Clause) -> str | float | None:
    made = version.made
    if clause.entity in {"tag", "tags"}:
        return version_tags(store, version).get(clause.key)
    if clause.key == "version_number":
        return made.number
    return {"name": made.name, "run_id": made.run or None, "source_path": made.source}[clause.key]


def _sort(found: list[ModelVersion], order: tuple[str, ...]) -> None:
    keys: list[tuple[str, bool]] = []
    for text in order or ("last_updated_timestamp DESC", "name ASC", "version_number DESC"):
        key, rises = parse_order(text)
        key = key.strip('`"')
        if key not in _ORDER:
            raise invalid(f"Invalid order by key '{key}' specified. Valid keys are {set(_ORDER)}")
        if key in {known for known, _ in keys}:
            raise invalid(f"`order_by` contains duplicate fields: {list(order)}")
        keys.append((key, rises))
    known = {key for key, _ in keys}
    keys += [(key, rises) for key, rises in (("name", True), ("version_number", False)) if key not in known]
    # Stable sorts, the least important first.
    for key, rises in reversed(keys):
        found.sort(key=_ORDER[key], reverse=not rises)


_BASE = "/mlflow/model-versions"
ROUTES = (
    Route("POST", f"{_BASE}/create", create, "writer"),
    Route("GET", f"{_BASE}/get", get, "reader"),
    Route("PATCH", f"{_BASE}/update", update, "writer"),
    Route("POST", f"{_BASE}/transition-stage", transition, "writer"),
    Route("DELETE", f"{_BASE}/delete", delete, "writer"),
    Route("GET", f"{_BASE}/search", search, "reader"),
    Route("GET", f"{_BASE}/get-download-uri", get_download_uri, "reader"),
    Route("POST", f"{_BASE}/set-tag", set_tag, "writer"),
    Route("DELETE", f"{_BASE}/delete-tag", delete_tag, "writer"),
)
