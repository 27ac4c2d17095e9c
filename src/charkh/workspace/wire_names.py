"""By which names queries and commands travel: `NOUN.TYPE`, made from what the projections declare.

What concerns users, their tokens and webhooks has routes of its own and is not among them.
"""

import functools
from collections.abc import Mapping
from typing import Any

from charkh.ports.projections import Command, Describe, Position, Query
from charkh.workspace.projections import PROJECTIONS

APART = frozenset({"user", "webhook"})
"""Projections that are not asked this way."""


@functools.cache
def query_types() -> Mapping[str, type[Query[Any]]]:
    """The queries that may be asked, by name."""
    found: dict[str, type[Query[Any]]] = {kind.__name__: kind for kind in (Describe, Position)}
    for each in PROJECTIONS:
        if each.name not in APART:
            found.update({f"{each.name}.{kind.__name__}": kind for kind in each.answers})
    return found


@functools.cache
def command_types() -> Mapping[str, type[Command]]:
    """The commands that may be given, by name."""
    return {
        f"{each.name}.{kind.__name__}": kind
        for each in PROJECTIONS
        if each.name not in APART
        for kind in each.decisions
    }


@functools.cache
def _names() -> Mapping[type, str]:
    return {kind: name for known in (query_types(), command_types()) for name, kind in known.items()}


def wire_name(kind: type) -> str:
    """The name of a query's or command's type; that of the type alone where it does not travel."""
    return _names().get(kind, kind.__name__)
