"""What each call of the protocol asks of REST, and how REST's answer is said in its message. Data, no I/O."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import msgspec
from google.protobuf import json_format

from charkh.core.errors import Invalid, NotFound
from charkh.endpoints.grpc.schema import INFERENCE, message
from charkh.endpoints.grpc.tensors import values_of

Params = dict[str, Any]
_encode = msgspec.json.Encoder().encode


class Ask(NamedTuple):
    """A request of REST; the path is decoded."""

    path: str
    method: str = "GET"
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that is a question to REST.

    Attributes:
        name: of the call.
        ask: what is asked of REST.
        tell: the fields of the response, from what REST's JSON says.
        flag: the field that is true exactly where REST answers 200, and false where it answers 503; empty for none.
    """

    name: str
    ask: Callable[[Any], Ask]
    tell: Callable[[Any], Params] = lambda _: {}
    flag: str = ""

    def read(self, raw: bytes) -> Any:
        """The request's message.

        Raises:
            Invalid: the bytes are none.
        """
        return read(f"{self.name}Request", raw)

    def answer(self, status: int, body: bytes) -> bytes:
        """The response's bytes."""
        response = message(INFERENCE, f"{self.name}Response")()
        said: Params = {self.flag: status == 200} if self.flag else self.tell(msgspec.json.decode(body) if body else {})
        return cast(bytes, json_format.ParseDict(said, response, ignore_unknown_fields=True).SerializeToString())


def read(name: str, raw: bytes) -> Any:
    """A message of the protocol in bytes.

    Raises:
        Invalid: they are none.
    """
    # Importing the error alone would tie this module to where each release of protobuf keeps it.
    from google.protobuf.message import DecodeError

    try:
        return message(INFERENCE, name).FromString(raw)
    except DecodeError as error:
        raise Invalid(f"the bytes are no {name}", code="endpoint.bad_request") from error


def model_path(name: str, version: str = "", rest: str = "") -> str:
    """`/v2/models/NAME[/versions/VERSION]` and what follows.

    Raises:
        NotFound: no model can have that name or version.
    """
    if not name or "/" in name or "/" in version:
        raise NotFound(f"there is no model {name[:80]!r}", code="endpoint.not_found")
    return f"/v2/models/{name}{f'/versions/{version}' if version else ''}{rest}"


def _of_model(rest: str = "") -> Callable[[Any], Ask]:
    return lambda request: Ask(model_path(request.name, request.version, rest))


def _statistics(request: Any) -> Ask:
    return Ask(model_path(request.name, request.version, "/stats") if request.name else "/v2/models/stats")


def _repository(verb: str) -> Callable[[Any], Ask]:
    def ask(request: Any) -> Ask:
        path = model_path(request.model_name).replace("/v2/models/", "/v2/repository/models/", 1)
        parameters = {
            name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
            for name, value in values_of(request.parameters).items()
        }
        return Ask(f"{path}/{verb}", "POST", _encode({"parameters": parameters}))

    return ask


def _config(said: Any) -> Params:
    known = {"name", "platform", "backend", "max_batch_size", "input", "output", "parameters"}
    return {"config": {key: value for key, value in said.items() if key in known}}


CALLS: tuple[Call, ...] = (
    Call("ServerLive", lambda _: Ask("/v2/health/live"), flag="live"),
    Call("ServerReady", lambda _: Ask("/v2/health/ready"), flag="ready"),
    Call("ModelReady", _of_model("/ready"), flag="ready"),
    Call("ServerMetadata", lambda _: Ask("/v2"), dict),
    Call("ModelMetadata", _of_model(), dict),
    Call("ModelConfig", _of_model("/config"), _config),
    Call("ModelStatistics", _statistics, dict),
    Call(
        "RepositoryIndex",
        lambda request: Ask("/v2/repository/index", "POST", _encode({"ready": True} if request.ready else {})),
        lambda said: {"models": said},
    ),
    Call("RepositoryModelLoad", _repository("load")),
    Call("RepositoryModelUnload", _repository("unload")),
)
"""Every call but the inferences."""
