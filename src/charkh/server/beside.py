"""What works beside the server once it listens: the loops, what is delivered, and event files that are followed.

What they load takes longer than the server itself, and nobody who asks waits for it.
"""

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from charkh.workspace.workspace import Workspace

_log = logging.getLogger("charkh.server")


class Worker(Protocol):
    """Works on threads of its own from `start` to `stop`."""

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self, grace: float) -> bool:
        """Begin nothing more; whether what was under way ended within `grace` seconds."""
        ...


class Beside:
    """Everything that works beside the server.

    Args:
        workspace: in which it works.
        every: seconds between two turns of the loops; 0 for none.
        tensorboard: folders of event files that are followed.
    """

    def __init__(self, workspace: Workspace, every: float, tensorboard: Collection[Path]) -> None:
        self._workspace = workspace
        self._every = every
        self._tensorboard = tuple(tensorboard)
        self._workers: list[tuple[Worker, str]] = []

    def start(self) -> None:
        """Begin."""
        # Here, because this is when it is needed: see above.
        from charkh.server.delivering import Delivery
        from charkh.server.following import Following
        from charkh.server.scheduler import Scheduler

        for worker, unfinished in (
            (Following(self._workspace, self._tensorboard), FOLLOWING),
            (Delivery(self._workspace), DELIVERING),
            (Scheduler(self._workspace, self._every), TURNING),
        ):
            self._workers.append((worker, unfinished))
            worker.start()

    def stop(self, grace: float) -> None:
        """End; what takes longer than `grace` seconds is given up, and said."""
        for worker, unfinished in self._workers:
            if not worker.stop(grace):
                _log.warning(unfinished)


FOLLOWING = "event files are still being read; the next start goes on behind what is recorded"
DELIVERING = "a webhook has not answered yet; what was sent to it is sent again at the next start"
TURNING = "a round of the loops is still under way and is given up; the next start resumes it"
