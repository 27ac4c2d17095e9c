"""The code of a run, built again in a folder: the revision that it ran at, and the changes that it ran with."""

import re
from pathlib import Path, PurePath
from typing import NamedTuple

from charkh.core.errors import Conflict, Invalid, NotFound
from charkh.core.files import FileRef
from charkh.core.redact import REDACTED
from charkh.ports.store import Store
from charkh.runs.run import Run, RunProvenance
from charkh.runs.version_control import Revision, VersionControl
from charkh.runs.working_tree import find_system, system_named
from charkh.workspace.workspace import Workspace

_HUNK = re.compile(rb"@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@")
_OLD = re.compile(rb"--- (?:a/)?([^\t\n]+)")
_MARK = REDACTED.encode()


class Code(NamedTuple):
    """Where a run's code stands now.

    Attributes:
        folder: the root of the tree that was built.
        workspace: the workspace in it.
        working_folder: where the command is run.
        notes: what could not be had again, in words.
    """

    folder: Path
    workspace: Path
    working_folder: Path
    notes: tuple[str, ...]


def build_code(workspace: Workspace, run: Run, folder: Path, repository: Path | None) -> Code:
    """Put the run's code into `folder`, which is empty.

    Args:
        workspace: whose store has the recorded changes.
        run: whose code.
        folder: an empty one.
        repository: a working tree of the run's repository; the one of the workspace, or the run's own, by default.

    Raises:
        Invalid: nothing of the code is on record.
        NotFound: there is no such repository, or it has no such revision.
        Conflict: the recorded changes do not fit.
        Unavailable: the version control system is missing, or fails.
    """
    known = run.provenance
    if known is None or not (known.commit or known.script is not None):
        raise Invalid(
            f"nothing is on record of the code of {run.subject}",
            code="replay.no_code",
            hint="Code is recorded where it lies under Git, Mercurial or Subversion, or is a script of its own.",
        )
    if not known.commit:
        return _build_script(workspace, known, folder)
    system, root = _repository(workspace, known, repository)
    system.check_out(root, Revision(known.commit, known.branch, known.remote), folder)
    notes = _apply(workspace.store, system, known, folder)
    if (folder / ".gitmodules").is_file() or (folder / ".hgsub").is_file():
        notes.append("repositories inside the repository are not checked out")
    inside = _relative(workspace.folder, root)
    return Code(
        folder=folder,
        workspace=_made(folder / inside),
        working_folder=_made(folder / (_relative(Path(known.started_in), Path(known.root)) or known.folder)),
        notes=tuple(notes),
    )


def mapped(argument: str, known: RunProvenance, folder: Path) -> str:
    """An argument that named a file of the run's tree by its absolute path, naming the one in `folder`."""
    if known.root and (argument == known.root or argument.startswith(f"{known.root}/")):
        return str(folder) + argument.removeprefix(known.root)
    return argument


def read_bytes(store: Store, file: FileRef | None) -> bytes:
    """Content of a recorded file; empty where there is none."""
    return b"".join(store.vault.read(file)) if file is not None else b""


def restore_redacted(patch: bytes, folder: Path) -> bytes:
    """A patch whose context lost credentials to redaction, with the lines that the files have there."""
    if _MARK not in patch:
        return patch
    lines = patch.split(b"\n")
    old: list[bytes] = []
    at = 0
    for place, line in enumerate(lines):
        header, hunk = _OLD.match(line), _HUNK.match(line)
        if header and lines[place + 1 : place + 2] and lines[place + 1].startswith(b"+++ "):
            path = folder / header[1].decode("utf-8", "surrogateescape")
            old = path.read_bytes().split(b"\n") if path.is_file() else []
        elif hunk:
            at = int(hunk[1])
        elif line[:1] in {b" ", b"-"}:
            if _MARK in line and 0 < at <= len(old):
                lines[place] = line[:1] + old[at - 1]
            at += 1
    return b"\n".join(lines)


def _apply(store: Store, system: VersionControl, known: RunProvenance, folder: Path) -> list[str]:
    notes: list[str] = []
    if known.dirty is None:
        notes.append(f"{system.title} did not say whether there were uncommitted changes")
    if known.patch_cut:
        notes.append("not every uncommitted change is on record: some were too large or no text")
    patch = restore_redacted(read_bytes(store, known.patch), folder)
    if not patch:
        return notes
    try:
        system.apply(folder, patch)
    except Conflict as error:
        cut = "they were cut when they were recorded" if known.patch_cut else "redaction may have changed them"
        raise Conflict(
            error.message,
            code="replay.patch",
            hint=f"The code is in {folder} without them; {cut}. `charkh run show RUN --patch` prints them.",
        ) from error
    if any(line.startswith(b"+") and _MARK in line for line in patch.split(b"\n")):
        notes.append(f"a credential in the uncommitted changes was not kept: {REDACTED} stands in its place")
    return notes


def _build_script(workspace: Workspace, known: RunProvenance, folder: Path) -> Code:
    script = read_bytes(workspace.store, known.script)
    (folder / script_name(read_bytes(workspace.store, known.command))).write_bytes(script)
    notes = ["no version control system knew the code: only the main script is on record"]
    if _MARK in script:
        notes.append(f"a credential in the script was not kept: {REDACTED} stands in its place")
    return Code(folder=folder, workspace=folder, working_folder=folder, notes=tuple(notes))


def script_name(command: bytes) -> str:
    """The file name of the script that a command line runs."""
    found = re.search(rb'"([^"]+\.py)"', command)
    return PurePath(found[1].decode("utf-8", "replace")).name if found else "script.py"


def _repository(workspace: Workspace, known: RunProvenance, repository: Path | None) -> tuple[VersionControl, Path]:
    candidates = [repository] if repository is not None else [workspace.folder, Path(known.root or "/nowhere")]
    for each in candidates:
        found = find_system(each) if each.is_dir() else None
        if found is not None and found[0].name == known.system:
            return found
    system = system_named(known.system)
    title = system.title if system is not None else known.system
    raise NotFound(
        f"there is no working tree of {title} in {candidates[0]}",
        code="replay.no_repository",
        hint=f"Name one{f' of {known.remote}' if known.remote else ''} with --repository.",
    )


def _relative(path: Path, root: Path) -> str:
    """`path` inside `root`, or empty where it is not."""
    if not path.is_absolute() or not root.is_absolute():
        return ""
    path, root = path.resolve(), root.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else ""


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
