"""The calls of the gRPC services, each answered by the REST server of the same process.

What is asked is validated, admitted, split, logged and counted where REST's requests are, so the two protocols
cannot come to differ. A call's metadata are the request's headers.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple, NoReturn, cast

import grpc
import msgspec

from charkh.core.errors import CharkhError, NotFound
from charkh.core.ids import new_id
from charkh.endpoints.door import Headers
from charkh.endpoints.grpc.calls import CALLS, Call, model_path, read
from charkh.endpoints.grpc.reflection import reflect
from charkh.endpoints.grpc.schema import HEALTH, INFERENCE, REFLECTION, message
from charkh.endpoints.grpc.tensors import from_rest, to_rest
from charkh.endpoints.route import GRPC, Respond

LENGTH = "inference-header-content-length"
TIMEOUT = "x-request-timeout"
"""Header with the seconds that the client waits."""

_CODES: Mapping[int, Any] = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    405: grpc.StatusCode.UNIMPLEMENTED,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""The status of each of REST's; INTERNAL for every other one."""

_TOLD = ("retry-after", "www-authenticate")
_NOT_HEADERS = frozenset({"accept-encoding", "content-encoding", "content-length", "host", LENGTH, TIMEOUT})
"""Metadata that would change how REST reads the body that is made here."""

_log = logging.getLogger("charkh")


class Answer(NamedTuple):
    """What REST answers; the headers of REST are pairs."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]


class Service:
    """The calls, over a REST server.

    Args:
        respond: answers a request of REST.
    """

    def __init__(self, respond: Respond) -> None:
        self._respond = respond

    def handlers(self) -> list[Any]:
        """What a gRPC server is given: every service by its name."""
        unary = grpc.unary_unary_rpc_method_handler
        inference: dict[str, Any] = {call.name: unary(self._asking(call)) for call in CALLS}
        inference["ModelInfer"] = unary(self.infer)
        inference["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(self.infer_stream)
        health: dict[str, Any] = {"Check": unary(self.check), "Watch": grpc.unary_stream_rpc_method_handler(self.watch)}
        made = grpc.method_handlers_generic_handler
        reflections = [
            made(
                f"{package}.ServerReflection",
                {"ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(self._reflecting(package))},
            )
            for package in REFLECTION
        ]
        return [made(f"{INFERENCE}.GRPCInferenceService", inference), made(f"{HEALTH}.Health", health), *reflections]

    async def infer(self, raw: bytes, context: Any) -> bytes:
        """Answer `ModelInfer`."""
        try:
            request = read("ModelInferRequest", raw)
            answer, typed = await self._infer(request, context)
            if answer.status != 200:
                await _refuse(context, answer)
            _tell_trailing(context, answer)
            return cast(bytes, _response(answer, typed=typed).SerializeToString())
        except CharkhError as error:
            await _refuse_error(context, error)

    async def infer_stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Answer `ModelStreamInfer`: one response a request, in order; what is refused does not end the stream."""
        made = message(INFERENCE, "ModelStreamInferResponse")
        async for raw in requests:
            asked = ""
            try:
                request = read("ModelInferRequest", raw)
                asked = request.id
                answer, typed = await self._infer(request, context)
                if answer.status == 200:
                    response = made(infer_response=_response(answer, typed=typed))
                elif answer.status in (401, 403):
                    await _refuse(context, answer)
                else:
                    response = made(error_message=_said(answer))
            except CharkhError as error:
                response = made(error_message=_with_hint(error))
            if response.error_message:
                response.infer_response.id = asked
            yield response.SerializeToString()

    async def check(self, raw: bytes, context: Any) -> bytes:
        """Answer gRPC's health check: of the server with no name or a service's, or of a model with its name."""
        state = await self._state(raw, context)
        if state == "SERVICE_UNKNOWN":
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service or model")
        return _health(state)

    async def watch(self, raw: bytes, context: Any) -> AsyncIterator[bytes]:
        """Answer gRPC's watching of health: the state now, and each time that it changes."""
        known = ""
        while True:
            state = await self._state(raw, context)
            if state != known:
                yield _health(state)
            known = state
            await asyncio.sleep(1.0)

    async def _infer(self, request: Any, context: Any) -> tuple[Answer, bool]:
        path = model_path(request.model_name, request.model_version, "/infer")
        said = to_rest(request)
        headers = _headers(context)
        headers[LENGTH] = str(said.length)
        remaining = context.time_remaining()
        if remaining is not None:
            headers[TIMEOUT] = f"{remaining:.6f}"
        return await self._answer("POST", path, headers, said.body), said.typed

    def _asking(self, call: Call) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def answer(raw: bytes, context: Any) -> bytes:
            try:
                ask = call.ask(call.read(raw))
                heard = await self._answer(ask.method, ask.path, _headers(context), ask.body)
                if heard.status != 200 and not (call.flag and heard.status == 503):
                    await _refuse(context, heard)
                return call.answer(heard.status, heard.body)
            except CharkhError as error:
                await _refuse_error(context, error)

        return answer

    def _reflecting(self, package: str) -> Callable[[AsyncIterator[bytes], Any], AsyncIterator[bytes]]:
        async def info(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            heard = await self._answer("GET", "/v2", _headers(context), b"")
            if heard.status != 200:
                await _refuse(context, heard)
            async for raw in requests:
                yield reflect(package, raw)

        return info

    async def _state(self, raw: bytes, context: Any) -> str:
        asked = message(HEALTH, "HealthCheckRequest").FromString(raw).service
        services = ("", f"{INFERENCE}.GRPCInferenceService", f"{HEALTH}.Health")
        try:
            path = "/v2/health/ready" if asked in services else model_path(asked, rest="/ready")
        except NotFound:
            return "SERVICE_UNKNOWN"
        answer = await self._answer("GET", path, _headers(context), b"")
        if answer.status in (401, 403):
            await _refuse(context, answer)
        return {200: "SERVING", 404: "SERVICE_UNKNOWN"}.get(answer.status, "NOT_SERVING")

    async def _answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        async def whole(limit: int) -> bytes | None:
            return body if len(body) <= limit else None

        # A browser cannot speak gRPC, so the name under which a client calls guards nothing here.
        reply = await self._respond(method, path, "localhost", cast(Headers, headers), whole, protocol=GRPC)
        return Answer(reply.status, reply.body, tuple(reply.headers))


def _response(answer: Answer, *, typed: bool) -> Any:
    length = dict(answer.headers).get(LENGTH, "0")
    return from_rest(answer.body, int(length), typed=typed)


def _headers(context: Any) -> dict[str, str]:
    found = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
    return {key: value for key, value in found.items() if key not in _NOT_HEADERS}


def _tell_trailing(context: Any, answer: Answer) -> None:
    told = [(name, value) for name, value in answer.headers if name in _TOLD or name.startswith("x-charkh-")]
    if told:
        context.set_trailing_metadata(tuple(told))


async def _refuse(context: Any, answer: Answer) -> NoReturn:
    _tell_trailing(context, answer)
    await context.abort(_CODES.get(answer.status, grpc.StatusCode.INTERNAL), _said(answer))
    raise AssertionError("abort does not return")


async def _refuse_error(context: Any, error: CharkhError) -> NoReturn:
    code = grpc.StatusCode.NOT_FOUND if isinstance(error, NotFound) else grpc.StatusCode.INVALID_ARGUMENT
    await context.abort(code, _with_hint(error))
    raise AssertionError("abort does not return")


def _said(answer: Answer) -> str:
    try:
        said = msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.MsgspecError:
        short = new_id()[-8:]
        _log.error("the server answered %s without an error [%s]", answer.status, short)
        return f"the server answered {answer.status} [{short}]"
    return " ".join(str(said[key]) for key in ("error", "hint") if said.get(key))


def _with_hint(error: CharkhError) -> str:
    return f"{error.message} {error.hint}".strip()


def _health(state: str) -> bytes:
    return cast(bytes, message(HEALTH, "HealthCheckResponse")(status=state).SerializeToString())
