"""Versions of one name and number that were made apart: told apart by who made them (`flights@3~ann`)."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Protocol, TypeVar

from charkh.core.errors import Conflict
from charkh.core.refs import VersionRef


class Authored(Protocol):
    """A version of a named thing."""

    @property
    def id(self) -> str: ...

    @property
    def ref(self) -> str:
        """`name@number`."""
        ...

    @property
    def actor(self) -> str:
        """`user@host`."""
        ...


V = TypeVar("V", bound=Authored)
SHORT = 8
"""Characters of an id that tell versions of one actor apart: the last ones, for the first are the time."""


def distinct_refs(versions: Sequence[Authored]) -> tuple[str, ...]:
    """A reference for each of several versions with one name and number, such as `flights@3~ann`.

    The author is the user; the whole actor where users are equal; the end of the version's id where actors are.
    """
    counted = Counter(name for version in versions for name in {_user(version), version.actor, version.id[-SHORT:]})
    return tuple(f"{version.ref}~{_author(version, counted)}" for version in versions)


def refs_of(versions: Sequence[Authored]) -> dict[str, str]:
    """By id, a reference that tells each of these versions from the others: `flights@3`, or `flights@3~ann`."""
    by_ref: dict[str, list[Authored]] = defaultdict(list)
    for version in versions:
        by_ref[version.ref].append(version)
    return {
        version.id: ref
        for ref, same in by_ref.items()
        for version, ref in zip(same, distinct_refs(same) if len(same) > 1 else [ref], strict=True)
    }


def is_authored_by(version: Authored, author: str) -> bool:
    """Whether `author`, as it stands behind `~`, means this version."""
    return author in {_user(version), version.actor} or (len(author) >= SHORT and version.id.endswith(author))


def the_one(ref: VersionRef, found: Sequence[V], noun: str) -> V | None:
    """The version that a reference means, of those with its name and number; None where there is none.

    Raises:
        Conflict: it means several; the error lists a reference for each.
    """
    meant = [version for version in found if not ref.author or is_authored_by(version, ref.author)]
    if len(meant) > 1:
        refs = distinct_refs(meant)
        raise Conflict(
            f"{ref} means {len(meant)} versions that were made apart: {', '.join(refs)}",
            code=f"{noun}.ambiguous",
            hint="Name the one you mean.",
            facts={"refs": list(refs)},
        )
    return meant[0] if meant else None


def _user(version: Authored) -> str:
    return version.actor.partition("@")[0]


def _author(version: Authored, counted: Counter[str]) -> str:
    """The first of its names that no other version has."""
    names = (_user(version), version.actor, version.id[-SHORT:])
    return next((name for name in names if counted[name] == 1), version.id)
