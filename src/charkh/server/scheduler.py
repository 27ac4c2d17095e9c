"""The scheduler: turns the workspace's loops and seals what is closed, at intervals, one after another."""

import asyncio
import logging

from charkh.core.errors import CharkhError
from charkh.workspace.sealing import seal_all
from charkh.workspace.turning import turn_loop
from charkh.workspace.workspace import Workspace

_log = logging.getLogger("charkh.server")


class Scheduler:
    """Works in a thread beside the server; one failure is logged and does not stop the next round.

    Args:
        workspace: whose loops are turned.
        every: seconds between two rounds; 0 for none.
    """

    def __init__(self, workspace: Workspace, every: float) -> None:
        self._workspace = workspace
        self._every = every

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set."""
        while self._every > 0 and not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), self._every)
            except TimeoutError:
                await asyncio.to_thread(self.round)

    def round(self) -> None:
        """One round: every loop once, then seal what is closed."""
        for name in sorted(self._workspace.settings.loop):
            try:
                decision = turn_loop(self._workspace, name)
                if decision.decided.outcome != "idle":
                    _log.info("loop %s: %s: %s", name, decision.decided.outcome, decision.decided.reason)
            except CharkhError as error:
                _log.error("loop %s: %s", name, error.message)
        try:
            seal_all(self._workspace)
        except CharkhError as error:
            _log.error("sealing: %s", error.message)
