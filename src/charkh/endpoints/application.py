"""The inference server as one callable: routes, admission, hot swap and drain. It knows no web framework.

`Application.respond` is the whole of it; `__rsgi__` and `__call__` (ASGI) only translate. A route is one look-up in
a dictionary of whole paths, so nothing stands between a tensor and its model.
"""

import asyncio
import logging
import time
import zlib
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec

from charkh.core.errors import CharkhError, Denied, Invalid, Locked, NotFound, Unavailable
from charkh.core.ids import new_id
from charkh.endpoints.door import Door, Headers
from charkh.endpoints.instruments import NOTHING, Noted, noted
from charkh.endpoints.metrics_page import PATH as METRICS
from charkh.endpoints.servable import Servable
from charkh.endpoints.shells import AsgiReceive, AsgiScope, AsgiSend, RsgiProtocol, RsgiScope, asgi, rsgi
from charkh.endpoints.watch import Watch

LENGTH_HEADER = "inference-header-content-length"
"""Bytes of a request's JSON, where binary tensors follow it."""
MAX_BODY = 64 * 1024 * 1024
CONCURRENCY = 64
THREADS = 4
QUICK = 0.001
"""Seconds: what is expected to take less is done at once, what takes more goes to a thread."""

_STATUSES: tuple[tuple[type[CharkhError], int], ...] = (
    (Invalid, 400),
    (Denied, 403),
    (NotFound, 404),
    (Locked, 503),
    (Unavailable, 503),
)
_log = logging.getLogger("charkh")
_encode = msgspec.json.Encoder().encode

Read = Callable[[int], Awaitable[bytes | None]]
"""Reads the body; None when it is longer than that many bytes."""
Work = Callable[[Servable, bytes, str], bytes]


class Reply(NamedTuple):
    """An answer: status, JSON body, and headers beside the content type."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class _Served:
    """A servable in use: how many requests it answers now, and how long one takes by its bytes."""

    def __init__(self, servable: Servable) -> None:
        self.servable = servable
        self.inflight = 0
        self.retired = False
        self._seconds = 1.0
        self._bytes = 1.0

    def is_quick(self, size: int) -> bool:
        return self._seconds * max(1.0, size / self._bytes) < QUICK

    def took(self, seconds: float, size: int) -> None:
        # Threads that wait for each other measure too much, so less is believed sooner than more.
        share = 0.5 if seconds < self._seconds else 0.05
        self._seconds += share * (seconds - self._seconds)
        self._bytes += share * (size - self._bytes)


class _Route(NamedTuple):
    method: str
    body: bytes = b""
    served: _Served | None = None
    work: Work | None = None


class Application:
    """Answers the Open Inference Protocol's REST for several models at once.

    Args:
        servables: what is served first.
        door: who may come in.
        reload: gives what is to be served now; asked by `refresh`, in a thread.
        max_body: bytes of the longest request body.
        concurrency: requests answered at once; one more gets 503 and Retry-After.
        threads: how many slow predictions run at once.
        watch: what looks on; without, nothing is counted and there is no `/metrics`.

    Attributes:
        draining: set by `drain`; not ready any more, and new inferences get 503.
    """

    def __init__(
        self,
        servables: Sequence[Servable],
        door: Door,
        *,
        reload: Callable[[], Sequence[Servable]] | None = None,
        max_body: int = MAX_BODY,
        concurrency: int = CONCURRENCY,
        threads: int = THREADS,
        watch: Watch | None = None,
    ) -> None:
        self.draining = False
        self._looks = watch
        self._door = door
        self._reload = reload
        self._max_body = max_body
        self._concurrency = concurrency
        self._pool = ThreadPoolExecutor(threads, "charkh-infer")
        self._inflight = 0
        self._served: list[_Served] = []
        self._routes: dict[str, _Route] = {}
        self._swap(servables)

    async def __rsgi__(self, scope: RsgiScope, protocol: RsgiProtocol) -> None:
        await rsgi(self.respond, scope, protocol)

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        await asgi(self.respond, scope, receive, send)

    async def respond(self, method: str, path: str, host: str, headers: Headers, read: Read) -> Reply:
        """Answer one request.

        Args:
            method: of the request.
            path: decoded, without the query.
            host: authority that the client named.
            headers: by lower-case name.
            read: reads the body.
        """
        refusal = self._door.refuses(path, host, headers)
        if refusal is not None:
            self._count("denied")
            challenge = (("www-authenticate", "Bearer"),) if refusal.status == 401 else ()
            return Reply(refusal.status, _error(refusal.error), challenge)
        route = self._routes.get(path)
        if route is None:
            if path == METRICS and self._looks is not None and method == "GET":
                page = await asyncio.get_running_loop().run_in_executor(None, self._looks.page, headers)
                return Reply(200, page.body, page.headers)
            self._count("not_found")
            return Reply(404, _error(self._not_found(path)))
        if method != route.method:
            return Reply(405, _error(f"{path} takes {route.method}, not {method}"), (("allow", route.method),))
        if route.served is None or route.work is None:
            if path == "/v2/health/ready" or (self.draining and path.endswith("/ready")):
                return self._readiness()
            return Reply(200, route.body)
        body = await read(self._max_body)
        if body is not None and headers.get("content-encoding", "identity") != "identity":
            try:
                body = unpacked(body, self._max_body)
            except zlib.error:
                return Reply(415, _error("Content-Encoding may be gzip or deflate"))
        if body is None:
            self._count("too_large")
            return Reply(413, _error(f"the body is longer than {self._max_body} bytes"))
        length = headers.get(LENGTH_HEADER, "")
        if self._looks is None:
            return (await self._answer(route.served, route.work, body, length))[0]
        look = self._looks.begin(route.served.servable, headers)
        reply, did, wrong = Reply(500, b""), NOTHING, ""
        try:
            reply, did, wrong = await self._answer(route.served, route.work, body, length)
        finally:
            self._looks.end(look, route.served.servable, reply.status, did, error=wrong)
        return reply

    def _count(self, reason: str) -> None:
        if self._looks is not None:
            self._looks.instruments.refused(reason)

    async def refresh(self) -> None:
        """Serve what `reload` says now; requests under way finish with the model they began with."""
        if self._reload is None:
            return
        servables = await asyncio.get_running_loop().run_in_executor(None, self._reload)
        self._swap(servables)

    async def watch(self, every: float = 1.0) -> None:
        """Refresh once in `every` seconds until cancelled; what fails is logged and what is served stays."""
        failure = ""
        while not self.draining:
            await asyncio.sleep(every)
            if self._looks is not None:
                self._looks.instruments.tick(ready=not self.draining)
            try:
                await self.refresh()
                failure = ""
            except Exception as error:  # noqa: BLE001 (the edge of the process: serving goes on)
                if str(error) != failure:
                    _log.warning("what is served cannot be refreshed: %s", error)
                failure = str(error)

    async def drain(self, grace: float = 10.0) -> bool:
        """Take no new inferences, and return when those under way are answered; False after `grace` seconds."""
        self.draining = True
        deadline = time.monotonic() + grace
        while self._inflight and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return not self._inflight

    def close(self) -> None:
        """Let go of the threads and close every prediction log, so that it can be sealed."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for served in self._served:
            if served.servable.log is not None:
                served.servable.log.close()

    async def _answer(self, served: _Served, work: Work, body: bytes, length: str) -> tuple[Reply, Noted, str]:
        if self.draining or self._inflight >= self._concurrency:
            self._count("draining" if self.draining else "busy")
            why = "the server is shutting down" if self.draining else "the server is busy"
            return Reply(503, _error(why), (("retry-after", "1"),)), NOTHING, ""
        self._inflight += 1
        served.inflight += 1
        try:
            if served.is_quick(len(body)):
                answer, seconds, did = _timed(work, served.servable, body, length)
            else:
                loop = asyncio.get_running_loop()
                answer, seconds, did = await loop.run_in_executor(
                    self._pool, _timed, work, served.servable, body, length
                )
            served.took(seconds, len(body))
            return Reply(200, answer), did, ""
        except CharkhError as error:
            return _failure(error), NOTHING, error.code
        except Exception:  # noqa: BLE001 (the edge of the process: the client gets a number that is in the log)
            short = new_id()[-8:]
            _log.exception("inference of %s failed [%s]", served.servable.name, short)
            return Reply(500, _error(f"the model failed; the server's log has it under [{short}]")), NOTHING, ""
        finally:
            self._inflight -= 1
            served.inflight -= 1
            if served.retired and not served.inflight:
                self._let_go(served)

    def _readiness(self) -> Reply:
        ready = not self.draining
        return Reply(200 if ready else 503, _encode({"ready": ready, "live": True}))

    def _not_found(self, path: str) -> str:
        names = ", ".join(sorted(served.servable.name for served in self._served)) or "none"
        return f"there is nothing at {path[:200]}; models served: {names}"

    def _swap(self, servables: Sequence[Servable]) -> None:
        if [served.servable for served in self._served] == list(servables) and self._routes:
            return
        known = {id(served.servable): served for served in self._served}
        now = [known.pop(id(servable), None) or _Served(servable) for servable in servables]
        self._served, self._routes = now, _routes_of(now)
        if self._looks is not None:
            self._looks.serves(servables)
        for served in known.values():
            served.retired = True
            if not served.inflight:
                self._let_go(served)

    def _let_go(self, served: _Served) -> None:
        if served.servable.log is not None:
            self._pool.submit(served.servable.log.close)


def unpacked(body: bytes, limit: int) -> bytes | None:
    """A body in gzip or zlib form, unpacked; None when it is longer than `limit` bytes."""
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    whole = stream.decompress(body, limit + 1)
    return whole if len(whole) <= limit else None


def _timed(work: Work, servable: Servable, body: bytes, length: str) -> tuple[bytes, float, Noted]:
    started = time.perf_counter()
    answer = work(servable, body, length)
    return answer, time.perf_counter() - started, noted()


def _routes_of(served: Sequence[_Served]) -> dict[str, _Route]:
    """Every path that is answered. Of several servables with one name, the first answers without a version."""
    names = [each.servable.name for each in served]
    routes = {
        "/v2": _Route(
            "GET", _encode({"name": "charkh", "version": "2", "extensions": ["parameters", "binary_tensor_data"]})
        ),
        "/v2/health/live": _Route("GET", _encode({"live": True})),
        "/v2/health/ready": _Route("GET"),
        "/v2/models": _Route("GET", _encode({"models": list(dict.fromkeys(names))})),
        "/v2/repository/index": _Route("POST", _encode([_listed(each.servable) for each in served])),
    }
    return {**_routes_to(served), **routes} if served else routes


def _routes_to(served: Sequence[_Served]) -> dict[str, _Route]:
    # Here, because a server without endpoints needs no NumPy.
    from charkh.endpoints.answer import infer, metadata, predict_records

    routes: dict[str, _Route] = {}
    for each in served:
        servable = each.servable
        versions = [other.servable.version for other in served if other.servable.name == servable.name]
        for base in (f"/v2/models/{servable.name}", f"/v2/models/{servable.name}/versions/{servable.version}"):
            routes.setdefault(base, _Route("GET", metadata(servable, versions)))
            routes.setdefault(f"{base}/ready", _Route("GET", _encode({"name": servable.name, "ready": True})))
            routes.setdefault(f"{base}/infer", _Route("POST", served=each, work=infer))
        routes.setdefault(f"/predict/{servable.name}", _Route("POST", served=each, work=predict_records))
    return routes


def _listed(servable: Servable) -> dict[str, str]:
    return {"name": servable.name, "version": servable.version, "state": "READY", "reason": ""}


def _failure(error: CharkhError) -> Reply:
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    if status == 500:
        _log.error("inference failed: %s", error)
    retry = (("retry-after", "1"),) if status == 503 else ()
    return Reply(status, _encode({"error": error.message, "hint": error.hint, "code": error.code}), retry)


def _error(message: str) -> bytes:
    return _encode({"error": message})
