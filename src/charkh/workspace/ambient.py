"""The workspace that a script works in, without having to name it: the nearest one, opened at the first use."""

import atexit
import contextlib
import os
import threading
from collections.abc import Generator
from contextvars import ContextVar
from pathlib import Path

from charkh.core.errors import CharkhError
from charkh.workspace.aside import take_in_quietly
from charkh.workspace.nearest import open_nearest
from charkh.workspace.sharing import report_if_due
from charkh.workspace.workspace import Workspace

_chosen: ContextVar[Workspace | None] = ContextVar("charkh_workspace", default=None)
_lock = threading.Lock()
_found: dict[Path, Workspace] = {}
"""Workspaces that were opened by themselves, by the folder that the script stood in."""


def workspace(folder: str | Path | None = None) -> Workspace:
    """The workspace of this script.

    Args:
        folder: one to open; without it, the one chosen by `use`, or the nearest one from the current folder
            upwards, or the server that `CHARKH_URL` names, or the current folder itself, which becomes one: no file is
            needed to begin.

    Raises:
        Invalid: its settings cannot be read.
        Unavailable: its store cannot be reached or written.
    """
    if folder is not None:
        return open_nearest(Path(folder), create=True, ambient=False)
    return _ambient(create=True)


def joined_workspace(folder: str) -> Workspace:
    """As `workspace()`, for a process that joins a run which another one has started in the workspace of `folder`.

    Args:
        folder: as the starter told it; empty where there is no such run.

    Raises:
        Invalid, Unavailable: as `workspace`.
    """
    if folder and _chosen.get() is None and Path(folder).is_dir():
        return _opened(Path(folder), create=True)
    return _ambient(create=True)


def existing_workspace() -> Workspace:
    """As `workspace()`, for what only reads: a folder that nobody made a workspace stays as it is.

    Raises:
        NotFound: there is none in the current folder or above it.
        Invalid: its settings cannot be read.
        Unavailable: its store cannot be reached or written.
    """
    return _ambient(create=False)


def _ambient(*, create: bool) -> Workspace:
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    return _opened(Path(os.environ.get("CHARKH_WORKSPACE") or Path.cwd()).resolve(), create=create)


def _opened(here: Path, *, create: bool) -> Workspace:
    with _lock:
        if here not in _found:
            _found[here] = open_nearest(here, create=create)
            report_if_due(_found[here])
            take_in_quietly(_found[here])
        return _found[here]


@contextlib.contextmanager
def use(chosen: Workspace) -> Generator[Workspace]:
    """Let everything inside the `with` block work in `chosen`; it is not closed at the end."""
    token = _chosen.set(chosen)
    try:
        yield chosen
    finally:
        _chosen.reset(token)


@atexit.register
def _close_all() -> None:
    for each in _found.values():
        # Whoever opens the store next seals what could not be sealed now; nothing acknowledged is lost.
        with contextlib.suppress(CharkhError):
            each.close()
