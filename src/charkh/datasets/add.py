"""Add files or a table to a dataset: look at them, put their bytes, and make a version of them.

Files that are no tables go through one by one, however many they are; no list of them is ever whole in memory. Polars
is loaded where there is a table.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from charkh.assets.flush import ERASED_SINCE, flush
from charkh.core.errors import Conflict, Invalid
from charkh.core.files import FileRef, TreeEntry, TreeRef
from charkh.core.ids import new_id
from charkh.core.refs import VersionRef, parse_name, parse_path
from charkh.datasets.append import appended_shape, joined_entries
from charkh.datasets.dataset import (
    Batch,
    Column,
    DatasetVersion,
    Reading,
    VersionMade,
    bounded_message,
    bounded_schema,
    bounded_sources,
)
from charkh.datasets.find import find
from charkh.datasets.formats import checked_reading, format_of
from charkh.datasets.index import AddVersion, DatasetByRef, NewestVersion
from charkh.datasets.put import put_files
from charkh.datasets.stat_cache import StatCache
from charkh.datasets.walk import LocalFile, walk_files
from charkh.ports.store import Store
from charkh.ports.vault import Progress

if TYPE_CHECKING:
    import polars as pl

    from charkh.datasets.sniff import TableShape

PART = "part.parquet"
_ATTEMPTS = 5


class Addition(NamedTuple):
    """What is added: files in the vault, the table that they make, and what is said about them.

    Attributes:
        name: of the dataset.
        entries: the files, or the tree that they make.
        shape: the table that they make, or None.
        append: whether they come to the newest version's files or take their place.
        reading: how text files are read, or None where the caller does not say.
        message: what the user says about it.
        sources: where they came from.
        made_by: id of the run that made them, or empty.
        origins: (relation, subject) of what they were made from.
    """

    name: str
    entries: Sequence[TreeEntry] | TreeRef
    shape: "TableShape | None"
    append: bool
    reading: Reading | None
    message: str
    sources: tuple[str, ...]
    made_by: str
    origins: tuple[tuple[str, str], ...]


def add_files(
    store: Store,
    name: str,
    paths: Sequence[Path],
    *,
    append: bool = False,
    message: str = "",
    reading: Reading | None = None,
    as_files: bool = False,
    sources: Sequence[str] = (),
    made_by: str = "",
    origins: Sequence[tuple[str, str]] = (),
    progress: Progress | None = None,
    stats: StatCache | None = None,
) -> DatasetVersion:
    """Make a version of files and folders; saying exactly what the newest version says gives that version.

    Args:
        store: where they go.
        name: of the dataset; the number is decided.
        paths: files, and folders with everything in them.
        append: keep the newest version's files and add these to them.
        message: what a person should know about it, in a sentence.
        reading: how text files are read; when appending, the dataset's own by default.
        as_files: keep them as plain files, even where they could be read as a table.
        sources: where they came from; the paths as they were named by default.
        made_by: id of the run that made them.
        origins: (relation, subject) of what they were made from.
        progress: called with the bytes that were stored since the last call.
        stats: what files held when they were last read; those that did not change are not read again.

    Raises:
        NotFound: there is no such file or folder.
        Invalid: nothing was found, a path cannot be kept, a table is damaged or ragged, or schemas differ.
        Conflict: a path to be appended exists with other content, a file changed meanwhile, or the dataset's
            newest version was made twice apart.
    """
    name = parse_name(name, "dataset name")
    said = bounded_message(message)
    checked_reading(reading or Reading())
    found: Iterable[LocalFile] = walk_files(paths)
    tables, found = (None, found) if as_files else _tables_alone(found)
    shape, entries = None, None
    if tables is not None:
        # Here, because it needs Polars.
        from charkh.datasets.put_table import put_table

        used = reading or (_reading_of(store, name) if append else Reading())
        shape, entries = put_table(store.vault, tables, used, _Newest(store, name), stats, progress)
    else:
        before = _Newest(store, name)
        put = put_files(store.vault, found, before=before, stats=stats, progress=progress)
        entries = store.vault.put_tree(put, ordered=True, like=before.root)
    return _commit(
        store,
        Addition(
            name=name,
            entries=entries,
            shape=shape,
            append=append,
            reading=reading,
            message=said,
            sources=bounded_sources([*sources] or [str(path) for path in paths]),
            made_by=made_by,
            origins=tuple(origins),
        ),
    )


def add_table(
    store: Store,
    name: str,
    frame: "pl.DataFrame",
    *,
    file: str = PART,
    append: bool = False,
    message: str = "",
    made_by: str = "",
    origins: Sequence[tuple[str, str]] = (),
) -> DatasetVersion:
    """Make a version of a table, kept as one Parquet file; the rest is as in `add_files`.

    Args:
        store: where it goes.
        name: of the dataset; the number is decided.
        frame: the table.
        file: its path in the dataset; by default a file of its own for each table that is appended.
        append: keep the newest version's rows and add these to them.
        message: what a person should know about it, in a sentence.
        made_by: id of the run that made it.
        origins: (relation, subject) of what it was made from.

    Raises:
        Invalid: the table has no columns, a column that Parquet cannot keep, or other columns than the dataset.
        Conflict: the file to be appended exists with other content.
    """
    name = parse_name(name, "dataset name")
    path = parse_path(file)
    if not path.endswith(".parquet"):
        raise Invalid(f"{file!r} is not named *.parquet", code="dataset.file_name", hint="Name it NAME.parquet.")
    from charkh.datasets.sniff import TableShape

    content = store.vault.put_bytes(_parquet(frame), path)
    if append and path == PART:
        path = _free_part(store, name, content)
    return _commit(
        store,
        Addition(
            name=name,
            entries=[TreeEntry(path, content)],
            shape=TableShape(dict(frame.schema), {path: frame.height}),
            append=append,
            reading=None,
            message=bounded_message(message),
            sources=(),
            made_by=made_by,
            origins=tuple(origins),
        ),
    )


class _Newest(Iterable[TreeEntry]):
    """The files of the newest version, by path; none where there is none."""

    def __init__(self, store: Store, name: str) -> None:
        newest = store.queries.ask(NewestVersion(name=name))
        self._store = store
        self.root = newest.made.tree.root if newest else ""

    def __iter__(self) -> Iterator[TreeEntry]:
        return self._store.vault.entries(self.root) if self.root else iter(())


def _tables_alone(files: Iterable[LocalFile]) -> tuple[list[LocalFile] | None, Iterable[LocalFile]]:
    """The files when every one has the name of a table's file, else None; and all of them once more."""
    rest, met = iter(files), list[LocalFile]()
    for file in rest:
        met.append(file)
        if format_of(file.path) is None:
            return None, chain(met, rest)
    return met, met


def _parquet(frame: "pl.DataFrame") -> bytes:
    import polars as pl

    if not frame.width:
        raise Invalid("a table without columns", code="dataset.no_columns", hint="Select at least one column.")
    unsaid = next((name for name, dtype in frame.schema.items() if dtype == pl.Object), None)
    if unsaid is not None:
        raise Invalid(
            f"the column {unsaid!r} holds Python objects",
            code="dataset.objects",
            hint="Turn it into numbers, texts or dates first.",
        )
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _free_part(store: Store, name: str, content: FileRef) -> str:
    """A path for one more table: where the content stands already, or the next number."""
    newest = store.queries.ask(NewestVersion(name=name))
    if newest is None:
        return PART
    entries = list(store.vault.entries(newest.made.tree.root))
    there = next((entry.path for entry in entries if entry.file.digest == content.digest), None)
    taken = {entry.path for entry in entries}
    number = len(entries) + 1
    while f"part-{number:05}.parquet" in taken:
        number += 1
    return there or f"part-{number:05}.parquet"


def _reading_of(store: Store, name: str) -> Reading:
    newest = store.queries.ask(NewestVersion(name=name))
    return newest.made.reading if newest else Reading()


def _commit(store: Store, addition: Addition) -> DatasetVersion:
    """Decide on the version; once more from the start whenever somebody else was faster."""
    attempts = _ATTEMPTS
    while True:
        # What is appended to must be one version; what takes its place may follow several made apart.
        query = DatasetByRef(ref=VersionRef(addition.name)) if addition.append else NewestVersion(name=addition.name)
        parent = store.queries.ask(query)
        made = _made(store, addition, parent)
        added = addition.entries
        erased = flush(store, _changed(store, parent, made.tree) if isinstance(added, TreeRef) else added)
        try:
            events = store.commands.decide(AddVersion(made=made, origins=addition.origins, erased=erased))
        except Conflict as error:
            attempts -= 1
            if error.code not in {"dataset.moved", ERASED_SINCE} or not attempts:
                raise
        else:
            return find(store, events[0].subject if events else made.parent)


def _changed(store: Store, parent: DatasetVersion | None, tree: TreeRef) -> Iterator[TreeEntry]:
    """The files of a tree that its parent has not."""
    if parent is None:
        yield from store.vault.entries(tree.root)
        return
    for change in store.vault.compare(parent.made.tree.root, tree.root):
        if change.new is not None:
            yield TreeEntry(change.path, change.new)


def _made(store: Store, addition: Addition, parent: DatasetVersion | None) -> VersionMade:
    """What the new version says, when it follows `parent`."""
    vault, added = store.vault, addition.entries
    shape, reading = addition.shape, addition.reading or Reading()
    known = 0
    if addition.append and parent is not None:
        shape, reading = appended_shape(parent, shape, addition.reading)
        entries = vault.entries(added.root) if isinstance(added, TreeRef) else sorted(added, key=attrgetter("path"))
        joined = joined_entries(parent, vault.entries(parent.made.tree.root), entries)
        tree = vault.put_tree(joined, ordered=True, like=parent.made.tree.root)
        known = parent.made.rows or 0
    else:
        tree = added if isinstance(added, TreeRef) else vault.put_tree(added)
    batch = _batch(store, parent, tree, shape)
    rows = None
    if shape is not None:
        rows = known + (batch.rows or 0) if addition.append else sum(shape.rows.values())
    return VersionMade(
        name=addition.name,
        version="",
        number=0,
        tree=tree,
        kind="files" if shape is None else "table",
        columns=0 if shape is None else len(shape.columns),
        schema=() if shape is None else _schema(shape),
        rows=rows,
        reading=reading,
        message=addition.message,
        parent=parent.id if parent else "",
        appended=addition.append and parent is not None,
        batch=batch,
        sources=addition.sources,
        made_by=addition.made_by,
    )


def _batch(store: Store, parent: DatasetVersion | None, tree: TreeRef, shape: "TableShape | None") -> Batch:
    """What is new in a tree; a file that only became executable is not."""
    if parent is None:
        rows = None if shape is None else sum(shape.rows.values())
        return Batch(id=new_id(), files=tree.files, size=tree.size, rows=rows)
    files = size = rows = 0
    for change in store.vault.compare(parent.made.tree.root, tree.root):
        if change.new is not None and (change.old is None or change.old.digest != change.new.digest):
            files, size = files + 1, size + change.new.size
            rows += 0 if shape is None else shape.rows[change.path]
    return Batch(id=new_id(), files=files, size=size, rows=None if shape is None else rows)


def _schema(shape: "TableShape") -> tuple[Column, ...]:
    from charkh.datasets.sniff import schema_of

    return bounded_schema(schema_of(shape.columns))
