"""The models that clients have unloaded: of one process, or the same in every process of a server.

A client's next request may come to another process. So whoever unloads or loads is answered when all of them do
accordingly, which takes one look of each: `EVERY` seconds.
"""

import asyncio
import logging
import time

from charkh.ports.shared_names import SharedNames

EVERY = 0.05
"""Seconds between two looks at what the other processes were told."""
PATIENCE = 5.0
"""Seconds that a client waits for processes that do not look; they follow as soon as they do."""
_log = logging.getLogger("charkh")


class Unloaded:
    """The names.

    Args:
        shared: what the processes of one server share; without it the names are this process's own.
    """

    def __init__(self, shared: SharedNames | None = None) -> None:
        self._shared = shared
        self._names = frozenset[str]() if shared is None else shared.read()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    @property
    def is_shared(self) -> bool:
        """Whether other processes may change them."""
        return self._shared is not None

    def put(self, name: str, *, unloaded: bool) -> None:
        """Unload a model, or load it again."""
        if self._shared is not None:
            self._shared.put(name, present=unloaded)
            self._names = self._shared.read()
        else:
            self._names = self._names | {name} if unloaded else self._names - {name}

    def look(self) -> bool:
        """Take what other processes were told; whether there was anything."""
        if self._shared is None or not self._shared.changed():
            return False
        self._names = self._shared.read()
        return True

    def heed(self) -> None:
        """This process serves accordingly now."""
        if self._shared is not None:
            self._shared.heed()

    async def heeded(self) -> None:
        """Return when every process serves accordingly, or after `PATIENCE`."""
        if self._shared is None:
            return
        deadline = time.monotonic() + PATIENCE
        while not self._shared.heeded():
            if time.monotonic() > deadline:
                _log.warning("a server process has not heard for %g s what was unloaded or loaded", PATIENCE)
                return
            await asyncio.sleep(EVERY / 5)
