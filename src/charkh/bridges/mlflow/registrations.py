"""The tag `mlflow.modelVersions` of a logged model: which registered versions were made from it, each once."""

import json
from collections.abc import Iterable
from typing import Any, cast

MODEL_VERSIONS_TAG = "mlflow.modelVersions"


def registrations(text: str) -> list[tuple[str, int]]:
    """The names and numbers in the tag, each once, in their order; none where it says nothing that can be read."""
    try:
        listed: Any = json.loads(text) if text else []
    except (ValueError, RecursionError):
        return []
    found: dict[tuple[str, int], None] = {}
    for item in cast(list[Any], listed) if isinstance(listed, list) else []:
        said = cast(dict[str, Any], item) if isinstance(item, dict) else {}
        name, number = said.get("name"), said.get("version")
        if isinstance(name, str) and str(number).isdecimal():
            found.setdefault((name, int(str(number))))
    return list(found)


def registrations_text(entries: Iterable[tuple[str, int]]) -> str:
    """The tag's text, as MLflow's server writes it: clients compare it."""
    return json.dumps([{"name": name, "version": number} for name, number in entries])
