"""An ASGI application that is made when it is first asked, or soon after the start: the port is open before."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from charkh.server.front import Asgi

SOON = 1.0
"""Seconds after the start in which nobody has asked."""


class Later:
    """Makes an application once, on a thread, and hands requests on to it; they wait until it is there.

    Loading the API's framework takes longer than everything else that a server does before it listens, and neither
    the endpoints nor MLflow's protocol need it.

    Args:
        make: gives the application.
    """

    def __init__(self, make: Callable[[], Asgi]) -> None:
        self._make = make
        self._made: Asgi | None = None
        self._lock = threading.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        made = self._made or await asyncio.to_thread(self.made)
        await made(scope, receive, send)

    def made(self) -> Asgi:
        """The application."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    async def soon(self) -> None:
        """Make it when nobody has asked for a while; what it raises is the server's to end with.

        Raises:
            Bug: a route has no policy: such a server does not go on.
        """
        await asyncio.sleep(SOON)
        await asyncio.to_thread(self.made)
