"""The inference server as one callable: routes, admission, hot swap and drain. It knows no web framework.

`Application.respond` is the whole of it, and `at_once` the part of it that waits for nothing; `__call__` (ASGI) only
translates. A route is one look-up in a dictionary of whole paths, so nothing stands between a tensor and its model.
"""

import asyncio
import logging
import math
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec

from charkh.core.errors import CharkhError
from charkh.endpoints.asgi import AsgiReceive, AsgiScope, AsgiSend, asgi
from charkh.endpoints.at_once import answer_at_once
from charkh.endpoints.batching import Late, patience
from charkh.endpoints.compression import ENCODING, WORTH_PACKING, unpacked
from charkh.endpoints.door import Door, Headers
from charkh.endpoints.in_use import InUse
from charkh.endpoints.inference_server import InferenceServer, RouteMaker
from charkh.endpoints.instruments import NOTHING, Noted, noted
from charkh.endpoints.metrics_page import PATH as METRICS
from charkh.endpoints.offer import Offer, Split
from charkh.endpoints.replies import again, broken, ending, error_body, failure, packed_reply, refusal
from charkh.endpoints.route import REST, Coming, Reply, Request, Route, Work, asked_alone
from charkh.endpoints.servable import Servable
from charkh.endpoints.shadows import Shadows
from charkh.endpoints.threads import Ended, Threads
from charkh.endpoints.unloaded import Unloaded
from charkh.endpoints.watch import Watch

MAX_BODY = 64 * 1024 * 1024
CONCURRENCY = 64
"""Requests to one slow model that wait or run."""
_log = logging.getLogger("charkh")
_encode = msgspec.json.Encoder().encode

Read = Callable[[int], Awaitable[bytes | None]]
"""Reads the body; None when it is longer than that many bytes."""
DEADLINE = "x-request-timeout"
"""Seconds that a client waits for its answer; 504 afterwards."""
ROUTE_HEADER = "x-charkh-route"
"""Names the route of an answer where requests are split."""


class _Lead(NamedTuple):
    """Where a path leads, and the model in use that it asks."""

    route: Route
    served: InUse | None


class Application:
    """Answers the Open Inference Protocol's REST for several models at once.

    Args:
        servables: what is served first.
        door: who may come in.
        reload: gives what is to be served now; asked by `refresh`, in a thread.
        max_body: bytes of the longest request body.
        concurrency: requests that one slow model is asked or waits for at once; one more gets 503 and Retry-After, and
            several such models leave room for each other (`Threads`).
        watch: what looks on; without, nothing is counted and there is no `/metrics`.
        makers: give further paths than the Open Inference Protocol's.
        unloaded: names of models that a client has unloaded; of this process alone by default.

    Attributes:
        draining: set by `drain`; not ready any more, and new inferences get 503.
        offered: everything that `reload` said, unloaded or not.
        unloaded: names of models that a client has unloaded.
        looks: what looks on.
    """

    def __init__(
        self,
        servables: Sequence[Servable] | Offer,
        door: Door,
        *,
        reload: Callable[[], Sequence[Servable] | Offer] | None = None,
        max_body: int = MAX_BODY,
        concurrency: int = CONCURRENCY,
        watch: Watch | None = None,
        makers: Sequence[RouteMaker] = (),
        unloaded: Unloaded | None = None,
    ) -> None:
        self.draining = False
        self.offered: Sequence[Servable] = ()
        self.unloaded = Unloaded() if unloaded is None else unloaded
        self.looks = watch
        self._makers = makers
        self._door = door
        self._reload = reload
        self._max_body = max_body
        self._threads = Threads(2 * concurrency)
        # Not among the models: one that hangs would hold up a log, and the end would leave it unsealed.
        self._closing = ThreadPoolExecutor(1, "charkh-close")
        self._shadows = Shadows()
        self._served: list[InUse] = []
        self._in_use: dict[int, InUse] = {}
        self._splits: Mapping[str, Split] = {}
        self._routes: dict[str, _Lead] = {}
        self._swap(servables)

    def at_once(self, asked: Sequence[Coming]) -> list[Reply | None]:
        """Answer what most requests are, all that came in one turn of the loop together: those of quick models.

        None where there is something to wait for, to unpack or to refuse: that is for `respond`. Never raises what a
        model raises.
        """
        replies: list[Reply | None] = [None] * len(asked)
        by_model: dict[int, list[int]] = {}
        found: list[tuple[InUse, tuple[Work, Request]] | None] = []
        for number, each in enumerate(asked):
            lead = self._quick(each)
            found.append(lead)
            if lead is not None:
                by_model.setdefault(id(lead[0]), []).append(number)
        for numbers in by_model.values():
            leads = [lead for lead in (found[number] for number in numbers) if lead is not None]
            for number, reply in zip(
                numbers, answer_at_once(leads[0][0], [request for _, request in leads]), strict=True
            ):
                replies[number] = reply
        return replies

    def _quick(self, asked: Coming) -> tuple[InUse, tuple[Work, Request]] | None:
        """The model that answers a request at once, and how; None where it is not that simple."""
        lead = self._routes.get(asked.path)
        headers, body = asked.headers, asked.body
        if (
            lead is None
            or asked.method != "POST"
            or len(body) > self._max_body
            or headers.get(ENCODING, "identity") != "identity"
            or self._door.refuses(asked.path, headers.get("host", ""), headers) is not None
        ):
            return None
        served, work = self._at_once(lead, len(body))
        return None if served is None or work is None else (served, (work, Request(headers, body, asked.path)))

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        await asgi(self.respond, scope, receive, send)

    async def respond(
        self, method: str, path: str, host: str, headers: Headers, read: Read, *, protocol: str = REST
    ) -> Reply:
        """Answer one request.

        Args:
            method: of the request.
            path: decoded, without the query.
            host: authority that the client named.
            headers: by lower-case name.
            read: reads the body.
            protocol: over which it came, `rest` or `grpc`.
        """
        refusal = self._door.refuses(path, host, headers)
        if refusal is not None:
            self._count("denied")
            challenge = (("www-authenticate", "Bearer"),) if refusal.status == 401 else ()
            return Reply(refusal.status, error_body(refusal.error), challenge)
        lead = self._routes.get(path)
        if lead is None:
            if path == METRICS and self.looks is not None and method == "GET":
                page = await asyncio.get_running_loop().run_in_executor(None, self.looks.page, headers)
                return Reply(200, page.body, page.headers)
            self._count("not_found")
            return Reply(404, error_body(self._not_found(path)))
        route, served = lead
        if method not in route.methods:
            allowed = ", ".join(route.methods)
            return Reply(405, error_body(f"{path} takes {allowed}, not {method}"), (("allow", allowed),))
        if route.body:
            return Reply(200, route.body)
        body = await self._body(headers, read) if method != "GET" else b""
        if not isinstance(body, bytes):
            return body
        if served is None or route.work is None:
            return await self._act(route, Request(headers, body, path))
        request = Request(headers, body, path, protocol=protocol)
        quick, work = self._at_once(lead, len(body))
        if quick is not None and work is not None:
            return answer_at_once(quick, [(work, request)])[0]
        return await self._led(lead, request)

    def _at_once(self, lead: _Lead, size: int) -> tuple[InUse | None, Work | None]:
        """The model that answers so many bytes at once, where it is quick and nothing else is in the way."""
        served, looks = lead.served, self.looks
        if served is None or self.draining or served.servable.name in self._splits:
            return None, None
        if not served.is_quick(size) or (looks is not None and looks.traces):
            return None, None
        return served, lead.route.work

    async def _led(self, lead: _Lead, request: Request) -> Reply:
        served, work = lead.served, lead.route.work
        if served is None or work is None:
            return await self._act(lead.route, request)
        split = self._splits.get(served.servable.name)
        if split is not None and "/versions/" not in request.path:
            return await self._split(split, work, request)
        return (await self._looked_at(served, work, request))[0]

    async def _split(self, split: Split, work: Work, request: Request) -> Reply:
        """Ask the route that the split chooses, tell it how that went, and ask the shadows after it."""
        choice = split.choose(request.headers)
        served = self._in_use.get(id(choice.servable))
        if served is None:
            return again("the model is being changed")
        started = time.perf_counter()
        reply, did = await self._looked_at(served, work, request, choice.route)
        if reply.status < 400 or reply.status == 500:
            seconds, failed = time.perf_counter() - started, reply.status == 500
            split.answered(choice, failed=failed, seconds=seconds, rows=did.rows)
        if reply.status == 200 and not self.draining:
            for shadow in choice.shadows:
                self._shadows.ask(split, choice._replace(servable=shadow), work, request)
        return Reply(reply.status, reply.body, (*reply.headers, (ROUTE_HEADER, choice.route)))

    async def _looked_at(self, served: InUse, work: Work, request: Request, route: str = "") -> tuple[Reply, Noted]:
        if self.looks is None:
            reply, did, _ = await self._answer(served, work, request)
            return reply, did
        look = self.looks.begin(served.servable, request.headers)
        reply, did, wrong = Reply(500, b""), NOTHING, ""
        try:
            reply, did, wrong = await self._answer(served, work, request)
        finally:
            said = {"route": route, "error": wrong, "protocol": request.protocol}
            self.looks.end(look, served.servable, reply.status, did, **said)
        return reply, did

    def readiness(self, model: str = "") -> Reply:
        """Whether the server, or one of its models, takes requests."""
        ready = not self.draining and model not in self.unloaded
        said = {"name": model, "ready": ready} if model else {"ready": ready, "live": True}
        return Reply(200 if ready else 503, _encode(said))

    def reroute(self) -> None:
        """Serve what is offered, but for what was unloaded; for whoever has changed `unloaded`."""
        self._swap(self.offered)

    async def _body(self, headers: Headers, read: Read) -> bytes | Reply:
        """The body, unpacked; or why it is not taken."""
        body = await read(self._max_body)
        if body is not None and headers.get(ENCODING, "identity") != "identity":
            try:
                body = unpacked(body, self._max_body)
            except zlib.error as error:
                return Reply(415, error_body(f"the body is no gzip or deflate: {error}"))
        if body is None:
            self._count("too_large")
            return Reply(413, error_body(f"the body is longer than {self._max_body} bytes"))
        return body

    async def _act(self, route: Route, request: Request) -> Reply:
        if route.act is None:
            return Reply(404, error_body(self._not_found(request.path)))
        try:
            reply = route.act(request)
            return reply if isinstance(reply, Reply) else await reply
        except CharkhError as error:
            return failure(error)

    def _count(self, reason: str) -> None:
        if self.looks is not None:
            self.looks.instruments.refused(reason)

    async def refresh(self) -> None:
        """Serve what `reload` says now; requests under way finish with the model they began with."""
        if self._reload is None:
            return
        self._swap(await asyncio.get_running_loop().run_in_executor(None, self._reload))

    async def watch(self, every: float = 1.0) -> None:
        """Refresh once in `every` seconds until cancelled; what fails is logged and what is served stays."""
        failure = ""
        while not self.draining:
            await asyncio.sleep(every)
            if self.looks is not None:
                self.looks.instruments.tick(ready=not self.draining)
                self.looks.instruments.queued.set(sum(each.batched.waiting for each in self._served))
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
        while self._threads.held and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return not self._threads.held

    def give_up(self) -> None:
        """Tell those who still wait for an answer to ask another server."""
        self._threads.give_up()

    def close(self) -> None:
        """Let go of the threads and close every prediction log, so that it can be sealed."""
        self._threads.close()
        self._shadows.close()
        self._closing.shutdown(wait=False)
        for served in self._served:
            if served.servable.log is not None:
                served.servable.log.close()

    async def _answer(self, served: InUse, work: Work, request: Request) -> tuple[Reply, Noted, str]:
        size = len(request.body)
        quick = served.is_quick(size)
        if self.draining or not (quick or self._threads.has_room(served.inflight)):
            self._count("draining" if self.draining else "busy")
            return ending() if self.draining else again(f"{served.servable.name} is busy"), NOTHING, ""
        try:
            if quick:
                reply, seconds, did = _timed(work, served.servable, request)
            else:
                sharing = served.inflight + 1
                reply, seconds, did = await self._in_thread(served, work, request)
                # Those that were asked meanwhile took their share of the time.
                seconds /= sharing
            served.took(seconds, size)
            return reply, did, ""
        except CharkhError as error:
            return refusal(served.servable, error), NOTHING, error.code
        except Ended:
            return ending(), NOTHING, ""
        except Late as error:
            self._count("deadline")
            return Reply(504, error_body(str(error))), NOTHING, ""
        except Exception as error:  # noqa: BLE001 (the edge of the process: the client gets a number that is in the log)
            return broken(served.servable, error), NOTHING, ""

    async def _in_thread(self, served: InUse, work: Work, request: Request) -> tuple[Reply, float, Noted]:
        """Ask a slow model beside the loop.

        Raises:
            Late: the client's deadline passed; what was not begun yet is not begun any more.
        """
        seconds = _patience_of(request.headers)
        deadline = time.monotonic() + seconds

        def run() -> tuple[Reply, float, Noted]:
            with patience(deadline):
                return _timed(work, served.shared, request)

        def left() -> None:
            served.inflight -= 1
            if served.retired and not served.inflight:
                self._let_go(served)

        served.inflight += 1
        return await self._threads.ask(run, seconds, left)

    def _not_found(self, path: str) -> str:
        names = ", ".join(sorted(served.servable.name for served in self._served)) or "none"
        return f"there is nothing at {path[:200]}; models served: {names}"

    def _swap(self, offer: Sequence[Servable] | Offer) -> None:
        servables: Sequence[Servable] = offer.servables if isinstance(offer, Offer) else offer
        splits = offer.splits if isinstance(offer, Offer) else self._splits
        self._serve(servables)
        self._splits = splits

    def _serve(self, servables: Sequence[Servable]) -> None:
        self.offered = servables
        loaded = [each for each in servables if each.name not in self.unloaded]
        if [served.servable for served in self._served] == loaded and self._routes:
            return
        known = {id(served.servable): served for served in self._served}
        now = [known.pop(id(servable), None) or self._taken(servable) for servable in loaded]
        self._served, self._routes = now, self._leads_to(now)
        self._in_use = {id(each.servable): each for each in now}
        if self.looks is not None:
            self.looks.serves(loaded)
        for served in known.values():
            served.retired = True
            if not served.inflight:
                self._let_go(served)

    def _taken(self, servable: Servable) -> InUse:
        instrument = None if self.looks is None else self.looks.instruments.of(servable.name, servable.version)
        return InUse(servable, instrument)

    def _leads_to(self, served: Sequence[InUse]) -> dict[str, _Lead]:
        in_use = {id(each.servable): each for each in served}
        servables = [each.servable for each in served]
        leads: dict[str, _Lead] = {}
        for maker in (_protocol, *self._makers):
            for path, route in maker(servables, self).items():
                leads.setdefault(path, _Lead(route, in_use.get(id(route.servable))))
        return leads

    def _let_go(self, served: InUse) -> None:
        if served.servable.log is None:
            return
        try:
            self._closing.submit(served.servable.log.close)
        except RuntimeError:  # the server has ended: the loop keeps nobody waiting any more
            served.servable.log.close()


def _timed(work: Work, servable: Servable, request: Request) -> tuple[Reply, float, Noted]:
    started = time.perf_counter()
    answer = asked_alone(servable, work(servable, request))
    reply = Reply(200, answer) if isinstance(answer, bytes) else answer
    if len(reply.body) >= WORTH_PACKING:
        reply = packed_reply(reply, request.headers)
    return reply, time.perf_counter() - started, noted()


def _patience_of(headers: Headers) -> float:
    """Seconds that the client waits, as it says; for ever where it does not, or says nothing that can be read."""
    try:
        seconds = float(headers.get(DEADLINE, "inf"))
    except ValueError:
        return math.inf
    return seconds if seconds >= 0.0 else math.inf


def _protocol(servables: Sequence[Servable], application: InferenceServer) -> Mapping[str, Route]:
    if not application.offered:
        return {
            "/v2": Route(("GET",), _encode({"name": "charkh", "version": "2", "extensions": []})),
            "/v2/health/live": Route(("GET",), _encode({"live": True})),
            "/v2/health/ready": Route(("GET",), act=lambda _: application.readiness()),
            "/v2/models": Route(("GET",), _encode({"models": []})),
            "/v2/repository/index": Route(("POST",), b"[]"),
        }
    # Here, because a server without endpoints needs no NumPy.
    from charkh.endpoints.rest import routes

    return routes(servables, application)
