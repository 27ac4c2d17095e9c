"""What a path of the inference server leads to: an answer that is ready, a model to ask, or something to do. No I/O."""

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple, Protocol, TypeVar

from charkh.core.errors import Bug
from charkh.endpoints.door import Headers
from charkh.endpoints.servable import Servable
from charkh.ports.runtimes import Tensors

Result = TypeVar("Result")

REST = "rest"
GRPC = "grpc"


class Reply(NamedTuple):
    """An answer: status, body, and headers; its content type is `application/json` where they name no other."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Request(NamedTuple):
    """A request whose body was read and unpacked.

    Attributes:
        headers: by lower-case name.
        body: unpacked.
        path: decoded, without the query.
        query: as it came.
        protocol: over which it came, `rest` or `grpc`.
    """

    headers: Headers
    body: bytes
    path: str = ""
    query: str = ""
    protocol: str = REST


class Coming(Protocol):
    """A request that is whole, as it came."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str:
        """Decoded, without the query."""
        ...

    @property
    def headers(self) -> Headers:
        """By lower-case name."""
        ...

    @property
    def body(self) -> bytes: ...


class Said(NamedTuple):
    """What a model said, and how many seconds it took."""

    outputs: Tensors
    seconds: float


Asking = Generator[Tensors, Said, Result]
"""Asks a model once: it gives the inputs, is told what the model said, and returns what becomes of it.

Whoever drives it asks the model, so that several which came at once are asked together.
"""
Work = Callable[[Servable, Request], Asking[bytes | Reply]]
"""Answers a request of a model; may raise CharkhError. It runs on the loop where it is quick, else in a thread."""
Act = Callable[[Request], Reply | Awaitable[Reply]]
"""Answers without a model, on the loop."""


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """What a path leads to; of `body`, `servable` with `work`, and `act` it has one.

    Attributes:
        methods: that it takes.
        body: JSON that is ready.
        servable: the model that is asked.
        work: what asks it.
        act: what is done.
    """

    methods: tuple[str, ...]
    body: bytes = b""
    servable: Servable | None = None
    work: Work | None = None
    act: Act | None = None


class Respond(Protocol):
    """Answers one request, whichever protocol it came over; as `Application.respond`."""

    def __call__(
        self,
        method: str,
        path: str,
        host: str,
        headers: Headers,
        read: Callable[[int], Awaitable[bytes | None]],
        /,
        *,
        protocol: str,
    ) -> Awaitable[Reply]: ...


def asked_alone(servable: Servable, asking: Asking[Result]) -> Result:
    """Ask the model of `servable`; the result of `asking`.

    Raises:
        BaseException: whatever the model or `asking` raises; that of the model passes through `asking`.
    """
    try:
        inputs = next(asking)
        started = perf_counter()
        try:
            outputs = servable.predict(inputs)
        except Exception as error:  # noqa: BLE001 (it is raised again where the model is asked)
            asking.throw(error)
        else:
            asking.send(Said(outputs, perf_counter() - started))
    except StopIteration as end:
        return end.value
    raise Bug("a model was asked twice for one request")
