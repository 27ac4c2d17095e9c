"""Add files or a table to a dataset: look at them, put their bytes, and make a version of them."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import polars as pl

from charkh.core.errors import Conflict, Invalid
from charkh.core.files import FileRef, TreeEntry
from charkh.core.ids import new_id
from charkh.core.refs import VersionRef, parse_name, parse_path
from charkh.datasets.append import appended_shape, refuse_other_content
from charkh.datasets.dataset import (
    Batch,
    DatasetVersion,
    Reading,
    VersionMade,
    bounded_message,
    bounded_schema,
    bounded_sources,
)
from charkh.datasets.find import find
from charkh.datasets.formats import checked_reading
from charkh.datasets.index import AddVersion, DatasetByRef, NewestVersion
from charkh.datasets.sniff import TableShape, is_table, read_shape, schema_of
from charkh.datasets.walk import LocalFile, local_files
from charkh.ports.store import Store
from charkh.ports.vault import Progress

PART = "part.parquet"
LARGE = 16 * 1024 * 1024
"""Bytes from which a table is looked at and stored at once; a smaller one is stored when it is known to be one."""
_ATTEMPTS = 5


class Addition(NamedTuple):
    """What is added: files in the vault, the table that they make, and what is said about them.

    Attributes:
        name: of the dataset.
        entries: the files.
        shape: the table that they make, or None.
        append: whether they come to the newest version's files or take their place.
        reading: how text files are read, or None where the caller does not say.
        message: what the user says about it.
        sources: where they came from.
        made_by: id of the run that made them, or empty.
        origins: (relation, subject) of what they were made from.
    """

    name: str
    entries: Sequence[TreeEntry]
    shape: TableShape | None
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

    Raises:
        NotFound: there is no such file or folder.
        Invalid: nothing was found, a path cannot be kept, a table is damaged or ragged, or schemas differ.
        Conflict: a path to be appended exists with other content, a file changed meanwhile, or the dataset's
            newest version was made twice apart.
    """
    name = parse_name(name, "dataset name")
    said = bounded_message(message)
    checked_reading(reading or Reading())
    files = local_files(paths)
    if not as_files and is_table([file.path for file in files]):
        used = reading or (_reading_of(store, name) if append else Reading())
        shape, entries = _put_table(store, name, files, used, progress)
        _refuse_changed(files)
    else:
        shape, entries = None, _put_files(store, name, files, progress)
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
    frame: pl.DataFrame,
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


def _put_table(
    store: Store, name: str, files: Sequence[LocalFile], reading: Reading, progress: Progress | None
) -> tuple[TableShape, list[TreeEntry]]:
    """The table that files make, and their bytes in the vault."""
    if sum(file.size for file in files) < LARGE:
        return read_shape(files, reading), _put_files(store, name, files, progress)
    with ThreadPoolExecutor(1, thread_name_prefix="charkh-shape") as beside:
        looking = beside.submit(read_shape, files, reading)

        def go_on(size: int) -> None:
            if looking.done():
                # What is no table need not be stored to its end.
                looking.result()
            if progress:
                progress(size)

        entries = _put_files(store, name, files, go_on)
        return looking.result(), entries


def _put_files(store: Store, name: str, files: Sequence[LocalFile], progress: Progress | None) -> list[TreeEntry]:
    put, before = store.vault.put_file, _known_before(store, name, files)
    return [TreeEntry(each.path, put(each.place, progress, before.get(each.path)), each.executable) for each in files]


def _known_before(store: Store, name: str, files: Sequence[LocalFile]) -> dict[str, FileRef]:
    """What the newest version has at the paths of large files: they may only have grown."""
    large = {file.path for file in files if file.size >= LARGE}
    newest = store.queries.ask(NewestVersion(name=name)) if large else None
    if newest is None:
        return {}
    return {entry.path: entry.file for entry in store.vault.entries(newest.made.tree.root) if entry.path in large}


def _parquet(frame: pl.DataFrame) -> bytes:
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


def _refuse_changed(files: Sequence[LocalFile]) -> None:
    for file in files:
        status = file.disk.stat()
        if (status.st_size, status.st_mtime_ns) != (file.size, file.changed):
            raise Conflict(
                f"{file.place} changed while it was added",
                code="dataset.file_changed",
                hint="Wait until nothing writes to it and add it again.",
            )


def _commit(store: Store, addition: Addition) -> DatasetVersion:
    """Decide on the version; once more from the start whenever somebody else was faster."""
    attempts = _ATTEMPTS
    while True:
        # What is appended to must be one version; what takes its place may follow several made apart.
        query = DatasetByRef(ref=VersionRef(addition.name)) if addition.append else NewestVersion(name=addition.name)
        parent = store.queries.ask(query)
        made = _made(store, addition, parent)
        store.vault.flush()
        try:
            events = store.commands.decide(AddVersion(made=made, origins=addition.origins))
        except Conflict as error:
            attempts -= 1
            if error.code != "dataset.moved" or not attempts:
                raise
        else:
            return find(store, events[0].subject if events else made.parent)


def _made(store: Store, addition: Addition, parent: DatasetVersion | None) -> VersionMade:
    """What the new version says, when it follows `parent`."""
    before = {} if parent is None else {entry.path: entry for entry in store.vault.entries(parent.made.tree.root)}
    fresh = [entry for entry in addition.entries if _digest(before.get(entry.path)) != entry.file.digest]
    shape, reading = addition.shape, addition.reading or Reading()
    entries, known = addition.entries, 0
    if addition.append and parent is not None:
        refuse_other_content(parent, before, fresh)
        shape, reading = appended_shape(parent, shape, addition.reading)
        entries = [*before.values(), *(entry for entry in addition.entries if entry.path not in before)]
        known = parent.made.rows or 0
    tree = store.vault.put_tree(entries)
    rows = batch_rows = None
    if shape is not None:
        batch_rows = sum(shape.rows[entry.path] for entry in fresh)
        rows = known + batch_rows if addition.append else sum(shape.rows.values())
    return VersionMade(
        name=addition.name,
        version="",
        number=0,
        tree=tree,
        kind="files" if shape is None else "table",
        columns=0 if shape is None else len(shape.columns),
        schema=() if shape is None else bounded_schema(schema_of(shape.columns)),
        rows=rows,
        reading=reading,
        message=addition.message,
        parent=parent.id if parent else "",
        appended=addition.append and parent is not None,
        batch=Batch(id=new_id(), files=len(fresh), size=sum(entry.file.size for entry in fresh), rows=batch_rows),
        sources=addition.sources,
        made_by=addition.made_by,
    )


def _digest(entry: TreeEntry | None) -> str:
    return entry.file.digest if entry else ""
