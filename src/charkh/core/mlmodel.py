"""The `MLmodel` file of a model folder of MLflow's, read as data of others: bounded, and nothing in it is followed."""

from collections.abc import Mapping
from typing import Any, cast

FILE = "MLmodel"
MAX_BYTES = 1024 * 1024


def read_mlmodel(data: bytes) -> dict[str, Any]:
    """The fields of an `MLmodel` file; none where it is no map, too long, or no YAML parser is installed."""
    if len(data) > MAX_BYTES:
        return {}
    try:
        # An extra: a server without it records versions whose signature nobody knows.
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError
    except ImportError:
        return {}
    try:
        found: Any = YAML(typ="safe", pure=True).load(data)
    except (YAMLError, ValueError, RecursionError, AttributeError, TypeError):
        return {}
    return cast(dict[str, Any], found) if isinstance(found, dict) else {}


def flavours_in(fields: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What it says of each flavour, by name."""
    said = fields.get("flavors")
    flavours = cast(dict[Any, Any], said) if isinstance(said, dict) else {}
    return {str(name): cast(dict[str, Any], each) for name, each in flavours.items() if isinstance(each, dict)}
