"""Take away what another version of a dataset left in a folder; never what a person made or changed."""

import os
from pathlib import Path

from blake3 import blake3

from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.index import DatasetVersions
from charkh.ports.store import Store


def prune(store: Store, version: DatasetVersion, folder: Path) -> tuple[str, ...]:
    """Remove the files of `folder` that `version` does not have and some other version of the dataset has exactly so.

    What is removed can be had again by a checkout of that version. Links are not followed and stay.

    Returns:
        The paths that were removed, relative to `folder`.

    Raises:
        NotFound: the tree of a version is not here.
        OSError: a file cannot be read or removed.
    """
    mine = {entry.path for entry in store.vault.entries(version.made.tree.root)}
    left = [path for path in _files(folder) if path not in mine]
    known = _known(store, version, set(left)) if left else {}
    gone = [path for path in left if path in known and _digest(folder / path) in known[path]]
    for path in gone:
        (folder / path).unlink()
        _remove_empty(folder, (folder / path).parent)
    return tuple(gone)


def _files(folder: Path) -> list[str]:
    return sorted(
        Path(parent, name).relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder)
        for name in names
        if not Path(parent, name).is_symlink()
    )


def _known(store: Store, version: DatasetVersion, paths: set[str]) -> dict[str, set[str]]:
    """By path, the digests that other versions have there; versions whose trees are elsewhere put nothing here."""
    found: dict[str, set[str]] = {}
    mine = version.made.tree.root
    roots = {each.made.tree.root for each in store.queries.ask(DatasetVersions(name=version.made.name))}
    for root in sorted(roots - {mine}):
        if not store.vault.has(root):
            continue
        # What both have alike is not read, so that many versions of a large folder cost what changed between them.
        for change in store.vault.compare(root, mine):
            if change.new is None and change.old is not None and change.path in paths:
                found.setdefault(change.path, set()).add(change.old.digest)
    return found


def _digest(path: Path) -> str:
    hasher = blake3()
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            hasher.update(data)
    return hasher.hexdigest()


def _remove_empty(folder: Path, inside: Path) -> None:
    while inside != folder and not any(inside.iterdir()):
        inside.rmdir()
        inside = inside.parent
