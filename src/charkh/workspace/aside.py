"""Where runs are recorded whose workspace cannot be written, and how the workspace takes them in later.

A training that begins on a full disk, or in a folder of somebody else, records into a store of its own below the
user's state folder, one for each workspace. Whoever opens the workspace again finds it there. A process that records
there holds `in-use` beside the store, shared, until it ends: nobody removes what somebody may still write to.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from charkh.core.config import Settings
from charkh.core.digests import digest_of
from charkh.core.errors import Unavailable
from charkh.runs.deferred import TROUBLES
from charkh.workspace.settings import STORE_FOLDER, find_workspace
from charkh.workspace.workspace import Workspace

FOLDER = "aside"
IN_USE = "in-use"
_lock = threading.Lock()
_opened: dict[Path, Workspace] = {}
_log = logging.getLogger("charkh")


def aside_folders(workspace_folder: Path) -> tuple[Path, ...]:
    """Where what is recorded beside a workspace lies: below the state folder, or the temporary one of the machine."""
    name = digest_of(str(workspace_folder).encode())[:32]
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    temporary = Path(tempfile.gettempdir()) / f"charkh-{os.getuid()}"
    return tuple(base / FOLDER / name for base in (state / "charkh", temporary))


def nearest_folder() -> Path:
    """The folder of the workspace that a script stands in, or that becomes one."""
    here = Path(os.environ.get("CHARKH_WORKSPACE") or Path.cwd()).resolve()
    return find_workspace(here) or here


def aside_workspace(folder: Path) -> Workspace:
    """A workspace beside the one in `folder`, for what that one cannot take; opened once in a process.

    Raises:
        Unavailable: nothing can be written anywhere.
    """
    with _lock:
        if folder not in _opened:
            _opened[folder] = _open(folder)
        return _opened[folder]


def has_aside(workspace_folder: Path) -> bool:
    """Whether something was recorded beside a workspace and waits there; this costs two `stat`."""
    return any((each / STORE_FOLDER / "format.json").is_file() for each in aside_folders(workspace_folder))


def take_in(workspace: Workspace) -> int:
    """Take in what was recorded beside a workspace; how many facts there were.

    What a process still writes stays until a later call.

    Raises:
        CharkhError: this workspace cannot be written either; what waits stays.
    """
    # Here, because who has nothing that waits needs no sync.
    from charkh.workspace.sealing import seal_all
    from charkh.workspace.spool import SpooledWorkspace
    from charkh.workspace.syncing import sync

    if isinstance(workspace, SpooledWorkspace):
        # Its own store is below the state folder as well: where that could not be written, nothing was.
        return 0

    def taken(folder: Path) -> tuple[int, bool]:
        with Workspace(folder, Settings(), create=False) as waiting:
            seal_all(waiting)
            busy = bool(waiting.journal.list_data())
        report = sync(workspace, str(folder), push=False)
        return report.facts_taken, report.complete and not busy

    facts = 0
    for folder in aside_folders(workspace.folder):
        if not (folder / STORE_FOLDER / "format.json").is_file():
            continue
        # Without the lock, because a training that begins now waits for it; what it takes is nearly everything.
        new, whole = taken(folder)
        facts += new
        with _unused(folder) as unused:
            if whole and unused:
                new, whole = taken(folder)
                facts += new
                if whole:
                    shutil.rmtree(folder, ignore_errors=True)
    return facts


def take_in_quietly(workspace: Workspace) -> None:
    """As `take_in`, for whoever opens a workspace for something else: what cannot be taken now waits."""
    if not has_aside(workspace.folder):
        return
    try:
        if facts := take_in(workspace):
            _log.warning("took in %d facts that were recorded while this workspace could not be written", facts)
    except TROUBLES as error:
        _log.warning("what was recorded beside this workspace waits: %s", error)


def _open(folder: Path) -> Workspace:
    trouble: Exception | None = None
    for place in aside_folders(folder):
        try:
            _hold(place)
            return Workspace(place, Settings(), create=True)
        except TROUBLES as error:
            trouble = error
    raise Unavailable(
        f"nothing can be recorded on this machine: {trouble}",
        code="store.unavailable",
        hint="Make room, or set XDG_STATE_HOME to a folder that can be written.",
    )


def _hold(place: Path) -> None:
    """Make the folder and hold it for as long as this process and its forks live; no other program inherits it."""
    while True:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(place / IN_USE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            # Taken in and removed since it was made.
            continue
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat((place / IN_USE).stat(), os.fstat(descriptor)):
                return
        os.close(descriptor)


@contextmanager
def _unused(place: Path) -> Generator[bool]:
    """Whether nobody records there; for the block nobody begins to."""
    descriptor = os.open(place / IN_USE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)
