"""The noun: what a dataset version is, what its events say, and how its numbers are told apart.

A version is a tree of files with a name and a number. Its identity is its id; names and numbers are
for people, and two stores that worked apart may both have made `flights@3`. Pure data, no I/O; every
verb of this room speaks these structs.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from charkh.core.errors import Invalid
from charkh.core.files import TreeRef
from charkh.core.redact import redact

VERSION_KIND = "dataset.version/1"
DELETED_KIND = "dataset.deleted/1"
AGAIN_KIND = "dataset.made_again/1"

MAX_MESSAGE = 500
MAX_SOURCES = 20
MAX_SOURCE_TEXT = 300
MAX_COLUMNS = 1000
"""Columns whose name and type stand in the event; a wider table is described by its files."""

DatasetKind = Literal["files", "table"]


class Column(msgspec.Struct, frozen=True, array_like=True):
    """One column of a table: its name, and its Polars type as text, such as `Int64` or `Datetime('us')`."""

    name: str
    dtype: str


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """How the text files of a table are read; part of the version, so that it always reads alike.

    Attributes:
        separator: between the fields of a CSV row; a `.tsv` file is separated by tabs whatever this says.
        nulls: field texts that mean "missing", beside the empty field.
    """

    separator: str = ","
    nulls: tuple[str, ...] = ()


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one `add` brought.

    Attributes:
        id: UUIDv7 of the addition.
        files: files that are new or changed against the version it was added to.
        size: their bytes.
        rows: their rows, or None when the dataset is no table.
    """

    id: str
    files: int
    size: int
    rows: int | None = None


class VersionMade(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `dataset.version/1`.

    Attributes:
        name: of the dataset.
        version: id of the version, which is the subject's id.
        number: as decided; the greatest of the name so far plus one.
        tree: the files.
        kind: a table when every file is a CSV, Parquet or JSON Lines file of one schema.
        columns: how many columns the table has.
        schema: the first `MAX_COLUMNS` of them.
        rows: of the whole table, or None.
        reading: how the table's text files are read.
        message: what the user said about it, without credentials.
        parent: id of the version before, or empty.
        appended: the parent's files are all in this version, unchanged.
        batch: what this version added.
        sources: where the batch came from: file names and addresses, without credentials.
        made_by: id of the run that made it, or empty.
        merged: ids of further versions that it was made from: `parent` and these were merged.
    """

    name: str
    version: str
    number: int
    tree: TreeRef
    kind: str
    batch: Batch
    columns: int = 0
    schema: tuple[Column, ...] = ()
    rows: int | None = None
    reading: Reading = Reading()
    message: str = ""
    parent: str = ""
    appended: bool = False
    sources: tuple[str, ...] = ()
    made_by: str = ""
    merged: tuple[str, ...] = ()

    @property
    def all_parents(self) -> tuple[str, ...]:
        """Ids of the versions that it was made from: the one before, and those merged with it."""
        return tuple(dict.fromkeys((*((self.parent,) if self.parent else ()), *self.merged)))


class VersionMadeAgain(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `dataset.made_again/1`: somebody said exactly what the newest version says, from origins of their own.

    Attributes:
        name: of the dataset.
        version: id of the version that was there.
        made_by: id of the run that made it again, or empty.
    """

    name: str
    version: str
    made_by: str = ""


class VersionDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `dataset.deleted/1`: the version's bytes need no longer be readable on its behalf."""

    name: str
    version: str
    number: int


class DatasetVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version as the catalog answers it.

    Attributes:
        made: what its event says.
        actor: who made it, `user@host`.
        created: seconds since the epoch.
        stamp: the total order of concurrent versions.
        deleted: seconds since the epoch when it was deleted, or None.
    """

    made: VersionMade
    actor: str
    created: float
    stamp: str
    deleted: float | None = None

    @property
    def id(self) -> str:
        return self.made.version

    @property
    def subject(self) -> str:
        """`dataset:id`, as it stands in edges."""
        return f"dataset:{self.made.version}"

    @property
    def ref(self) -> str:
        """`name@number`."""
        return f"{self.made.name}@{self.made.number}"

    @property
    def author(self) -> str:
        """The user of `actor`."""
        return self.actor.partition("@")[0]


class DatasetSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset in a list.

    Attributes:
        name: of the dataset.
        versions: how many live versions it has.
        latest: those with the greatest number: one, or several when colleagues decided apart.
    """

    name: str
    versions: int
    latest: tuple[DatasetVersion, ...]


def bounded_message(text: str) -> str:
    """A message that may stand in an event.

    Raises:
        Invalid: longer than `MAX_MESSAGE`.
    """
    message = redact(text.strip())
    if len(message) > MAX_MESSAGE:
        raise Invalid(
            f"the message has {len(message)} characters, more than {MAX_MESSAGE}",
            code="dataset.message_too_long",
            hint="Say it in a sentence; put longer notes into a file of the dataset, where they can be erased.",
        )
    return message


def bounded_sources(texts: Sequence[str]) -> tuple[str, ...]:
    """Source labels that may stand in an event: redacted, shortened, and at most `MAX_SOURCES`."""
    shown = [redact(text)[:MAX_SOURCE_TEXT] for text in texts]
    if len(shown) > MAX_SOURCES:
        return (*shown[: MAX_SOURCES - 1], f"and {len(shown) - MAX_SOURCES + 1} more")
    return tuple(shown)


def bounded_schema(schema: Sequence[Column]) -> tuple[Column, ...]:
    """Columns that may stand in an event; a CSV without a header can have a credential for a name."""
    return tuple(Column(redact(column.name), column.dtype) for column in schema[:MAX_COLUMNS])
