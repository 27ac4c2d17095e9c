"""Put the datasets that a lock pins where it says, with what a remote has where this store lacks it."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from charkh.core.errors import Invalid, NotFound
from charkh.core.lock import Lock, Pin
from charkh.core.refs import parse_path
from charkh.datasets.checkout import checkout
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.prune import prune
from charkh.ports.vault import Progress
from charkh.workspace.lock_bytes import bring, learn
from charkh.workspace.locking import FILE, known_version, unknown
from charkh.workspace.workspace import Workspace


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A pinned dataset in its folder.

    Attributes:
        pin: as the lock has it, with the folder that was used.
        written: files that were written.
        unchanged: files that were there already.
        removed: files of another version that this one does not have.
    """

    pin: Pin
    written: int
    unchanged: int
    removed: tuple[str, ...]


def check_out(
    workspace: Workspace,
    lock: Lock,
    folder: Path,
    *,
    places: Mapping[str, str] | None = None,
    remote: str = "",
    force: bool = False,
    progress: Progress | None = None,
) -> tuple[Placed, ...]:
    """Make each folder hold the pinned version; what a person made or changed there is never lost.

    Args:
        workspace: whose store has the bytes.
        lock: what is pinned, and where.
        folder: what the paths are relative to: the workspace, or a copy of its code.
        places: folders by name of the dataset, in the place of those of the lock; only these datasets, where given.
        remote: name or address of where to take what is lacking here; the remotes of the settings by default.
        force: replace files that a person changed, too.
        progress: called with the bytes written since the last call.

    Raises:
        NotFound: a version is known neither here nor at the remote, or its bytes are at neither.
        Conflict: files in a folder were changed; nothing was written there.
        Invalid: a name is not pinned, or a path would leave the folder.
    """
    chosen = _chosen(lock, places or {})
    learn(workspace, chosen, remote)
    versions = [(pin, _version(workspace, pin)) for pin in chosen]
    absent = bring(workspace, [pin for pin, _ in versions], remote)
    if absent:
        raise NotFound(
            f"the bytes of {', '.join(pin.ref for pin in absent)} are neither here nor at a remote",
            code="lock.bytes_missing",
            hint="Whoever made them runs `charkh sync`; `charkh remote list` shows where this workspace looks.",
            facts={"pins": [pin.subject for pin in absent]},
        )
    done: list[Placed] = []
    for pin, version in versions:
        target = folder / pin.path
        written = checkout(
            workspace.store,
            version,
            target,
            force=force,
            progress=progress,
            cache=workspace.file_cache,
            stats=workspace.stat_cache,
        )
        removed = prune(workspace.store, version, target)
        done.append(Placed(pin=pin, written=written.written, unchanged=written.unchanged, removed=removed))
    return tuple(done)


def _chosen(lock: Lock, places: Mapping[str, str]) -> list[Pin]:
    if not places:
        return [pin for pin in lock.pins if pin.kind == "dataset" and pin.path]
    chosen: list[Pin] = []
    for name, place in places.items():
        pin = lock.pin_of("dataset", name)
        if pin is None:
            raise NotFound(
                f"{FILE} pins no dataset {name}", code="lock.not_pinned", hint=f"Pin it: charkh lock add {name}"
            )
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise Invalid(
                f"{place} is not inside the workspace, where pinned data belongs",
                code="lock.folder_outside",
                hint=f"Anywhere else: charkh dataset checkout {pin.ref} {place}",
            )
        path = parse_path(place.rstrip("/")) if place else pin.path
        if not path:
            raise Invalid(
                f"{FILE} says no folder for {name}", code="lock.no_folder", hint=f"Say one: {name}=data/{name}"
            )
        chosen.append(msgspec.structs.replace(pin, path=path))
    return chosen


def _version(workspace: Workspace, pin: Pin) -> DatasetVersion:
    version = known_version(workspace.store, pin)
    if not isinstance(version, DatasetVersion):
        raise unknown(pin)
    if version.deleted is not None:
        raise NotFound(f"{pin.ref} was deleted", code="dataset.deleted", hint=f"`charkh lock update {pin.name}`")
    return version
