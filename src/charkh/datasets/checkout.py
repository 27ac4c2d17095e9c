"""Check a version out into a folder: whole files, atomically, and never over what a person changed."""

import io
import os
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec
from blake3 import blake3

from charkh.core.errors import Conflict, Denied, NotFound, Unavailable
from charkh.core.files import TreeEntry
from charkh.core.ids import new_id
from charkh.core.refs import parse_path
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.index import DatasetVersions
from charkh.ports.store import Store
from charkh.ports.vault import Progress

_SHOWN = 10
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_\-.]{0,99}(?:/[A-Za-z0-9_][A-Za-z0-9_\-.]{0,99}){0,9}")
"""Most paths are so; the full grammar costs more than writing a small file does."""


class CheckedOut(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkout did: files and bytes written, and files that were there already."""

    written: int
    size: int
    unchanged: int


def checkout(
    store: Store,
    version: DatasetVersion,
    folder: Path,
    *,
    paths: Sequence[str] = (),
    force: bool = False,
    progress: Progress | None = None,
) -> CheckedOut:
    """Put the version's files into `folder`; other files there stay as they are.

    A file that is exactly what some version of the dataset has at its path may be replaced, because it can be
    had again; with anything else nothing is written at all. Run again after an interruption, it goes on.

    Args:
        store: where the version is.
        version: of the dataset.
        folder: made when it is not there.
        paths: only these files, or the files below these folders of the dataset.
        force: replace files that a person changed, too.
        progress: called with the bytes written since the last call.

    Raises:
        NotFound: a path names nothing in the version, or bytes are not here.
        Conflict: files in the folder were changed.
        Denied: a link in the folder would lead the files elsewhere.
        Unavailable: the folder cannot be written.
    """
    wanted = _chosen(store, version, paths)
    try:
        # Texts, not paths, because these are done for each of many small files.
        taken = {entry.path for entry in wanted if os.path.lexists(f"{folder}/{entry.path}")}
        waiting = [entry for entry in wanted if entry.path not in taken or not _is_there(folder / entry.path, entry)]
        if not force:
            _refuse_changed(store, version, folder, [entry.path for entry in waiting if entry.path in taken])
        for inside in sorted({entry.path.rpartition("/")[0] for entry in waiting}):
            _make_folder(folder, folder / inside)
        for entry in waiting:
            _write(store, entry, folder, progress)
    except OSError as error:
        if isinstance(error, Unavailable | Denied):
            raise
        raise Unavailable(
            f"cannot write to {folder}: {error.strerror or error}",
            code="dataset.folder_unavailable",
            hint="Look at its permissions and free space, and run it again: what is done is kept.",
        ) from error
    written = sum(entry.file.size for entry in waiting)
    return CheckedOut(written=len(waiting), size=written, unchanged=len(wanted) - len(waiting))


def _chosen(store: Store, version: DatasetVersion, paths: Sequence[str]) -> list[TreeEntry]:
    entries = list(store.vault.entries(version.made.tree.root))
    for entry in entries:
        if not _PLAIN.fullmatch(entry.path):
            parse_path(entry.path)
    if not paths:
        return entries
    chosen: dict[str, TreeEntry] = {}
    for path in (path.rstrip("/") for path in paths):
        found = [entry for entry in entries if entry.path == path or entry.path.startswith(f"{path}/")]
        if not found:
            raise NotFound(
                f"{version.ref} has no {path}",
                code="dataset.no_such_file",
                hint=f"`charkh dataset show {version.ref} --files` lists its files.",
            )
        chosen.update((entry.path, entry) for entry in found)
    return [chosen[path] for path in sorted(chosen)]


def _is_there(target: Path, entry: TreeEntry) -> bool:
    try:
        if target.is_symlink() or target.stat().st_size != entry.file.size:
            return False
    except (FileNotFoundError, NotADirectoryError):
        return False
    return target.is_file() and _digest_of(target) == entry.file.digest


def _digest_of(path: Path) -> str:
    hasher = blake3()
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            hasher.update(data)
    return hasher.hexdigest()


def _refuse_changed(store: Store, version: DatasetVersion, folder: Path, taken: Sequence[str]) -> None:
    if not taken:
        return
    known = _known_contents(store, version, set(taken))
    changed = [path for path in taken if not _is_known(folder / path, known.get(path, set()))]
    if changed:
        shown = ", ".join(changed[:_SHOWN]) + (" …" if len(changed) > _SHOWN else "")
        raise Conflict(
            f"{len(changed)} files in {folder} are not what any version of {version.made.name} has: {shown}",
            code="dataset.changed_files",
            hint="Add them as a version, move them away, or replace them with --force.",
            facts={"paths": changed},
        )


def _known_contents(store: Store, version: DatasetVersion, paths: set[str]) -> dict[str, set[str]]:
    """The digests that live versions of the dataset have at these paths."""
    known: dict[str, set[str]] = {}
    roots = {each.made.tree.root for each in store.queries.ask(DatasetVersions(name=version.made.name))}
    for root in sorted(roots):
        for entry in store.vault.entries(root):
            if entry.path in paths:
                known.setdefault(entry.path, set()).add(entry.file.digest)
    return known


def _is_known(path: Path, digests: set[str]) -> bool:
    return not path.is_symlink() and path.is_file() and _digest_of(path) in digests


def _make_folder(folder: Path, parent: Path) -> None:
    """Make `parent` inside `folder`; no part below `folder` may be a link that leads elsewhere."""
    parent.mkdir(parents=True, exist_ok=True)
    inside = parent
    while inside != folder:
        if inside.is_symlink():
            raise Denied(
                f"{inside} is a link, so the files would not come to lie in {folder}",
                code="dataset.link",
                hint="Remove the link, or check out into another folder.",
            )
        inside = inside.parent


def _write(store: Store, entry: TreeEntry, folder: Path, progress: Progress | None) -> None:
    target = f"{folder}/{entry.path}"
    partial = f"{target.rpartition('/')[0]}/.charkh-{new_id()}"
    mode = 0o777 if entry.executable else 0o666
    try:
        # No buffer: chunks are large, and a small file is one.
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb", buffering=0) as file:  # noqa: PTH123
            for chunk in store.vault.read(entry.file):
                _write_whole(file, chunk)
                if progress:
                    progress(len(chunk))
        os.rename(partial, target)  # noqa: PTH104
    except IsADirectoryError as error:
        Path(partial).unlink(missing_ok=True)
        raise Conflict(
            f"{target} is a folder, the dataset has a file there", code="dataset.folder_there", hint="Move it away."
        ) from error
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def _write_whole(file: io.FileIO, chunk: bytes) -> None:
    written = file.write(chunk)
    while written < len(chunk):
        written += file.write(memoryview(chunk)[written:])
