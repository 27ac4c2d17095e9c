"""Where a fetch goes on: what the source had said when the newest version that is really there was made."""

from typing import NamedTuple

import msgspec

from charkh.core.errors import NotFound
from charkh.core.refs import VersionRef
from charkh.core.source_settings import Mode
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.index import DatasetById, DatasetByRef, NewestVersion
from charkh.ports.store import Store
from charkh.sources.index import Fetches, StateFor
from charkh.sources.source import State, Told, decode_state, joined


class Start(NamedTuple):
    """Where a fetch begins.

    Attributes:
        parent: the newest live version of the dataset, or None.
        state: what the source had said about it; nothing at all where it is new.
        told: where that state stands, or None.
        since: id of the newest fetch of the source, or empty.
    """

    parent: DatasetVersion | None
    state: State
    told: Told | None
    since: str


def start(store: Store, source: str, dataset: str, mode: Mode, *, full: bool) -> Start:
    """Where the next fetch of a source begins.

    The state follows the data: that of the newest live version, or of the nearest version that it was made from and
    that the source was fetched for. So a deleted version is fetched again, and what a colleague brought is not.

    Args:
        store: where the versions are.
        source: name of the source.
        dataset: name of the dataset.
        mode: how the fetch adds.
        full: begin as if nothing had ever come.

    Raises:
        Conflict: it would append, and the newest version was made twice apart.
        NotFound: the state's bytes are not here.
    """
    ref = VersionRef(dataset)
    query = DatasetByRef(ref=ref) if mode == "append" and not full else NewestVersion(name=dataset)
    parent = store.queries.ask(query)
    newest = next(iter(store.queries.ask(Fetches(source=source, limit=1))), None)
    since = newest.id if newest else ""
    told = () if full or parent is None else _told(store, source, parent)
    if not told:
        return Start(parent, State(), None, since)
    state = joined([_read(store, each, source) for each in told])
    if mode == "mirror" and parent is not None:
        state = _still_there(store, state, parent)
    return Start(parent, state, told[-1], since)


def _told(store: Store, source: str, version: DatasetVersion) -> tuple[Told, ...]:
    """What the source said for the version, or else for the nearest ones that it was made from; the last at the end."""
    found: list[Told] = []
    waiting, seen = [version], {version.id}
    while waiting:
        each = waiting.pop()
        told = store.queries.ask(StateFor(source=source, version=each.id))
        if told is not None:
            found.append(told)
            continue
        for identifier in each.made.all_parents:
            before = None if identifier in seen else store.queries.ask(DatasetById(version=identifier))
            seen.add(identifier)
            if before is not None:
                waiting.append(before)
    return tuple(sorted(found, key=lambda told: told.at))


def _read(store: Store, told: Told, source: str) -> State:
    try:
        return decode_state(b"".join(store.vault.read(told.state)))
    except NotFound as error:
        raise NotFound(
            f"what {source!r} had said when fetch {told.fetch[:8]} was made is not on this machine",
            code="source.no_state",
            hint="Bring it with `charkh sync`, or fetch everything anew with --full.",
        ) from error


def _still_there(store: Store, state: State, parent: DatasetVersion) -> State:
    """The state without the things whose files somebody changed or removed in the dataset: they are taken again."""
    there = {entry.path: entry.file.digest for entry in store.vault.entries(parent.made.tree.root)}
    items = {key: item for key, item in state.items.items() if there.get(item.path) == item.stored}
    return msgspec.structs.replace(state, items=items)
