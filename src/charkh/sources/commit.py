"""Make a dataset version of what came, together with the fact that says how: both in one decision."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import msgspec

from charkh.assets.flush import flush
from charkh.core.clock import seconds
from charkh.core.errors import Bug, Conflict, Invalid
from charkh.core.events import Draft
from charkh.core.files import FileRef, TreeEntry
from charkh.core.ids import new_id
from charkh.core.source_settings import AnySource
from charkh.datasets.append import appended_shape
from charkh.datasets.dataset import Batch, Column, DatasetVersion, Reading, VersionMade, bounded_schema, bounded_sources
from charkh.datasets.find import find
from charkh.datasets.formats import format_of
from charkh.datasets.index import AddVersion
from charkh.datasets.sniff import TableShape, read_shape, schema_of
from charkh.datasets.walk import LocalFile, local_files
from charkh.ports.store import Store
from charkh.sources.collecting import Arrival, Collected
from charkh.sources.index import AddFetched, FetchById
from charkh.sources.source import (
    CHECKED_KIND,
    Checked,
    Fetch,
    Fetched,
    Item,
    State,
    by_key,
    encode_state,
    said,
    shown_address,
)
from charkh.sources.starting import Start

CHECK_EVERY = 3600.0
"""Shortest time, in seconds, between two facts that say that a source had nothing new."""


class Fetching(NamedTuple):
    """One fetch under way.

    Attributes:
        source: name of the source.
        fetch: id of the fetch.
        kind: of the source.
        address: for people.
        settings: of the source.
        dataset: name of the dataset.
        full: nothing of what the source brought before stays.
    """

    source: str
    fetch: str
    kind: str
    address: str
    settings: AnySource
    dataset: str
    full: bool = False


class Committed(NamedTuple):
    """A fetch that was recorded, and the version that says what it brought."""

    fetch: Fetch
    version: DatasetVersion


class _Put(NamedTuple):
    """What came, in the vault."""

    entries: list[TreeEntry]
    items: list[Item]
    shape: TableShape | None


def commit(
    store: Store, fetching: Fetching, start: Start, collected: Collected, origins: Sequence[tuple[str, str]] = ()
) -> Committed:
    """Make a version of what came.

    Args:
        store: where it goes.
        fetching: the fetch.
        start: where it began.
        collected: what came, each with its bytes.
        origins: (relation, subject) of what else it was made from.

    Raises:
        Conflict: another fetch, or somebody who added to the dataset, was faster; what came stays staged.
        Invalid: what came is no table as the dataset is one, or the source has nothing at all any more.
    """
    mode = _mode(fetching, collected)
    before = _entries(store, start.parent)
    put = _put(store, fetching, collected.arrivals, before if mode == "append" else {})
    made = _made(store, fetching, start, put, collected, before, mode)
    state = store.vault.put_bytes(encode_state(_state(start.state, put.items, collected, mode)), "state")
    erased = flush(store, put.entries)
    changed = sum(arrival.changed for arrival in collected.arrivals)
    settings = fetching.settings
    fetched = Fetched(
        source=fetching.source,
        fetch=fetching.fetch,
        kind=fetching.kind,
        mode=mode,
        dataset=fetching.dataset,
        version="",
        state=state,
        address=fetching.address,
        new=len(collected.arrivals) - changed,
        changed=changed,
        gone=len(collected.gone) if mode == "mirror" else 0,
        size=collected.size,
        since=start.since,
        licence=said(settings.licence),
        consent=said(settings.consent),
        provenance=said(settings.provenance),
    )
    add = AddVersion(made=made, origins=tuple(origins), erased=erased)
    _decide(store, fetching, AddFetched(add=add, fetched=fetched))
    done = store.queries.ask(FetchById(fetch=fetching.fetch))
    if done is None:
        raise Bug(f"the fetch {fetching.fetch} that was just recorded cannot be found")
    return Committed(done, find(store, f"dataset:{done.made.version}"))


def has_news(fetching: Fetching, collected: Collected) -> bool:
    """Whether a look found anything that makes a version."""
    gone = bool(collected.gone) and fetching.settings.used_mode == "mirror"
    return bool(collected.arrivals) or gone


def record_checked(store: Store, fetching: Fetching, start: Start, collected: Collected) -> None:
    """Say that the source was asked and had nothing new: at most one fact an hour, however often it is asked."""
    if start.told is not None and seconds(store.clock.now()) - start.told.at < CHECK_EVERY:
        return
    state = encode_state(_state(start.state, (), collected, fetching.settings.used_mode))
    ref = None
    if start.told is None or state != b"".join(store.vault.read(start.told.state)):
        ref = store.vault.put_bytes(state, "state")
        store.vault.flush()
    version = start.parent.id if start.parent is not None and start.told is not None else ""
    look = new_id()
    body = Checked(source=fetching.source, look=look, version=version, state=ref)
    drops = (f"look:{start.told.look}",) if ref and start.told and start.told.look else ()
    store.record(
        Draft(
            kind=CHECKED_KIND,
            subject=f"look:{look}",
            body=body,
            holds=(ref.held,) if ref else (),
            drops=drops,
        )
    )


def _mode(fetching: Fetching, collected: Collected) -> str:
    """How this fetch adds: what comes whole takes the place of what came before."""
    return "mirror" if fetching.full or collected.whole else fetching.settings.used_mode


def _decide(store: Store, fetching: Fetching, command: AddFetched) -> None:
    try:
        store.commands.decide(command)
    except Conflict as error:
        if error.code != "dataset.moved":
            raise
        raise Conflict(
            f"somebody added to {fetching.dataset!r} while {fetching.source!r} was fetched",
            code="source.moved",
            hint="Fetch again: what came is kept, and goes on from what is there now.",
        ) from error


def _entries(store: Store, version: DatasetVersion | None) -> dict[str, TreeEntry]:
    return {} if version is None else {each.path: each for each in store.vault.entries(version.made.tree.root)}


def _put(store: Store, fetching: Fetching, arrivals: Sequence[Arrival], taken: Mapping[str, TreeEntry]) -> _Put:
    """What came, in the vault; beside files that stay, each gets a path of its own."""
    settings = fetching.settings
    files: list[LocalFile] = []
    entries: list[TreeEntry] = []
    items: list[Item] = []
    paths = dict[str, TreeEntry](taken)
    for arrival in arrivals:
        place = arrival.place
        if place is None:
            raise Bug(f"{arrival.item.key} came without its bytes")
        file = store.vault.put_file(place)
        _refuse_changed(arrival, file)
        path = _free_path(arrival, file, paths)
        entry = TreeEntry(path, file)
        paths[path] = entry
        entries.append(entry)
        items.append(msgspec.structs.replace(arrival.item, path=path, stored=file.digest))
        files.append(local_files([place])[0]._replace(path=path))
    if not files or settings.files or any(format_of(file.path) is None for file in files):
        return _Put(entries, items, None)
    shape = read_shape(sorted(files), _reading(fetching))
    items = [msgspec.structs.replace(item, rows=shape.rows[item.path]) for item in items]
    return _Put(entries, items, shape)


def _refuse_changed(arrival: Arrival, file: FileRef) -> None:
    """A file of the user's that was written while it was taken is neither what it was nor what it will be."""
    if arrival.item.digest and not arrival.rewritten and arrival.item.digest != file.digest:
        raise Conflict(
            f"{arrival.item.key} changed while it was fetched",
            code="source.file_changed",
            hint="Fetch again when whoever writes it is done.",
        )


def _free_path(arrival: Arrival, file: FileRef, taken: Mapping[str, TreeEntry]) -> str:
    """Where a file comes to lie: under its own path, or beside what has it with other content."""
    path = PurePosixPath(arrival.item.path)
    number = len(taken) + 1 if arrival.numbered else 2
    shown = f"{path.stem}-{number:05}{path.suffix}" if arrival.numbered else path.name
    while (there := taken.get(str(path.with_name(shown)))) is not None and there.file.digest != file.digest:
        number += 1
        shown = f"{path.stem}-{number:05}{path.suffix}" if arrival.numbered else f"{path.stem}.{number}{path.suffix}"
    return str(path.with_name(shown))


def _state(before: State, came: Sequence[Item], collected: Collected, mode: str) -> State:
    """What the next fetch goes on from; what was taken once is not forgotten where earlier files stay."""
    parts = any(arrival.numbered for arrival in collected.arrivals)
    items = {} if mode == "mirror" or parts else dict(before.items)
    items |= by_key(collected.kept)
    items |= by_key(came)
    return msgspec.structs.replace(collected.state, items=items)


def _made(
    store: Store,
    fetching: Fetching,
    start: Start,
    put: _Put,
    collected: Collected,
    before: Mapping[str, TreeEntry],
    mode: str,
) -> VersionMade:
    parent, appended = start.parent, mode == "append" and start.parent is not None
    kept = [item for item in collected.kept if item.path in before] if mode == "mirror" else []
    fresh = [each for each in put.entries if _digest(before.get(each.path)) != each.file.digest]
    stays = before if appended else {item.path: before[item.path] for item in kept}
    entries = {**stays, **{each.path: each for each in put.entries}}
    if not entries:
        raise Invalid(
            f"{fetching.source!r} has nothing any more, and no version of {fetching.dataset!r} is made of nothing",
            code="source.empty",
            hint="Look at the source; if the data is really gone, delete the dataset's versions.",
        )
    table = _table(fetching, put, parent if stays else None)
    came = None if put.shape is None else sum(put.shape.rows.values())
    new_rows = None if put.shape is None else sum(put.shape.rows[each.path] for each in fresh)
    rows = None
    if table is not None:
        known = (parent.made.rows or 0 if parent else 0) if appended else sum(item.rows or 0 for item in kept)
        rows = known + ((new_rows if appended else came) or 0)
    # Parts of a query's result have no address of their own.
    shown = (
        [] if collected.whole else [shown_address(each.item.key) for each in collected.arrivals if not each.numbered]
    )
    return VersionMade(
        name=fetching.dataset,
        version="",
        number=0,
        tree=store.vault.put_tree(entries.values()),
        kind="files" if table is None else "table",
        columns=table.columns if table else 0,
        schema=table.schema if table else (),
        rows=rows,
        reading=table.reading if table else _reading(fetching),
        message=f"collected from {fetching.source}",
        parent=parent.id if parent else "",
        appended=appended,
        batch=Batch(id=new_id(), files=len(fresh), size=sum(each.file.size for each in fresh), rows=new_rows),
        sources=bounded_sources(shown or [fetching.address]),
    )


class _Table(NamedTuple):
    columns: int
    schema: tuple[Column, ...]
    reading: Reading


def _table(fetching: Fetching, put: _Put, parent: DatasetVersion | None) -> _Table | None:
    """The table that what came makes, together with the files of `parent` that stay; None where it is none."""
    if parent is not None and not put.entries:
        # Files only went away: the columns are what they were.
        made = parent.made
        return _Table(made.columns, made.schema, made.reading) if made.kind == "table" else None
    shape, reading = put.shape, _reading(fetching)
    if parent is not None:
        shape, reading = appended_shape(parent, shape, reading if shape is not None else None)
    return None if shape is None else _Table(len(shape.columns), bounded_schema(schema_of(shape.columns)), reading)


def _reading(fetching: Fetching) -> Reading:
    return Reading(separator=fetching.settings.separator, nulls=fetching.settings.nulls)


def _digest(entry: TreeEntry | None) -> str:
    return entry.file.digest if entry else ""
