"""The thin shell around the inference server that makes it an ASGI application, to mount it in others' servers."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from charkh.endpoints.connections import PATIENCE
from charkh.endpoints.door import Headers

JSON = ("content-type", "application/json")

Body = TypeVar("Body")


class Answer(Protocol):
    """What the server answers."""

    @property
    def status(self) -> int: ...

    @property
    def body(self) -> bytes: ...

    @property
    def headers(self) -> tuple[tuple[str, str], ...]: ...


Respond = Callable[[str, str, str, Headers, Callable[[int], Awaitable[bytes | None]]], Awaitable[Answer]]


AsgiScope = Mapping[str, Any]
AsgiReceive = Callable[[], Awaitable[Mapping[str, Any]]]
AsgiSend = Callable[[dict[str, Any]], Awaitable[None]]


async def asgi(respond: Respond, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
    """Answer one ASGI request; other scopes than `http` are not for this application."""
    if scope["type"] != "http":
        raise ValueError(f"an inference application takes http, not {scope['type']}")
    pairs: Iterable[tuple[bytes, bytes]] = scope["headers"]
    headers: dict[str, str] = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}
    unread = True

    async def read(limit: int) -> bytes | None:
        nonlocal unread
        unread = False
        return await _patiently(_messages(receive, limit))

    reply = await _answered(respond, scope["method"], scope["path"], headers.get("host", ""), headers, read)
    if unread:
        await _pass_over(headers, read)
    status, more, body = (408, (), LATE) if reply is None else (reply.status, reply.headers, reply.body)
    sent = [("content-length", str(len(body))), *typed(more)]
    encoded = [(name.encode(), value.encode()) for name, value in sent]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def typed(headers: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """The headers with a content type; JSON where they name none."""
    if any(name == "content-type" for name, _ in headers):
        return list(headers)
    return [JSON, *headers]


SHORT = 1 << 16
"""Bytes of a body that is read although nobody asked for it, where they are there within `SHORT_SECONDS`."""
SHORT_SECONDS = 1.0
LATE = b'{"error":"the body did not come in time"}'


async def _answered(
    respond: Respond,
    method: str,
    path: str,
    host: str,
    headers: Headers,
    read: Callable[[int], Awaitable[bytes | None]],
) -> Answer | None:
    try:
        return await respond(method, path, host, headers, read)
    except TimeoutError:
        return None


async def _pass_over(headers: Headers, read: Callable[[int], Awaitable[bytes | None]]) -> None:
    """Read a short body that the answer does not depend on: behind one that is not read the connection is closed.

    Many clients send head and body apart, so that they would be cut off in the middle of a request that is refused.
    """
    length = headers.get("content-length", "")
    if length.isdigit() and 0 < int(length) <= SHORT:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(read(SHORT), SHORT_SECONDS)


class Patience:
    """Ends reads of bodies that take too long.

    Every one of them is looked at now and then, instead of each having a timer of its own: that costs a request
    a dictionary's entry.

    Args:
        seconds: that a client has.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def until(self, body: Awaitable[Body]) -> Body:
        """The body.

        Raises:
            TimeoutError: it did not come within the time, or up to a quarter more.
        """
        task = asyncio.current_task()
        if task is None:
            return await body
        self._since[task] = time.monotonic()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds / 4, self._look)
        try:
            return await body
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            task.uncancel()
            raise TimeoutError from None
        finally:
            del self._since[task]
            self._late.discard(task)

    def _look(self) -> None:
        now = time.monotonic()
        for task, since in self._since.items():
            if now - since > self._seconds:
                self._late.add(task)
        for task in self._late:
            task.cancel()
        waits = bool(self._since)
        self._timer = asyncio.get_running_loop().call_later(self._seconds / 4, self._look) if waits else None


_patience = Patience(PATIENCE)


async def _patiently(body: Awaitable[Body]) -> Body:
    return await _patience.until(body)


async def _messages(receive: AsgiReceive, limit: int) -> bytes | None:
    parts, size = list[bytes](), 0
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > limit:
            return None
        if message["type"] != "http.request" or not message.get("more_body"):
            return b"".join(parts)
