"""What appending asks of the files: no path with other content, and the columns that the dataset has."""

import heapq
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import TYPE_CHECKING

from charkh.core.errors import Conflict, Invalid
from charkh.core.files import TreeEntry
from charkh.core.redact import redact
from charkh.datasets.dataset import DatasetVersion, Reading

if TYPE_CHECKING:
    from charkh.datasets.sniff import TableShape


def joined_entries(
    parent: DatasetVersion, before: Iterable[TreeEntry], added: Iterable[TreeEntry]
) -> Iterator[TreeEntry]:
    """The files of a version and those that are added to it, both by path; what it has stays as it is.

    Raises:
        Conflict: the version has another content at a path.
    """
    kept: TreeEntry | None = None
    for entry in heapq.merge(before, added, key=attrgetter("path")):
        if kept is None or kept.path != entry.path:
            if kept is not None:
                yield kept
            # Of equal paths the version's own comes first.
            kept = entry
        elif kept.file.digest != entry.file.digest:
            raise Conflict(
                f"{parent.ref} has another {entry.path}",
                code="dataset.path_exists",
                hint="Rename the file, or add without appending to replace the dataset's files.",
                facts={"path": entry.path},
            )
    if kept is not None:
        yield kept


def appended_shape(
    parent: DatasetVersion, shape: "TableShape | None", reading: Reading | None
) -> "tuple[TableShape | None, Reading]":
    """The table that the version and more files make together, and how it is read.

    Raises:
        Invalid: the version is a table and the files are none, are read otherwise, or have other columns.
    """
    made = parent.made
    if made.kind == "files":
        return None, made.reading
    if shape is None:
        raise Invalid(
            f"{parent.ref} is a table, and not all of these files are",
            code="dataset.not_a_table",
            hint="Append CSV, Parquet or JSON Lines files, or make a dataset of its own.",
        )
    if reading is not None and reading != made.reading:
        raise Invalid(
            f"{parent.ref} is read with separator {made.reading.separator!r} and nulls {list(made.reading.nulls)}",
            code="dataset.reading_differs",
            hint="Append with the same, or add all files anew with another reading.",
        )
    # Here, because most of what is appended to is no table and needs no Polars.
    import polars as pl

    from charkh.datasets.sniff import TableShape, columns_of, is_text, joined_columns

    path = next(iter(shape.rows))
    # Names are compared as they stand in the event: redacted, and no more than an event holds.
    more = {redact(name): dtype for name, dtype in shape.columns.items()}
    known = {name: dtype or more.get(name, pl.Null()) for name, dtype in columns_of(made.schema).items()}
    compared = more if made.columns == len(made.schema) else {name: more[name] for name in known if name in more}
    joined = joined_columns(known, parent.ref, compared, path, text=is_text(shape.rows))
    if len(more) != made.columns:
        raise Invalid(
            f"{path} has {len(more)} columns, {parent.ref} has {made.columns}",
            code="dataset.schemas_differ",
            hint="Add it as a dataset of its own.",
        )
    return TableShape({**joined, **{name: dtype for name, dtype in more.items() if name not in joined}}, shape.rows), (
        made.reading
    )
