"""git-lfs: pointer files in Git's history become versions, their bytes left in the LFS storage of the repository.

A pointer is a short text of `key value` lines that begins with its version; the object lies under its SHA-256 in
`.git/lfs/objects/ab/cd/`. Source: git-lfs `docs/spec.md`.
"""

import hashlib
import re
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from charkh.assets.adopt import take_in
from charkh.bridges.contents import Contents
from charkh.bridges.histories import Brought, HistoryImport, ImportReport, MissingObjects, State
from charkh.core.digests import digest_of
from charkh.core.errors import NotFound, Unavailable
from charkh.core.files import TreeEntry
from charkh.core.refs import parse_name, parse_path
from charkh.workspace.workspace import Workspace

VERSIONS = ("https://git-lfs.github.com/spec/v1", "https://hawser.github.com/spec/v1")
"""The second was the name before the first release; git-lfs reads it still."""
MAX_POINTER = 1023
HOW = "`git lfs fetch --all` gets them"
_OID = re.compile(r"sha256:([0-9a-f]{64})")
_KEY = re.compile(r"[a-z0-9.\-]+")
_FIELDS = "%H%x1f%an%x1f%aI%x1f%s%x1e"


class Pointer(NamedTuple):
    """What a pointer file says: SHA-256 of the content and its size in bytes."""

    oid: str
    size: int


class _Commit(NamedTuple):
    id: str
    author: str
    time: str
    subject: str


def parse_pointer(data: bytes) -> Pointer | None:
    """The pointer in a file of Git's; None for any other file."""
    if len(data) > MAX_POINTER:
        return None
    try:
        lines = data.decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        return None
    fields = [line.partition(" ") for line in lines]
    keys = [key for key, _space, _value in fields]
    values = {key: value.rstrip("\r") for key, _space, value in fields}
    if keys[0] != "version" or values["version"] not in VERSIONS or not all(map(_KEY.fullmatch, keys)):
        return None
    oid = _OID.fullmatch(values.get("oid", ""))
    size = values.get("size", "")
    return Pointer(oid[1], int(size)) if oid is not None and size.isascii() and size.isdecimal() else None


def object_path(storage: Path, oid: str) -> Path:
    """Where the LFS storage has an object."""
    return storage / "objects" / oid[:2] / oid[2:4] / oid


def import_repository(
    workspace: Workspace,
    path: Path,
    *,
    name: str = "",
    only: str = "",
    revision: str = "HEAD",
    copy: bool = False,
    as_files: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Make versions of one dataset of the files that git-lfs keeps, one for each commit that changed any of them.

    Args:
        workspace: gets the versions.
        path: of the repository, or inside of it.
        name: of the dataset; that of the folder by default.
        only: a folder or file of the repository, relative to its root.
        revision: up to which the history counts.
        copy: take the bytes into packs, also those of earlier imports; otherwise they are read where they are.
        as_files: make no table.
        progress: called with the bytes that were read since the last call.

    Raises:
        NotFound: there is no repository or no such revision.
        Invalid: the name is none.
        Unavailable: git is not installed.
    """
    root = Path(_git(path, "rev-parse", "--show-toplevel").rstrip("\n"))
    only = only.strip("/")
    name = parse_name(name or Path(only or root.name).name, "dataset name")
    storage = _storage(root)
    contents = Contents(workspace.vault, copy=copy, progress=progress)
    found = _states(root, storage, contents, name, only, revision)
    importer = HistoryImport(workspace.store, as_files=as_files)
    for state in found:
        importer.make(state)
    importer.put_newest_last(found)
    if copy:
        take_in(workspace.vault, storage, importer.contents(found), progress)
    return ImportReport(
        repository=str(root),
        versions=tuple(importer.made),
        there=importer.there,
        failed=tuple(importer.failed),
        names=(),
        uncommitted=(),
    )


def _states(root: Path, storage: Path, contents: Contents, name: str, only: str, revision: str) -> list[State]:
    """The commits that changed a pointer, the oldest first."""
    known: dict[str, Pointer | None] = {}
    states: list[State] = []
    last = ""
    for commit in _commits(root, revision, only):
        pointers = _pointers(root, commit.id, only, known)
        label = digest_of(repr(sorted(pointers.items())).encode())
        if pointers and label != last:
            last = label
            states.append(
                State(
                    name=name,
                    path=only or ".",
                    label=f"git-lfs {label}",
                    commit=commit.id,
                    message=f"{commit.subject} ({commit.author}, {commit.time[:10]})",
                    sources=[f"{root}:{only}" if only else str(root)],
                    bring=partial(_bring, storage, contents, pointers, only),
                )
            )
    return states


def _bring(
    storage: Path, contents: Contents, pointers: dict[str, tuple[Pointer, bool]], only: str, _folder: Path
) -> Brought:
    entries: list[TreeEntry] = []
    places: dict[str, Path] = {}
    missing: list[str] = []
    for path, (pointer, executable) in pointers.items():
        place = object_path(storage, pointer.oid)
        inside = parse_path(path.removeprefix(f"{only}/") if path != only else path.rpartition("/")[2])
        try:
            ref = contents.take(place, inside, hashlib.sha256(), pointer.oid)
        except NotFound:
            missing.append(pointer.oid)
            continue
        entries.append(TreeEntry(inside, ref, executable))
        places[inside] = place
    if missing:
        raise MissingObjects(missing, HOW)
    contents.settle()
    return Brought(entries, places)


def _commits(root: Path, revision: str, only: str) -> list[_Commit]:
    listed = _git(root, "log", "--topo-order", "--reverse", f"--format={_FIELDS}", revision, "--", only or ".")
    return [_Commit(*record.strip("\n").split("\x1f", 3)) for record in listed.split("\x1e") if record.strip()]


def _pointers(root: Path, commit: str, only: str, known: dict[str, Pointer | None]) -> dict[str, tuple[Pointer, bool]]:
    """The pointers of a commit by path, and whether each file may be executed."""
    listed = _git(root, "ls-tree", "-r", "-l", "-z", "--full-tree", commit, "--", *([only] if only else []))
    blobs: dict[str, tuple[str, bool]] = {}
    for line in filter(None, listed.split("\0")):
        about, _, path = line.partition("\t")
        mode, kind, blob, size = about.split()
        if kind == "blob" and mode != "120000" and size.isdecimal() and int(size) <= MAX_POINTER:
            blobs[path] = (blob, mode == "100755")
    _learn(root, [blob for blob, _executable in blobs.values() if blob not in known], known)
    return {
        path: (pointer, executable)
        for path, (blob, executable) in sorted(blobs.items())
        if (pointer := known[blob]) is not None
    }


def _learn(root: Path, blobs: Sequence[str], known: dict[str, Pointer | None]) -> None:
    """Read blobs together: a process for each would take most of the time."""
    if not blobs:
        return
    asked = "".join(f"{blob}\n" for blob in dict.fromkeys(blobs)).encode()
    told = _run(root, ["cat-file", "--batch"], asked)
    position = 0
    while position < len(told):
        end = told.index(b"\n", position)
        blob, _kind, size = told[position:end].decode().split()
        start = end + 1
        known[blob] = parse_pointer(told[start : start + int(size)])
        position = start + int(size) + 1


def _storage(root: Path) -> Path:
    common = Path(root, _git(root, "rev-parse", "--git-common-dir").rstrip("\n"))
    try:
        set_by_user = _git(root, "config", "--get", "lfs.storage").rstrip("\n")
    except NotFound:
        return common / "lfs"
    return Path(common, set_by_user)


def _git(root: Path, *arguments: str) -> str:
    return _run(root, ["-c", "core.quotePath=false", *arguments]).decode(errors="surrogateescape")


def _run(root: Path, arguments: Sequence[str], given: bytes = b"") -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], input=given, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise Unavailable("git is not installed", code="git.missing", hint="Install git.") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise NotFound(f"git in {root}: {said}", code="git.failed", hint="Look at the path and the revision.")
    return done.stdout
