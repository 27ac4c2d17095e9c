"""Models, versions and logged models as they stand in MLflow's answers, and the checks that all their routes share."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from charkh.bridges.mlflow.call import Call
from charkh.bridges.mlflow.envelope import MISSING, MlflowError, invalid, number
from charkh.bridges.mlflow.locations import logged_root
from charkh.bridges.mlflow.sources import root_of
from charkh.core.errors import CharkhError, Conflict, Invalid
from charkh.core.refs import VersionRef
from charkh.models.declare import find_model
from charkh.models.index import ModelByRef, ModelVersions
from charkh.models.logged import LoggedModel
from charkh.models.model import ModelSummary, ModelVersion
from charkh.models.registered import STAGES, parse_model_name
from charkh.models.texts import all_tags, read_text
from charkh.ports.store import Store

PROMPT_TAG = "mlflow.prompt.is_prompt"
MAX_KEY = 250
MAX_VALUE = 100_000
MAX_ALIAS = 255
STATUSES = {"pending": "LOGGED_MODEL_PENDING", "ready": "LOGGED_MODEL_READY", "failed": "LOGGED_MODEL_UPLOAD_FAILED"}
_ALIAS = re.compile(r"[\w\-]*")
_VERSION_ALIAS = re.compile(r"[vV]\d+")
_KEY = re.compile(r"[/\w.\- :]*")

Fields = dict[str, Any]


def milliseconds(moment: float) -> int:
    """Seconds since the epoch as MLflow writes times."""
    return round(moment * 1000)


def pairs(values: Mapping[str, str]) -> list[Fields]:
    """A map as MLflow's list of keys and values."""
    return [{"key": key, "value": value} for key, value in values.items()]


def version_fields(store: Store, version: ModelVersion) -> Fields:
    """A `ModelVersion` of the protocol."""
    made = version.made
    fields: Fields = {
        "name": made.name,
        "version": str(made.number),
        "creation_timestamp": milliseconds(version.created),
        "last_updated_timestamp": milliseconds(version.updated),
        "user_id": version.actor,
        "current_stage": version.stage or "None",
        "source": made.source or f"charkh:{made.name}@{made.number}",
        "status": "READY",
        "description": read_text(store, version.description),
    }
    optional = {
        "run_id": made.run,
        "run_link": made.link,
        "model_id": made.logged,
    }
    fields |= {name: value for name, value in optional.items() if value}
    if tags := version_tags(store, version):
        fields["tags"] = pairs(tags)
    if version.aliases:
        fields["aliases"] = list(version.aliases)
    return fields


def model_fields(store: Store, model: ModelSummary) -> Fields:
    """A `RegisteredModel` of the protocol, with the latest version of each stage."""
    fields: Fields = {
        "name": model.name,
        "creation_timestamp": milliseconds(model.created),
        "last_updated_timestamp": milliseconds(model.updated),
        "user_id": model.actor,
    }
    if description := read_text(store, model.description):
        fields["description"] = description
    latest = latest_by_stage(store.queries.ask(ModelVersions(name=model.name))) if model.versions else {}
    if latest:
        fields["latest_versions"] = [version_fields(store, version) for version in latest.values()]
    if tags := model_tags(store, model):
        fields["tags"] = pairs(tags)
    if model.aliases:
        fields["aliases"] = [{"alias": alias, "version": str(at)} for alias, at in sorted(model.aliases.items())]
    return fields


def logged_fields(store: Store, model: LoggedModel) -> Fields:
    """A `LoggedModel` of the protocol."""
    made = model.made
    info: Fields = {
        "experiment_id": made.project or "0",
        "model_id": made.logged,
        "name": made.name,
        "artifact_uri": logged_root(made.project, made.logged, root_of(store, made.project)),
        "creation_timestamp_ms": milliseconds(made.created),
        "last_updated_timestamp_ms": milliseconds(model.updated),
        "status": STATUSES[model.status],
    }
    optional = {"model_type": made.type, "source_run_id": made.run, "status_message": model.message}
    info |= {name: value for name, value in optional.items() if value}
    if tags := all_tags(store, model.tags, model.long_tags):
        info["tags"] = pairs(tags)
    data: Fields = {}
    if params := all_tags(store, model.params, model.long_params):
        data["params"] = pairs(params)
    if model.metrics:
        data["metrics"] = [_metric(model.id, each.run, each.value) for each in model.metrics]
    return {"info": info, "data": data}


def _metric(logged: str, run: str, value: Any) -> Fields:
    fields: Fields = {
        "key": value.key,
        "value": number(value.value),
        "timestamp": value.time,
        "step": value.step,
        "model_id": logged,
        "run_id": run,
    }
    if value.dataset:
        fields |= {"dataset_name": value.dataset, "dataset_digest": value.digest}
    return fields


def model_tags(store: Store, model: ModelSummary) -> dict[str, str]:
    """All tags of a model."""
    return all_tags(store, model.tags, model.long_tags)


def version_tags(store: Store, version: ModelVersion) -> dict[str, str]:
    """All tags of a version."""
    return all_tags(store, version.tags, version.long_tags)


def latest_by_stage(versions: Iterable[ModelVersion]) -> dict[str, ModelVersion]:
    """The greatest version of each stage, in MLflow's order of stages; `versions` come newest first."""
    latest: dict[str, ModelVersion] = {}
    for version in versions:
        latest.setdefault(version.stage or "None", version)
    return {stage: latest[stage] for stage in STAGES if stage in latest}


def name_of(call: Call, field: str = "name") -> str:
    """A registered model's name among the fields, canonical.

    Raises:
        MlflowError: it is missing, or no model can be called so.
    """
    text = call.text(field)
    try:
        return parse_model_name(text)
    except Invalid as error:
        raise invalid(f"Invalid {field}: '{text[:200]}'. {error.hint}") from error


def model_of(call: Call) -> ModelSummary:
    """The registered model that a call names.

    Raises:
        MlflowError: there is none.
    """
    name = name_of(call)
    try:
        return find_model(call.store, name)
    except CharkhError as error:
        more = f": it was renamed to {error.facts['renamed']}" if "renamed" in error.facts else ""
        raise MlflowError(MISSING, f"Registered Model with name={name} not found{more}") from error


def version_of(call: Call) -> ModelVersion:
    """The version that a call names by name and number.

    Raises:
        MlflowError: there is none, it was deleted, or the number is none.
    """
    return numbered(call.store, name_of(call), version_number(call))


def version_number(call: Call) -> str:
    """The number of a version among the fields; a text on the wire, but clients send integers too.

    Raises:
        MlflowError: it is missing, or no number.
    """
    value = call.body.get("version")
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else call.text("version")
    if not text.isdecimal() or len(text) > 18 or not text.isascii():
        raise invalid(f"Parameter 'version' must be an integer, got '{text[:100]}'.")
    return str(int(text))


def numbered(store: Store, name: str, selector: str) -> ModelVersion:
    """A live version by name and number.

    Raises:
        MlflowError: there is none, or several that were made apart.
    """
    version = None
    if selector != "0":
        try:
            version = store.queries.ask(ModelByRef(ref=VersionRef(name, selector)))
        except Conflict as error:
            raise MlflowError("RESOURCE_CONFLICT", f"{error.message} {error.hint}") from error
    if version is None or version.deleted is not None:
        raise MlflowError(MISSING, f"Model Version (name={name}, version={selector}) not found")
    return version


def alias_of(call: Call, *, reserved: bool) -> str:
    """An alias among the fields.

    Args:
        call: the request.
        reserved: refuse the words that always mean something else.

    Raises:
        MlflowError: it is empty, no alias can be called so, or it is reserved.
    """
    alias = call.text("alias", "")
    if not alias:
        raise invalid("Registered model alias name cannot be empty.")
    if not _ALIAS.fullmatch(alias):
        raise invalid(
            f"Invalid alias name: '{alias[:200]}'. Names may only contain alphanumerics, underscores (_), and "
            "dashes (-)."
        )
    check_length("Registered model alias name", alias, MAX_ALIAS)
    if reserved and alias.lower() == "latest":
        raise invalid("'latest' alias name (case insensitive) is reserved.")
    if reserved and (_VERSION_ALIAS.fullmatch(alias) or alias.isdecimal()):
        raise invalid(f"Version alias name '{alias}' is reserved.")
    return alias


def tag_of(call: Call) -> tuple[str, str]:
    """Key and value of a tag among the fields.

    Raises:
        MlflowError: the key is missing or cannot be kept, or the value is too long.
    """
    return checked_pair(call.text("key"), call.text("value", ""))


def tags_of(call: Call, field: str = "tags") -> dict[str, str]:
    """The tags of something that is made.

    Raises:
        MlflowError: one cannot be kept.
    """
    found: dict[str, str] = {}
    for item in call.items(field):
        key, value = item.get("key"), item.get("value", "")
        if not isinstance(key, str) or not isinstance(value, str):
            raise invalid(f"Invalid value for parameter '{field}' supplied: keys and values are texts.")
        key, value = checked_pair(key, value)
        found[key] = value
    return found


def checked_pair(key: str, value: str, limit: int = MAX_VALUE) -> tuple[str, str]:
    """A tag that may be kept.

    Raises:
        MlflowError: it may not.
    """
    if not key or not _KEY.fullmatch(key):
        raise invalid(
            f"Invalid value {key[:200]!r} for parameter 'key' supplied: Names may only contain alphanumerics, "
            "underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)."
        )
    if any(part == ".." for part in key.split("/")) or key.startswith("/") or "//" in key or key == ".":
        raise invalid(f"Invalid value {key[:200]!r} for parameter 'key' supplied: Names must be unique paths.")
    check_length("key", key, MAX_KEY)
    check_length("value", value, limit)
    return key, value


def check_length(what: str, text: str, limit: int) -> None:
    """Refuse a text that is too long, in MLflow's words."""
    if len(text) > limit:
        raise invalid(
            f"'{what}' exceeds the maximum length of {limit} characters. Got {len(text)} characters: '{text[:100]}…'"
        )


def size_of(call: Call, default: int, most: int) -> int:
    """`max_results` among the fields.

    Raises:
        MlflowError: it is no number from 1 to `most`.
    """
    size = call.whole("max_results", default)
    if size < 1:
        raise invalid(f"Invalid value for max_results. It must be a positive integer, but got {size}")
    if size > most:
        raise invalid(
            f"Invalid value for request parameter max_results. It must be at most {most}, but got value {size}"
        )
    return size
