"""The model registry: models, versions under their numbers, stages, aliases and words."""

import msgspec

from charkh.bridges.mlflow.exchanged import Registered, Source, Version
from charkh.bridges.mlflow.importing.landing import Landing
from charkh.bridges.mlflow.importing.places import owned_tail, scheme_of
from charkh.bridges.mlflow.locations import Location, Stored, files_at, locate
from charkh.bridges.mlflow.model_versions import version_made
from charkh.bridges.mlflow.sources import Source as ReadSource
from charkh.core.errors import CharkhError, Unavailable
from charkh.core.redact import redact
from charkh.models.alias import holder_of, move_alias
from charkh.models.annotate import describe, tag
from charkh.models.decisions import RegisterModel
from charkh.models.declare import declare
from charkh.models.index import ModelNamed, ModelVersions
from charkh.models.logged import ID_PATTERN as LOGGED_PATTERN
from charkh.models.model import ModelSummary, ModelVersion
from charkh.models.registered import parse_model_name
from charkh.models.stage import move_to_stage
from charkh.models.texts import all_tags, put_text, put_words, read_text
from charkh.ports.store import Store

VERSION_TAG = "charkh.version"
"""Names the version here that another registry's was exported from."""

_NO_STAGE = "None"


def land_registered(landing: Landing, source: Source, model: Registered, ids: dict[str, str]) -> None:
    """Let everything of a registered model be here that is not yet.

    Raises:
        Unavailable: the store cannot be written.
    """
    store, tally, where = landing.store, landing.tally, f"model {model.name}"
    try:
        name = parse_model_name(model.name)
        known = store.queries.ask(ModelNamed(name=name))
        if known is None and store.queries.ask(ModelVersions(name=name, deleted=True)):
            tally.left("registered model", "it was removed here")
            return
        if known is None:
            tally.new("registered model")
            declare(store, name, description=model.description, tags=model.tags)
        else:
            tally.there("registered model")
            _say(store, known, model)
    except CharkhError as error:
        _tell(landing, where, error)
        return
    numbers: dict[int, ModelVersion] = {}
    for version in model.versions:
        try:
            found = _land_version(landing, source, name, version, ids)
        except CharkhError as error:
            _tell(landing, f"{where}, version {version.number}", error)
            continue
        if found is not None:
            numbers[version.number] = found
    for alias, number in model.aliases.items():
        held = numbers.get(number)
        if held is not None:
            _alias(landing, name, alias, held)


def _alias(landing: Landing, name: str, alias: str, version: ModelVersion) -> None:
    try:
        holder = holder_of(landing.store, name, alias)
        if holder is not None:
            # Whoever moved it since, here or there, decided so; an import does not move it back.
            landing.tally.there("alias")
            return
        move_alias(landing.store, version.id, alias, reason="imported from MLflow")
        landing.tally.new("alias")
    except CharkhError as error:
        _tell(landing, f"alias {name}@{alias}", error)


def _say(store: Store, known: ModelSummary, model: Registered) -> None:
    if model.description and read_text(store, known.description) != redact(model.description.strip()):
        describe(store, known.name, model.description)
    _retag(store, known.name, all_tags(store, known.tags, known.long_tags), model.tags)


def _retag(store: Store, ref: str, here: dict[str, str], wanted: dict[str, str]) -> None:
    changed: dict[str, str | None] = {key: value for key, value in wanted.items() if here.get(key) != redact(value)}
    if changed:
        tag(store, ref, changed)


def _land_version(
    landing: Landing, source: Source, name: str, version: Version, ids: dict[str, str]
) -> ModelVersion | None:
    store = landing.store
    versions = store.queries.ask(ModelVersions(name=name, deleted=True))
    found = next((each for each in versions if _is_same(each, version)), None)
    if found is not None and found.deleted is not None:
        landing.tally.left("version", "it was deleted here")
        return None
    if found is None:
        found = _register(landing, source, name, version, ids)
        landing.tally.new("version")
        if found.made.number != version.number:
            landing.tally.left("version number", f"{name} {version.number} was taken here: it is {found.ref}")
        if version.stage not in {"", _NO_STAGE}:
            move_to_stage(store, found.id, version.stage, reason="imported from MLflow")
    else:
        landing.tally.there("version")
        if version.description and read_text(store, found.description) != redact(version.description.strip()):
            describe(store, found.id, version.description)
        _retag(store, found.id, all_tags(store, found.tags, found.long_tags), _without_ours(version.tags))
        if version.stage not in {"", _NO_STAGE} and not found.stage:
            move_to_stage(store, found.id, version.stage, reason="imported from MLflow")
    return found


def _is_same(here: ModelVersion, version: Version) -> bool:
    """Whether it is the version that was imported: from one source, made at one moment."""
    if version.tags.get(VERSION_TAG) == here.id:
        return True
    if here.made.source != redact(version.source):
        return False
    return abs(here.created - version.created) < 0.001 if version.created else here.made.number == version.number


def _register(landing: Landing, source: Source, name: str, version: Version, ids: dict[str, str]) -> ModelVersion:
    store = landing.store
    landing.commit()
    run = ids.get(version.run, version.run)
    files = _files(landing, source, version, ids, f"version {name}@{version.number}")
    logged = version.logged or _logged_in(version.source)
    logged = ids.get(logged, logged)
    read = ReadSource(files, run=run, logged=logged if LOGGED_PATTERN.fullmatch(logged) else "")
    made = version_made(store, name, version.source, read, run=run, link=version.link)
    description = put_text(store, version.description)
    made = msgspec.structs.replace(made, description=description, created=version.created)
    said = put_words(store, _without_ours(version.tags))
    command = RegisterModel(made=made, metrics={}, said=said, always=True, declared=True, least=version.number)
    (first, *_) = store.commands.decide(command)
    return next(each for each in store.queries.ask(ModelVersions(name=name)) if each.subject == first.subject)


def _files(landing: Landing, source: Source, version: Version, ids: dict[str, str], where: str) -> tuple[Stored, ...]:
    """The files of a version: those that came with its run or logged model, or those at its own address."""
    store = landing.store
    logged = version.logged or _logged_in(version.source)
    logged = ids.get(logged, logged)
    if logged:
        found = files_at(store, Location("logged", logged, ""))
        if found:
            return tuple(found)
    for address in (version.storage, version.source):
        location = _located(address)
        if location is None:
            continue
        owner = ids.get(location.owner, location.owner)
        found = _relative(files_at(store, location._replace(owner=owner)), location.path)
        if found:
            return found
        if scheme_of(address) in {"runs", "models"}:
            continue
        taken = landing.take(source.files(address, location.owner), {}, "artifact", where)
        if taken:
            return tuple(Stored(path, file) for path, file in taken)
    own = f"version-{version.number}"
    if owned_tail(version.storage, own):
        return tuple(
            Stored(path, file) for path, file in landing.take(source.files(version.storage, own), {}, "artifact", where)
        )
    return ()


def _located(address: str) -> Location | None:
    """What an address in the store means here: files of a run or logged model."""
    scheme, path = scheme_of(address), address.partition(":")[2] if scheme_of(address) else address
    parts = [part for part in path.split("/") if part]
    if scheme == "runs" and parts:
        return locate("/".join(["0", parts[0], "artifacts", *parts[1:]]))
    location = locate("/".join(parts[-64:])) if parts else None
    return location if location is not None and location.kind in {"run", "logged"} else None


def _logged_in(source: str) -> str:
    """The id in `models:/m-…`, or empty."""
    if scheme_of(source) != "models":
        return ""
    head = source.partition(":")[2].strip("/").partition("/")[0]
    return head if LOGGED_PATTERN.fullmatch(head) else ""


def _relative(files: list[Stored], path: str) -> tuple[Stored, ...]:
    below = f"{path}/" if path else ""
    return tuple(each._replace(path=each.path.removeprefix(below)) for each in files if each.path.startswith(below))


def _without_ours(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key != VERSION_TAG}


def _tell(landing: Landing, where: str, error: CharkhError) -> None:
    if isinstance(error, Unavailable):
        raise error
    landing.tally.tell(where, error.message)
