"""What every kind of source does when it is looked at: say what is new, and lay its bytes down on this disk."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from charkh.core.errors import Invalid
from charkh.core.refs import parse_path
from charkh.ports.vault import Progress
from charkh.sources.source import Item, State
from charkh.sources.staging import Staging


class Arrival(NamedTuple):
    """One thing that came.

    Attributes:
        item: what the source said about it.
        place: its bytes on this disk, or None when it was only looked at.
        changed: the source had offered it before, with other content.
        numbered: it is one more part of a table, and gets the next free name in the dataset.
        rewritten: its bytes are not the source's own any more.
    """

    item: Item
    place: Path | None
    changed: bool = False
    numbered: bool = False
    rewritten: bool = False


class Collected(NamedTuple):
    """What a look at a source found.

    Attributes:
        arrivals: what is new or changed.
        kept: what is as it was.
        gone: what the source offered before and does not any more.
        state: what it says now, without its items.
        notes: what a person should know, such as what was skipped.
        whole: what arrived and what is kept is everything that the source has; no other file of earlier stays.
        origins: (relation, subject) of what it was made from beside the source.
    """

    arrivals: tuple[Arrival, ...] = ()
    kept: tuple[Item, ...] = ()
    gone: tuple[Item, ...] = ()
    state: State = State()
    notes: tuple[str, ...] = ()
    whole: bool = False
    origins: tuple[tuple[str, str], ...] = ()

    @property
    def size(self) -> int:
        """Bytes that came."""
        return sum(max(0, arrival.item.size) for arrival in self.arrivals)


class Collector(Protocol):
    """A source that can be looked at.

    Idempotence: looking again with the same state finds the same as long as the source has not changed; bytes that
    lie whole in the staging folder are not fetched again.
    Errors: `Unavailable` for a source that does not answer, `NotFound` for one that is not there, `Denied` for one
    that refuses, `Invalid` for one that is not as the settings say; no exception of a foreign library passes.
    """

    @property
    def kind(self) -> str:
        """The word of the settings."""
        ...

    @property
    def address(self) -> str:
        """Where it is, for people: without credentials."""
        ...

    def collect(self, state: State, staging: Staging, *, dry_run: bool, progress: Progress | None) -> Collected:
        """What is new since `state`, with its bytes; with `dry_run`, only what would come."""
        ...


def sort_out(found: Iterable[Arrival | Item], before: State, *, missed: Iterable[str] = ()) -> Collected:
    """A look at things that each come whole: arrivals, what is kept, and what is gone.

    Args:
        found: an arrival for what is new or changed, an item for what is as it was.
        before: what the source had said.
        missed: keys that could not be told and are taken to be there still.
    """
    arrivals: list[Arrival] = []
    kept: list[Item] = []
    for each in found:
        if isinstance(each, Arrival):
            arrivals.append(each)
        else:
            kept.append(each)
    there = {arrival.item.key for arrival in arrivals} | {item.key for item in kept} | set(missed)
    gone = tuple(item for key, item in sorted(before.items.items()) if key not in there)
    return Collected(
        arrivals=tuple(arrivals), kept=tuple(kept), gone=gone, state=State(columns=before.columns, extra=before.extra)
    )


def refuse_same_path(items: Iterable[tuple[str, str]]) -> None:
    """Refuse two things of a source that would have one path in the dataset.

    Args:
        items: (key, path) of each.

    Raises:
        Invalid: there are two.
    """
    taken: dict[str, str] = {}
    for key, path in items:
        other = taken.setdefault(path, key)
        if other != key:
            raise Invalid(
                f"{other} and {key} would both be {path} in the dataset",
                code="source.same_path",
                hint="Give each a path of its own: `path` of an HTTP source, or a narrower pattern.",
                facts={"path": path},
            )


def checked_path(text: str, key: str) -> str:
    """A path in the dataset for a thing of a source.

    Raises:
        Invalid: no dataset can keep that path.
    """
    try:
        return parse_path(text)
    except Invalid as error:
        raise Invalid(
            f"{key} would be {text[:80]!r} in the dataset, which is no path that it can keep",
            code="source.path",
            hint="Rename it at the source, or say `path`.",
        ) from error
