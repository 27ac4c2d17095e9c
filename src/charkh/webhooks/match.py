"""Which facts a webhook is told of: patterns of kinds, and filters on what the fact is about. Pure, no I/O."""

from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from charkh.core.events import Event
from charkh.webhooks.webhook import Filter

SILENT = ("webhook.", "user.")
"""Facts that are told to nobody: of webhooks, where telling of a failure would fail again, and of users and tokens."""

NAMED_BY = ("name", "dataset", "model", "pipeline", "monitor", "endpoint", "loop", "study", "source", "alias")
"""Fields of bodies that say the name of what the fact is about."""


def word_of(kind: str) -> str:
    """A kind without its version: `run.ended`."""
    return kind.partition("/")[0]


def is_named(kind: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns names the kind (`run.ended/1`)."""
    word = word_of(kind)
    return not word.startswith(SILENT) and any(fnmatchcase(word, pattern) for pattern in patterns)


def names_of(body: Mapping[str, Any]) -> set[str]:
    """What a fact's body, as plain values, calls the thing that it is about."""
    found = {body.get(field) for field in NAMED_BY}
    return {each for each in found if isinstance(each, str) and each}


def passes(
    wanted: Filter, event: Event, names: Callable[[], Collection[str]], tags: Callable[[], Mapping[str, str]]
) -> bool:
    """Whether a fact is about what is wanted.

    Args:
        wanted: the filter.
        event: the fact.
        names: asked only where a name is wanted.
        tags: asked only where tags are wanted.
    """
    if wanted.subject and not fnmatchcase(event.subject, wanted.subject):
        return False
    if wanted.name and not any(fnmatchcase(name, wanted.name) for name in names()):
        return False
    if not wanted.tags:
        return True
    known = tags()
    return all(name in known and fnmatchcase(known[name], pattern) for name, pattern in wanted.tags.items())
