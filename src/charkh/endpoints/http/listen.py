"""Listen for HTTP/1.1 in the running event loop; every connection has a bound on how long it keeps one waiting."""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from charkh.endpoints.connections import BACKLOG, cannot_listen, room_for_connections
from charkh.endpoints.http.connection import Answering, Asked, Connection
from charkh.endpoints.http.entrance import Entrance
from charkh.endpoints.route import Reply

TOGETHER = 64
"""Requests that are answered before the first of them gets its answer."""
CLOSING = 3.0
"""Seconds in which answers under way reach their clients at the end."""
_log = logging.getLogger("charkh")


class Listener:
    """The connections of one address.

    Args:
        application: what answers.
        patience: seconds that a client has for a head, for a body, to read an answer, and between two requests.
        room: how many connections there may be at once.
    """

    def __init__(self, application: Answering, *, patience: float, room: int) -> None:
        self._application = application
        self._patience = patience
        self._room = room
        self._connections: set[Connection] = set()
        self._asked: list[tuple[Connection, Asked]] = []
        self._timer: asyncio.TimerHandle | None = None

    def connect(self) -> Connection:
        """A connection for a client that has come."""
        return Connection(self._application, self)

    def enter(self, connection: Connection) -> bool:
        """Take a connection; whether there was room for it."""
        self._connections.add(connection)
        return len(self._connections) <= self._room

    def leave(self, connection: Connection) -> None:
        """A connection has ended."""
        self._connections.discard(connection)

    def ask(self, connection: Connection, asked: Asked) -> None:
        """Have a request answered at the end of this turn of the loop, with the others that came in it."""
        if not self._asked:
            asyncio.get_running_loop().call_soon(self._answer)
        self._asked.append((connection, asked))

    def _answer(self) -> None:
        waiting, self._asked = self._asked, []
        for begin in range(0, len(waiting), TOGETHER):
            some = waiting[begin : begin + TOGETHER]
            for (connection, asked), reply in zip(some, self._at_once([asked for _, asked in some]), strict=True):
                connection.answer(asked, reply)

    def _at_once(self, asked: Sequence[Asked]) -> Sequence[Reply | None]:
        """What is answered at once; nothing where that fails, and each is asked by itself: one alone gets a 500."""
        try:
            return self._application.at_once(asked)
        except Exception:  # noqa: BLE001 (the edge of the process: nobody may be left without an answer)
            _log.exception("requests that came together could not be answered together")
            return [None] * len(asked)

    def look(self) -> None:
        """End the connections that are kept waiting, now and from now on."""
        loop = asyncio.get_running_loop()
        since = loop.time() - self._patience
        for connection in tuple(self._connections):
            connection.end_when_late(since)
        self._timer = loop.call_later(self._patience / 4, self.look)

    async def close(self) -> None:
        """Return when every connection has ended: those that wait for an answer with it."""
        if self._timer is not None:
            self._timer.cancel()
        for connection in tuple(self._connections):
            connection.end_soon()
        deadline = asyncio.get_running_loop().time() + CLOSING
        while self._connections and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.005)
        for connection in tuple(self._connections):
            connection.abort()


@asynccontextmanager
async def listening(
    application: Answering, host: str, port: int, *, patience: float, shared: bool = False
) -> AsyncGenerator[None]:
    """Answer requests until the block ends; then those under way get their answers.

    Args:
        application: what answers.
        host: address to listen on, in numbers.
        port: TCP port.
        patience: seconds that a client has for whatever it is waited for.
        shared: other processes of the same server listen there, too.

    Raises:
        Unavailable: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        address = socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=shared)
    except (OSError, OverflowError) as error:
        raise cannot_listen(host, port, error) from error
    address.setblocking(False)
    listener = Listener(application, patience=patience, room=room_for_connections())
    entrance = Entrance(address, listener.connect)
    listener.look()
    try:
        yield
    finally:
        await entrance.close()
        await listener.close()
