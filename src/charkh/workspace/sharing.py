"""Workspaces that share a medium: each says what it holds, so that a collection by one takes nothing of another.

A report is an object on the medium itself, `workspace/STORE/ID`; the medium's time of writing is the heartbeat, and
nobody's clock is compared with another's. A workspace with a medium of its own needs none.
"""

import os
import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import zstandard

from charkh.assets.collect import Others
from charkh.core.errors import Corrupt, NotFound
from charkh.core.ids import new_id
from charkh.core.quantities import parse_duration
from charkh.lineage.index import HeldDigests
from charkh.ports.blobs import BlobInfo, Blobs
from charkh.workspace.workspace import Workspace

REPORTS = "workspace/"
REPORT_SECONDS = 12 * 3600.0
"""A workspace that is used says anew what it holds when its last word is so old."""
MAX_REPORT = 1 << 30
_MARK = "reported"


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """What a workspace says of itself.

    Attributes:
        store: id of its store.
        host: its machine's name.
        folder: where it lies there.
        roots: the digests that it holds.
    """

    store: str
    host: str
    folder: str
    roots: tuple[str, ...]


class Sharer(NamedTuple):
    """Another workspace on the medium, and when it last said what it holds, by the medium's clock."""

    told: Holdings
    at: float


def report(workspace: Workspace) -> None:
    """Say what this workspace holds.

    Raises:
        Unavailable: the medium cannot be written.
    """
    store = workspace.identifier
    roots = workspace.store.queries.ask(HeldDigests())
    told = Holdings(store=store, host=socket.gethostname(), folder=str(workspace.folder), roots=roots)
    before = [info.key for info in workspace.blobs.list(f"{REPORTS}{store}/")]
    data = zstandard.ZstdCompressor().compress(msgspec.json.encode(told))
    workspace.blobs.put(f"{REPORTS}{store}/{new_id()}", [data])
    for key in before:
        workspace.blobs.delete(key)
    mark = workspace.store_folder / _MARK
    mark.touch()
    os.utime(mark)


def report_if_due(workspace: Workspace) -> None:
    """Say what this workspace holds, where others may use the medium and the last word is old."""
    if not workspace.settings.store.blobs:
        return
    try:
        due = time.time() - (workspace.store_folder / _MARK).stat().st_mtime > REPORT_SECONDS
    except FileNotFoundError:
        due = True
    if due:
        report(workspace)


def sharers(workspace: Workspace) -> tuple[Sharer, ...]:
    """The other workspaces on this medium, the one that was silent for longest first.

    Raises:
        Corrupt: a report cannot be read, so nobody can say what its workspace holds.
    """
    newest: dict[str, BlobInfo] = {}
    for info in workspace.blobs.list(REPORTS):
        store = info.key.removeprefix(REPORTS).partition("/")[0]
        if store != workspace.identifier and (store not in newest or info.modified > newest[store].modified):
            newest[store] = info
    found = [Sharer(told, info.modified) for info in newest.values() for told in _told(workspace.blobs, info)]
    return tuple(sorted(found, key=lambda each: (each.at, each.told.store)))


def others_of(found: tuple[Sharer, ...]) -> Others:
    """What a collection has to know of the other workspaces."""
    roots = {root for each in found for root in each.told.roots}
    return Others(roots=roots, since=min((each.at for each in found), default=None))


def silent(workspace: Workspace, found: tuple[Sharer, ...], now: float) -> tuple[Sharer, ...]:
    """Those who have said nothing for longer than `[gc] silent`: they hold up what may go."""
    bound = parse_duration(workspace.settings.gc.silent)
    return tuple(each for each in found if now - each.at > bound)


def dismiss(workspace: Workspace, store: str) -> None:
    """Take another workspace's word off the medium: what only it holds is collected from now on.

    Raises:
        NotFound: no workspace with this store said anything here.
    """
    keys = [info.key for info in workspace.blobs.list(f"{REPORTS}{store}/")]
    if not keys:
        raise NotFound(
            f"no workspace with the store {store} said that it uses this medium",
            code="gc.no_workspace",
            hint="`charkh gc --dry-run` names those that did.",
        )
    for key in keys:
        workspace.blobs.delete(key)


def _told(blobs: Blobs, info: BlobInfo) -> Iterator[Holdings]:
    try:
        data = zstandard.ZstdDecompressor().decompress(blobs.get(info.key), max_output_size=MAX_REPORT)
        yield msgspec.json.decode(data, type=Holdings)
    except NotFound:
        return
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise Corrupt(
            f"what a workspace said of itself cannot be read: {info.key}",
            code="gc.bad_report",
            hint="Run `charkh gc` in that workspace, which says it anew.",
        ) from error
