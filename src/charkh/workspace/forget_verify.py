"""Look through every byte of a store for what was forgotten: the proof that it is gone, or where it still stands."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from charkh.assets.grep import find_in_records, pattern_of
from charkh.datasets.selection import Selection
from charkh.workspace.forgetting import forget
from charkh.workspace.workspace import Workspace

BLOCK = 16 * 1024 * 1024
OVERLAP = 4096
_NOT_LOOKED_AT = frozenset({"packs", "journal"})
"""Folders of the store whose bytes are looked at record by record."""


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """Something that still has a value: where, and what it is; never the value."""

    where: str
    what: str


def verify_forgotten(
    workspace: Workspace, selection: Selection, *, progress: Callable[[int], None] | None = None
) -> tuple[Left, ...]:
    """Where the selection still finds something: rows of tables, records of packs, facts, logs, caches.

    Args:
        workspace: whose store.
        selection: what was forgotten.
        progress: called with the number of packs looked at since the last call.

    Raises:
        Unavailable: the store cannot be read.
    """
    return tuple(_left(workspace, selection, progress))


def _left(workspace: Workspace, selection: Selection, progress: Callable[[int], None] | None) -> Iterator[Left]:
    report = forget(workspace, selection, dry_run=True)
    for content in report.contents:
        what = f"{content.rows} {'places' if content.kind == 'text' else 'rows'} of a {content.kind} content"
        yield Left(where=content.path or content.digest, what=f"{what} held by {', '.join(content.subjects[:3])}")
    for each in report.unreached:
        if not each.outside:
            yield Left(where=each.what, what=each.why)
    if not selection.texts:
        return
    pattern = pattern_of(selection.texts)
    erased = workspace.vault.erased.now()
    for found in find_in_records(workspace.vault, pattern, progress):
        state = (
            "erased, and still on the medium: run `charkh dataset forget` again"
            if found.digest in erased
            else "a record"
        )
        yield Left(where=found.key, what=f"{state} ({found.digest.hex()[:16] or 'damaged or a node'})")
    for path in _files(workspace.store_folder):
        kept = b""
        with path.open("rb") as reading:
            while block := reading.read(BLOCK):
                if pattern.search(kept + block):
                    yield Left(where=str(path.relative_to(workspace.store_folder)), what="a file of the store")
                    break
                kept = block[-OVERLAP:]


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.relative_to(folder).parts[0] not in _NOT_LOOKED_AT and path.is_file() and not path.is_symlink():
            yield path
