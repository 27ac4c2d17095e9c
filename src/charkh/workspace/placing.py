"""What a workspace's endpoint needs elsewhere: the text of a `charkh.toml` that serves it from the same store."""

from typing import Any

import msgspec
import tomlkit

from charkh.core.config import Settings
from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.errors import Invalid, NotFound


def endpoint_of(settings: Settings, name: str) -> EndpointSettings:
    """What the settings say about an endpoint.

    Raises:
        NotFound: they have no such endpoint.
    """
    known = settings.endpoint
    if name not in known:
        raise NotFound(
            f"charkh.toml has no endpoint {name!r}",
            code="endpoint.not_configured",
            hint=f"Write [endpoint.{name}] with a model; known: {', '.join(sorted(known)) or 'none'}.",
        )
    return known[name]


def settings_elsewhere(settings: Settings, name: str) -> str:
    """A `charkh.toml` with which another machine serves the endpoint: its store, the endpoint, what the registry asks.

    Raises:
        NotFound: the settings have no such endpoint.
        Invalid: the store is a folder of this machine.
    """
    endpoint, store = endpoint_of(settings, name), settings.store
    if not store.journal or not store.blobs:
        raise Invalid(
            "the store is a folder of this machine, and other machines cannot read it",
            code="store.not_shared",
            hint="Share it: [store] journal = postgresql://…, blobs = s3://… (docs/guides/team.md).",
        )
    document: dict[str, Any] = {"store": {"journal": store.journal, "blobs": store.blobs}}
    registry = _said(settings.registry)
    if registry:
        document["registry"] = registry
    document["endpoint"] = {name: _said(endpoint)}
    return tomlkit.dumps(document)


def _said(settings: msgspec.Struct) -> dict[str, Any]:
    """The fields that differ from their defaults, as TOML has them."""
    whole: dict[str, Any] = msgspec.to_builtins(settings)
    kept = {field.name: field.default for field in msgspec.structs.fields(settings)}
    return {name: value for name, value in whole.items() if value not in (kept.get(name), None, [], {})}
