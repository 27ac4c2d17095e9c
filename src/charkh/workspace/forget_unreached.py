"""Where a person may still stand after everything that can be erased was: each place, why, and what to do."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from polars.exceptions import PolarsError

from charkh.assets.index import ErasedContents
from charkh.core.errors import CharkhError
from charkh.datasets.selection import Selection
from charkh.endpoints.log import CONTENT as PREDICTIONS
from charkh.endpoints.table import table_of
from charkh.ports.journal import DataSegment
from charkh.workspace.forget_report import Unreached
from charkh.workspace.forget_scan import plainly_named
from charkh.workspace.workspace import Workspace


def unreached(workspace: Workspace, selection: Selection, pattern: re.Pattern[bytes] | None) -> Iterator[Unreached]:
    """Segments that are being written, facts, remotes, and copies that nobody keeps a list of."""
    for segment in workspace.journal.list_data():
        if _stands_in(workspace, segment, selection, pattern):
            yield Unreached(
                what=f"the log of {segment.header.subject} (segment {segment.header.segment})",
                why="it is still being written; stop that process, or wait an hour, and forget again",
            )
    if pattern is not None:
        named = sum(1 for batch in workspace.journal.read({}) for payload in batch.payloads if pattern.search(payload))
        if named:
            yield Unreached(
                what=f"{named} facts of the journal",
                why="a name or message in them has one of the values, and facts are kept for ever",
            )
    for name in sorted(workspace.settings.remote):
        yield Unreached(
            what=f"remote {name}", why=f"erasures reach it with the next `charkh sync {name}`", outside=True
        )
    yield Unreached(
        what="files that were checked out, exported or downloaded, and backups of the store",
        why="nobody keeps a list of them; check out again where one is in use, and let backups run out",
        outside=True,
    )


def copies(workspace: Workspace, contents: Collection[str]) -> Iterator[Unreached]:
    """Files outside of the store that are known to have held one of the contents, or one that was erased before."""
    gone = {*contents, *(digest for digest, _shown in workspace.store.queries.ask(ErasedContents()))}
    for _digest, place in workspace.stat_cache.holding(gone):
        if Path(place).is_file():
            yield Unreached(what=place, why="it held the rows when it was last seen; mend or delete it", outside=True)
    for file in workspace.vault.shelf.foreign.files():
        if file.ref.digest in gone:
            yield Unreached(
                what=file.path,
                why="another program keeps it, and the store reads it there; erase it there",
                outside=True,
            )


def _stands_in(
    workspace: Workspace, segment: DataSegment, selection: Selection, pattern: re.Pattern[bytes] | None
) -> bool:
    identifier = segment.header.segment
    try:
        if segment.header.content == PREDICTIONS:
            table = table_of(workspace.journal.read_data(identifier))
            lazy = plainly_named(table.lazy())
            condition = selection.condition(lazy.collect_schema()) if table.height else None
            if condition is not None and not lazy.filter(condition).collect().is_empty():
                return True
        records = workspace.journal.read_data(identifier)
        return pattern is not None and any(pattern.search(record.payload) for record in records)
    except (CharkhError, PolarsError):
        # It was sealed or dropped meanwhile, or asks for another type: whoever cannot tell says that it may be there.
        return segment.live
