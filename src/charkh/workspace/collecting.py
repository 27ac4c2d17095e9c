"""Free what nothing holds: garbage collection with the roots of this and every other workspace on the medium."""

import time
from collections.abc import Callable

import msgspec

from charkh.assets.collect import CollectReport, collect
from charkh.assets.lease import medium_now, only_collector
from charkh.assets.trash import undo
from charkh.core.quantities import parse_duration
from charkh.datasets.index import DatasetById
from charkh.lineage.index import EveryHold, HeldDigests
from charkh.workspace.damage import Affected, Damage
from charkh.workspace.sharing import REPORTS, others_of, report, sharers, silent
from charkh.workspace.workspace import Workspace


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace that has said nothing for long: what it held is kept, and the trash is not emptied past its word."""

    store: str
    host: str
    folder: str
    days: float


class Freed(msgspec.Struct, frozen=True, kw_only=True):
    """Something deleted whose bytes go."""

    subject: str
    title: str


class GcReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection did, or with `dry_run` would do.

    Attributes:
        collected: packs and records.
        unreadable: what could not be read any more: always empty, or the collection stops before it begins.
        deleted: deleted versions and runs of which bytes are among those that go.
        workspaces: how many other workspaces use the medium.
        waiting: those of them that were silent for long.
    """

    collected: CollectReport
    unreadable: tuple[Affected, ...] = ()
    deleted: tuple[Freed, ...] = ()
    workspaces: int = 0
    waiting: tuple[Waiting, ...] = ()


def collect_garbage(
    workspace: Workspace,
    *,
    dry_run: bool = True,
    timeout: float = 0.0,
    waits: Callable[[str], None] | None = None,
) -> GcReport:
    """Move what no fact holds to the trash, and empty what has lain there long enough.

    Args:
        workspace: whose store.
        dry_run: only say what would be freed.
        timeout: seconds to wait for another collection to end.
        waits: told who collects, when that has to be waited for.

    Raises:
        Locked: another process collects.
        Corrupt: something held is damaged, so that nobody can say what it names; or a version would become
            unreadable.
    """
    settings = workspace.settings.gc
    shared = bool(workspace.settings.store.blobs) or any(True for _ in workspace.blobs.list(REPORTS))
    if shared and not dry_run:
        report(workspace)
    others = sharers(workspace) if shared else ()
    done = collect(
        workspace.vault,
        workspace.store.queries.ask(HeldDigests()),
        dry_run=dry_run,
        young_seconds=parse_duration(settings.young),
        grace_seconds=parse_duration(settings.grace),
        others=others_of(others),
        timeout=timeout,
        waits=waits,
    )
    now = medium_now(workspace.blobs) if others else time.time()
    return GcReport(
        collected=done,
        unreadable=Damage(workspace, set(done.freed) - _erased(workspace)).affected() if dry_run else (),
        deleted=_deleted(workspace, set(done.freed)),
        workspaces=len(others),
        waiting=tuple(
            Waiting(
                store=each.told.store,
                host=each.told.host,
                folder=each.told.folder,
                days=round((now - each.at) / 86400, 1),
            )
            for each in silent(workspace, others, now)
        ),
    )


def undo_collection(workspace: Workspace) -> tuple[str, ...]:
    """Put back what the last collection moved to the trash; the packs' names.

    Raises:
        Locked: another process collects.
    """
    workspace.vault.flush()
    with only_collector(workspace.blobs, medium_now(workspace.blobs)):
        return undo(workspace.vault)


def _erased(workspace: Workspace) -> set[str]:
    return {digest.hex() for digest in workspace.vault.erased.now()}


def _deleted(workspace: Workspace, freed: set[str]) -> tuple[Freed, ...]:
    """The dropped subjects whose own root is among what goes."""
    held = set(workspace.store.queries.ask(HeldDigests()))
    found: dict[str, Freed] = {}
    for subject, digest in workspace.store.queries.ask(EveryHold()):
        if digest in freed and digest not in held:
            noun, _, identifier = subject.partition(":")
            version = workspace.store.queries.ask(DatasetById(version=identifier)) if noun == "dataset" else None
            found[subject] = Freed(subject=subject, title=subject if version is None else version.ref)
    return tuple(sorted(found.values(), key=lambda each: (each.title, each.subject)))
