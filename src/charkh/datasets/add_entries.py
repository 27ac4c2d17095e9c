"""Make a version of contents that the vault has already, such as what a bridge brought, without a file on disk."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from charkh.assets.flush import ERASED_SINCE, flush
from charkh.core.errors import Conflict
from charkh.core.files import TreeEntry, TreeRef
from charkh.core.ids import new_id
from charkh.core.refs import parse_name
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
from charkh.datasets.index import AddVersion, NewestVersion
from charkh.ports.store import Store

if TYPE_CHECKING:
    from charkh.datasets.sniff import TableShape

_ATTEMPTS = 5


def add_entries(
    store: Store,
    name: str,
    entries: Sequence[TreeEntry],
    *,
    shape: "TableShape | None" = None,
    reading: Reading | None = None,
    message: str = "",
    sources: Sequence[str] = (),
    made_by: str = "",
    origins: Sequence[tuple[str, str]] = (),
) -> DatasetVersion:
    """Make a version; saying exactly what the newest version says gives that version.

    Args:
        store: where it goes; its vault can give every content.
        name: of the dataset; the number is decided.
        entries: the files.
        shape: the table that they make, or None for plain files.
        reading: how the table's text files are read.
        message: what a person should know about it, in a sentence.
        sources: where the contents came from.
        made_by: id of the run that made them.
        origins: (relation, subject) of what they were made from.

    Raises:
        Invalid: the name or the message cannot be kept, or a path is given twice.
        Conflict: somebody else adds to the dataset again and again meanwhile.
    """
    made = VersionMade(
        name=parse_name(name, "dataset name"),
        version="",
        number=0,
        tree=TreeRef("", 0, 0),
        kind="files" if shape is None else "table",
        batch=Batch(id="", files=0, size=0),
        reading=reading or Reading(),
        message=bounded_message(message),
        sources=bounded_sources(sources),
        made_by=made_by,
    )
    if shape is not None:
        made = msgspec.structs.replace(made, columns=len(shape.columns), **_of_table(shape))
    return _decide(store, made, entries, shape.rows if shape is not None else None, origins, held=False)


def say_again(store: Store, version: DatasetVersion) -> DatasetVersion:
    """Make what an older version says the newest once more, with a number of its own."""
    entries = list(store.vault.entries(version.made.tree.root))
    return _decide(store, version.made, entries, None, (), held=True)


def _decide(
    store: Store,
    made: VersionMade,
    entries: Sequence[TreeEntry],
    rows: "Mapping[str, int] | None",
    origins: Sequence[tuple[str, str]],
    *,
    held: bool,
) -> DatasetVersion:
    """Decide on the version; `held` says that an older one has every file, with what was erased from them."""
    for attempt in range(_ATTEMPTS):
        parent = store.queries.ask(NewestVersion(name=made.name))
        before = {} if parent is None else {entry.path: entry for entry in store.vault.entries(parent.made.tree.root)}
        fresh = [entry for entry in entries if entry.path not in before or before[entry.path].file != entry.file]
        batch = Batch(
            id=new_id(),
            files=len(fresh),
            size=sum(entry.file.size for entry in fresh),
            rows=None if rows is None else sum(rows[entry.path] for entry in fresh),
        )
        tree = store.vault.put_tree(entries)
        erased = flush(store, () if held else fresh)
        made = msgspec.structs.replace(
            made, tree=tree, parent=parent.id if parent else "", appended=False, batch=batch, version="", number=0
        )
        try:
            events = store.commands.decide(AddVersion(made=made, origins=tuple(origins), erased=erased))
        except Conflict as error:
            if error.code not in {"dataset.moved", ERASED_SINCE} or attempt == _ATTEMPTS - 1:
                raise
        else:
            return find(store, events[0].subject if events else f"dataset:{made.parent}")
    raise AssertionError


def _of_table(shape: "TableShape") -> dict[str, Any]:
    # Polars is loaded for tables alone.
    from charkh.datasets.sniff import schema_of

    return {"schema": bounded_schema(schema_of(shape.columns)), "rows": sum(shape.rows.values())}
