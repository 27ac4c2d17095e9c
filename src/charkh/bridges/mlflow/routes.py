"""The route table: every path that is answered, at its versions and under both prefixes, and how one is found.

Clients call `/api/VERSION/…`, MLflow's own pages `/ajax-api/VERSION/…`. A path that is not here is answered with 404
and nothing else, which clients take for a server without that feature.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from charkh.bridges.mlflow import (
    artifacts,
    evaluation_datasets,
    experiments,
    inputs,
    logged_models,
    logged_search,
    metrics,
    model_versions,
    otel,
    outputs,
    probes,
    recording,
    registered_models,
    runs,
    scorers,
    spans_file,
    trace_assessments,
    trace_search,
    traces,
    traces_v2,
    uploads,
    webhooks,
)
from charkh.bridges.mlflow.call import Route

PREFIXES = ("/api", "/ajax-api")
MODULES = (
    probes,
    artifacts,
    uploads,
    experiments,
    runs,
    recording,
    metrics,
    inputs,
    outputs,
    logged_search,
    logged_models,
    registered_models,
    model_versions,
    webhooks,
    otel,
    spans_file,
    trace_search,
    trace_assessments,
    traces,
    traces_v2,
    evaluation_datasets,
    scorers,
)
"""The modules of handlers; each has `ROUTES`."""

ROUTES: tuple[Route, ...] = tuple(route for module in MODULES for route in module.ROUTES)

OWN = ("/version", "/health", "/v1/traces", "/get-artifact", "/model-versions/get-artifact")
"""What stands at the root of the server."""


class Found(NamedTuple):
    """A route, and what stood in the places of its path."""

    route: Route
    values: Mapping[str, str]


class RouteTable:
    """Finds the route of a request."""

    def __init__(self, routes: Iterable[Route] = ROUTES) -> None:
        self._exact: dict[tuple[str, str], Found] = {}
        self._patterns: dict[str, list[tuple[re.Pattern[str], Route]]] = {}
        for route in routes:
            for path in paths_of(route):
                if "{" not in path:
                    self._exact[route.method, path] = Found(route, {})
                else:
                    self._patterns.setdefault(route.method, []).append((_pattern(path), route))

    def find(self, method: str, path: str) -> Found | None:
        """The route of a path; None where there is none."""
        path = _one_slash(path)
        found = self._exact.get((method, path))
        if found is not None:
            return found
        for pattern, route in self._patterns.get(method, ()):
            if match := pattern.fullmatch(path):
                return Found(route, match.groupdict())
        return None


def paths_of(route: Route) -> tuple[str, ...]:
    """The paths under which a route is called."""
    if not route.versions:
        return (route.path,)
    return tuple(f"{prefix}/{version}{route.path}" for prefix in PREFIXES for version in route.versions)


def is_mlflow(path: str) -> bool:
    """Whether a path of the server belongs to this protocol."""
    path = _one_slash(path)
    return path.startswith(("/api/2.0/", "/api/3.0/", "/ajax-api/")) or path in OWN


def _one_slash(path: str) -> str:
    """A path with one slash before it: a client whose address ends in one sends two."""
    return f"/{path.lstrip('/')}" if path.startswith("//") else path


def _pattern(path: str) -> re.Pattern[str]:
    parts: list[str] = []
    for part in path.split("/"):
        if part.startswith("{") and part.endswith("...}"):
            parts.append(f"(?P<{part[1:-4]}>.*)")
        elif part.startswith("{"):
            parts.append(f"(?P<{part[1:-1]}>[^/]+)")
        else:
            parts.append(re.escape(part))
    return re.compile("/".join(parts), re.DOTALL)
