"""Where clients come in: many in one turn of the event loop."""

import asyncio
import logging
import socket
from collections.abc import Callable

AT_ONCE = 64
"""Clients that come in in one turn."""
PAUSE = 0.1
"""Seconds in which nobody comes in where the system has no descriptor or memory left for them."""

_log = logging.getLogger("charkh")


class Entrance:
    """Takes in the clients of a listening socket until it is closed.

    libuv by itself takes in one client a turn: while answers make each turn long, the last of many that come at once
    would wait for as many turns as there are clients before it.

    Args:
        listening: the socket; it does not block, and it is closed with the entrance.
        connect: makes what speaks to a client.
    """

    def __init__(self, listening: socket.socket, connect: Callable[[], asyncio.Protocol]) -> None:
        self._listening = listening
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._coming: set[asyncio.Task[None]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._is_full = False
        self._open()

    async def close(self) -> None:
        """Let nobody in any more; who was let in has a connection when this returns."""
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()
        await asyncio.gather(*self._coming)

    def _open(self) -> None:
        self._loop.add_reader(self._listening, self._let_in)

    def _let_in(self) -> None:
        for _ in range(AT_ONCE):
            try:
                client, _address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if not self._is_full:
                    _log.error("no more clients can be taken in for now: %s", error)
                self._is_full = True
                self._loop.remove_reader(self._listening)
                self._later = self._loop.call_later(PAUSE, self._open)
                return
            self._is_full = False
            task = self._loop.create_task(self._welcome(client))
            self._coming.add(task)
            task.add_done_callback(self._coming.discard)

    async def _welcome(self, client: socket.socket) -> None:
        client.setblocking(False)
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._connect, client)
        except OSError as error:
            _log.debug("a client went away before it was let in: %s", error)
            client.close()
