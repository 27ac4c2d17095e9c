"""Followed folders of event files: their news come into the store beside the server, as they are written."""

import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from charkh.core.errors import CharkhError
from charkh.core.quantities import parse_duration
from charkh.workspace.leading import leadership_of
from charkh.workspace.workspace import Workspace

if TYPE_CHECKING:
    from charkh.bridges.tensorboard.follow import Follower

MOST_SECONDS = 10.0
"""The longest pause between two looks."""

_log = logging.getLogger("charkh.server")


class Following:
    """Follows folders in a thread, from `start` to `stop`; of several servers of one store, one at a time.

    A folder that is not there yet is looked for at every round. Trouble with one folder is logged and does not keep
    the others waiting.

    Args:
        workspace: where the runs are recorded.
        folders: what TensorBoard would be given, beside those of the settings.
    """

    def __init__(self, workspace: Workspace, folders: tuple[Path, ...] = ()) -> None:
        settings = workspace.settings.tensorboard
        self._workspace = workspace
        self._folders = tuple(dict.fromkeys([*((workspace.folder / each) for each in settings.follow), *folders]))
        self._project = settings.project
        self._every = parse_duration(settings.every)
        self._leadership = leadership_of(workspace, "tensorboard")
        self._followers: dict[Path, Follower] = {}
        self._reported: dict[Path, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="charkh-tensorboard", daemon=True)

    def start(self) -> None:
        """Begin, where there is anything to follow."""
        if self._folders:
            self._thread.start()

    def stop(self, grace: float) -> bool:
        """Begin no other round; whether the one under way ended within `grace` seconds, and what was open is sealed."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(grace)
        ended = not self._thread.is_alive()
        if ended:
            self._leadership.close()
        return ended

    def _run(self) -> None:
        while not self._stop.is_set():
            began, news = time.monotonic(), False
            if self._leadership.leads():
                for folder in self._folders:
                    news = self._look(folder) or news
                    if self._stop.is_set():
                        break
            # To look at many folders in vain takes at most half of the time: others need the processor, too.
            self._stop.wait(self._every if news else max(self._every, min(time.monotonic() - began, MOST_SECONDS)))
        for folder in list(self._followers):
            self._close(folder)

    def _look(self, folder: Path) -> bool:
        """Take the news of a folder; whether there were any, or it was looked at for the first time."""
        first = folder not in self._followers
        # A server that follows nothing starts without NumPy.
        from charkh.bridges.tensorboard.importing import follower_of

        try:
            if folder not in self._followers:
                self._followers[folder] = follower_of(self._workspace, folder, project=self._project)
            reports = self._followers[folder].round()
            for report in reports:
                for trouble in report.trouble:
                    _log.warning("%s: %s", report.name, trouble)
            self._reported.pop(folder, None)
            return first or bool(reports)
        except CharkhError as error:
            self._report(folder, error.message)
            # What was not recorded is read again from where the facts say.
            self._followers.pop(folder, None)
        except Exception:  # noqa: BLE001 - the edge of the thread: one folder must not end the others
            _log.exception("following %s failed", folder)
            self._followers.pop(folder, None)
        return False

    def _close(self, folder: Path) -> None:
        try:
            self._followers.pop(folder).close()
        except CharkhError as error:
            self._report(folder, error.message)

    def _report(self, folder: Path, message: str) -> None:
        if self._reported.get(folder) != message:
            self._reported[folder] = message
            _log.error("following %s: %s", folder, message)
