"""One client's connection: requests in, answers out in the order of the requests, and an end for who dawdles.

The bytes are read by llhttp, Node's parser (`httptools`). What comes on all connections in one turn of the event loop
is answered at its end, together where that pays: no thread, task or lock stands between a request and a quick model.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, cast
from urllib.parse import unquote

import httptools

from charkh.endpoints.door import Headers
from charkh.endpoints.http.answers import CONTINUE, answer_bytes
from charkh.endpoints.http.body import Body
from charkh.endpoints.replies import error_body
from charkh.endpoints.route import Reply

MAX_HEAD = 64 * 1024
"""Bytes of the longest head."""
SHORT = 64 * 1024
"""Bytes of a body that is read before anybody asks for it."""
LINGER = 1.0
"""Seconds in which bytes that nobody wants are still taken: who is cut off while sending never sees the answer."""
KNOWN_NAMES = 256
"""Names of headers that are kept as texts."""
FAILED = Reply(500, error_body("the server failed; its log says why"))
LATE = Reply(408, error_body("the body did not come in time"))

_log = logging.getLogger("charkh")
_names: dict[bytes, str] = {}


class Answering(Protocol):
    """What answers; `charkh.endpoints.application.Application`."""

    def at_once(self, asked: "Sequence[Asked]", /) -> list[Reply | None]: ...

    async def respond(
        self, method: str, path: str, host: str, headers: Headers, read: Callable[[int], Awaitable[bytes | None]], /
    ) -> Reply: ...


class Crowd(Protocol):
    """The connections of a listener."""

    def enter(self, connection: "Connection") -> bool:
        """Whether there is room for one more."""
        ...

    def leave(self, connection: "Connection") -> None: ...

    def ask(self, connection: "Connection", asked: "Asked") -> None:
        """Have `connection.answer` called with what is answered at once, at the end of this turn of the loop."""
        ...


class Asked:
    """A request.

    Args:
        method: of the request.
        path: decoded, without the query.
        headers: by lower-case name.
        body: all of it, where it is short.
        coming: where a long one comes from.
        connection: what the answer's `Connection` header says; empty for none.
    """

    __slots__ = ("body", "coming", "connection", "headers", "method", "path")

    def __init__(
        self, method: str, path: str, headers: dict[str, str], body: bytes, coming: Body | None, connection: bytes
    ) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.coming = coming
        self.connection = connection

    async def read(self, limit: int) -> bytes | None:
        """The body; None where it is longer than `limit` bytes."""
        if self.coming is not None:
            return await self.coming.read(limit)
        return self.body if len(self.body) <= limit else None


_WAITING, _HEAD, _BODY = 0, 1, 2
"""What comes next: another request, the rest of a head, or the rest of a body."""


class Connection(asyncio.Protocol):
    """One client's connection.

    Args:
        application: what answers.
        crowd: the connections of the listener.
    """

    def __init__(self, application: Answering, crowd: Crowd) -> None:
        self._application = application
        self._crowd = crowd
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport = cast(asyncio.Transport, None)
        self._since = self._loop.time()
        self._phase = _WAITING
        self._heads = 0
        self._head_size = 0
        self._url = b""
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._connection = b""
        self._coming: Body | None = None
        self._queue: deque[Asked] = deque()
        self._task: asyncio.Task[None] | None = None
        self._is_busy = False
        self._is_last = False
        self._is_blocked = False
        self._is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come; it is sent away where there are too many."""
        self._transport = cast(asyncio.Transport, transport)
        if not self._crowd.enter(self):
            self._refuse(Reply(503, error_body("too many connections"), (("retry-after", "1"),)))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the protocol's name)
        """The client is gone, or was sent away: what is under way ends by itself, and what waits is dropped."""
        self._crowd.leave(self)
        self._is_last = True
        self._queue.clear()
        if self._coming is not None:
            self._coming.fail(ConnectionResetError("the client is gone"))

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        if self._is_last and self._coming is None:
            return
        heads, phase = self._heads, self._phase
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # it was answered in HTTP/1.1 all the same, and nothing that follows is
        except httptools.HttpParserCallbackError:
            _log.exception("a request could not be answered")
            self._refuse(FAILED)
        except httptools.HttpParserError as error:
            self._refuse(Reply(400, error_body(f"this is no HTTP/1.1: {error}")))
        if self._phase == phase == _HEAD and self._heads == heads:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD:
                self._refuse(Reply(431, error_body(f"the headers are longer than {MAX_HEAD} bytes")))
        if self._queue or (self._coming is not None and not self._coming.is_wanted):
            self._pause()

    def eof_received(self) -> bool:
        """The client sends no more; it still gets its answers."""
        self._is_last = True
        if self._coming is not None:
            self._coming.fail(ConnectionResetError("the client sends no more"))
            return False
        return self._is_busy or bool(self._queue)

    def pause_writing(self) -> None:
        """The client does not read its answers: it gets no more of them until it does."""
        self._is_blocked = True
        self._since = self._loop.time()
        self._pause()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._is_blocked = False
        self._go_on()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._phase = _HEAD
        self._since = self._loop.time()
        self._heads += 1
        self._head_size = 0
        self._url = b""
        self._headers = {}
        self._parts = []

    def on_url(self, url: bytes) -> None:
        """Another part of its address."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or behind the body a trailer, which nobody reads."""
        if self._phase != _HEAD:
            return
        key = _names.get(name) or _name(name)
        text = value.decode("latin-1")
        if key in self._headers:
            if key == "host":
                self._refuse(Reply(400, error_body("the request has two Host headers")))
            text = f"{self._headers[key]}, {text}"
        self._headers[key] = text

    def on_headers_complete(self) -> None:
        """The head is whole: a long body is for whoever answers to ask for."""
        self._phase = _BODY
        if self._is_last:
            return
        self._since = self._loop.time()
        self._connection = self._said_of_the_connection()
        length = self._headers.get("content-length")
        if "transfer-encoding" in self._headers or (length is not None and int(length) > SHORT):
            self._coming = Body(self._let_come, None if length is None else int(length))
            self._take(b"", self._coming)
        elif "expect" in self._headers:
            self._invite()

    def on_body(self, body: bytes) -> None:
        """Another part of the body."""
        if self._coming is not None:
            self._coming.add(body)
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._phase = _WAITING
        self._since = self._loop.time()
        if self._coming is not None:
            self._coming.finish()
            self._coming = None
        elif not self._is_last:
            parts = self._parts
            self._take(parts[0] if len(parts) == 1 else b"".join(parts), None)

    def end_when_late(self, since: float) -> None:
        """End it where the client has kept it waiting since before that time of the loop."""
        if self._since > since:
            return
        if self._is_blocked or self._transport.is_closing():
            self._transport.abort()
        elif self._is_busy:
            if self._coming is not None and self._coming.is_wanted:
                self._coming.fail(TimeoutError())
        elif self._phase == _BODY:
            self._refuse(LATE)
        else:
            self._end()

    def end_soon(self) -> None:
        """End it as soon as everything is answered that it has asked."""
        self._is_last = True
        if not self._is_busy and not self._queue:
            self._transport.close()

    def abort(self) -> None:
        """End it now."""
        self._transport.abort()

    def _said_of_the_connection(self) -> bytes:
        """What the answer says about it: nothing, where it stays as is usual."""
        if self._parser.should_upgrade() or not self._parser.should_keep_alive():
            return b"close"
        return b"keep-alive" if self._parser.get_http_version() == "1.0" else b""

    def _take(self, body: bytes, coming: Body | None) -> None:
        """Answer the request, or have it wait for those before it."""
        method, path = self._parser.get_method().decode(), _path(self._url)
        asked = Asked(method, path, self._headers, body, coming, self._connection)
        self._is_last = self._connection == b"close"
        if self._is_busy or self._queue or self._is_blocked:
            self._queue.append(asked)
        else:
            self._begin(asked)

    def _begin(self, asked: Asked) -> None:
        self._is_busy = True
        if asked.coming is None:
            self._crowd.ask(self, asked)
        else:
            self.answer(asked, None)

    def answer(self, asked: Asked, reply: Reply | None) -> None:
        """Send the answer to a request; where there is none yet, have the application find it."""
        if reply is None:
            self._task = self._loop.create_task(self._respond(asked))
        else:
            self._send(reply, asked)
            if self._queue:
                self._go_on()

    async def _respond(self, asked: Asked) -> None:
        host = asked.headers.get("host", "")
        try:
            reply = await self._application.respond(asked.method, asked.path, host, asked.headers, asked.read)
        except TimeoutError:
            reply, asked.connection = LATE, b"close"
        except ConnectionError:
            self._end()
            return
        except Exception:  # noqa: BLE001 (the edge of the process: the other requests go on)
            _log.exception("a request could not be answered")
            reply = FAILED
        self._send(reply, asked)
        self._go_on()

    def _send(self, reply: Reply, asked: Asked) -> None:
        self._is_busy = False
        self._since = self._loop.time()
        unread = asked.coming is not None and not asked.coming.is_complete
        last = unread or asked.connection == b"close" or (self._is_last and not self._queue)
        if not self._transport.is_closing():
            connection = b"close" if last else asked.connection
            self._transport.write(answer_bytes(reply, connection=connection, body=asked.method != "HEAD"))
        if unread:
            self._linger()
        elif last:
            self._end()

    def _go_on(self) -> None:
        """Answer what waits, then read on."""
        if self._queue and not self._is_busy and not self._is_blocked:
            self._begin(self._queue.popleft())
        if not self._queue and not self._is_blocked and (self._coming is None or self._coming.is_wanted):
            self._resume()

    def _let_come(self) -> None:
        """Somebody wants the body that the client has announced."""
        if self._transport.is_closing():
            return
        self._since = self._loop.time()
        if "expect" in self._headers:
            self._invite()
        self._resume()

    def _invite(self) -> None:
        """Tell a client that waits for it to send its body (RFC 9110, section 10.1.1)."""
        waits = self._headers["expect"].lower() == "100-continue" and not self._parts
        if waits and not self._queue and self._parser.get_http_version() != "1.0":
            self._transport.write(CONTINUE)

    def _refuse(self, reply: Reply) -> None:
        """Answer what is no request, and end; behind requests that still wait for their answers it gets none."""
        if self._is_last:
            return
        if self._is_busy or self._queue:
            self._is_last = True
            return
        self._transport.write(answer_bytes(reply, connection=b"close"))
        self._linger()

    def _linger(self) -> None:
        """End it when the client has had time to read what it was told."""
        self._is_last = True
        self._coming = None
        self._queue.clear()
        self._resume()
        self._loop.call_later(LINGER, self._end)

    def _end(self) -> None:
        self._is_last = True
        self._transport.close()

    def _pause(self) -> None:
        if not self._is_paused and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()


def _name(name: bytes) -> str:
    """A header's name in lower case; the usual ones are made once."""
    text = name.decode("latin-1").lower()
    if len(_names) < KNOWN_NAMES:
        _names[name] = text
    return text


def _path(url: bytes) -> str:
    """The path of an address, decoded and without the query."""
    if not url.startswith(b"/"):
        try:
            url = httptools.parse_url(url).path or b"/"
        except httptools.HttpParserInvalidURLError:
            return url.decode("latin-1")
    path = url.partition(b"?")[0].decode("latin-1")
    return unquote(path) if "%" in path else path
