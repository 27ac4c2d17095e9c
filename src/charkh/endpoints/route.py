"""What a path of the inference server leads to: an answer that is ready, a model to ask, or something to do. No I/O."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from charkh.endpoints.door import Headers
from charkh.endpoints.servable import Servable

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


Work = Callable[[Servable, Request], bytes | Reply]
"""Asks a model; may raise CharkhError. It runs on the loop where it is quick, else in a thread."""
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
