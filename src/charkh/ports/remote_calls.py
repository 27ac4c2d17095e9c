"""How commands and queries travel to a store elsewhere: by the name of their type, in msgpack."""

import sys
from types import SimpleNamespace
from typing import Any, get_type_hints

import msgspec

from charkh.core.events import Event
from charkh.ports.projections import Query

QUERIES = "/api/queries"
COMMANDS = "/api/commands"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A query on its way: the name of its type, and the struct itself."""

    type: str
    query: msgspec.Raw


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, of the type that the query's type names, and whether it lacks the newest facts."""

    answer: msgspec.Raw
    stale: bool = False


class Ordered(msgspec.Struct, frozen=True, kw_only=True):
    """A command on its way; sent again under the same key, it is decided once."""

    type: str
    command: msgspec.Raw
    key: str


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What a command came to."""

    events: tuple[Event, ...]


def answer_type(kind: type[Query[Any]]) -> Any:
    """The type of the answers to a type of query."""
    for base in getattr(kind, "__orig_bases__", ()):
        for answer in getattr(base, "__args__", ())[:1]:
            # It may name a type that stands further down in its module.
            written = SimpleNamespace(__annotations__={"answer": answer})
            return get_type_hints(written, globalns=vars(sys.modules[kind.__module__]))["answer"]
    return Any
