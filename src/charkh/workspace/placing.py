"""What a workspace's endpoint needs elsewhere: the text of a `charkh.toml` that serves it from the same store."""

from typing import Any

import tomlkit

from charkh.core.config import Settings
from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.errors import Invalid, NotFound
from charkh.core.written_settings import written


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
    registry = written(settings.registry)
    if registry:
        document["registry"] = registry
    document["endpoint"] = {name: written(endpoint)}
    return tomlkit.dumps(document)
