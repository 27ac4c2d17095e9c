"""Commands and queries of a store behind a charkh server."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from charkh.core.errors import Corrupt, Unavailable
from charkh.core.events import Event
from charkh.core.ids import new_id
from charkh.ports.projections import Command, Query
from charkh.ports.remote_calls import COMMANDS, QUERIES, Answered, Asked, Decided, Ordered, answer_type

if TYPE_CHECKING:
    from charkh.stores.http_connection import HttpConnection

Answer = TypeVar("Answer")
_encoder = msgspec.msgpack.Encoder(enc_hook=str)


class RemoteStore:
    """`charkh.ports.projections.Commands` and `Queries` over a charkh server.

    Args:
        connect: gives the connection, at the first call.
        name: gives the name by which a query's or command's type travels.
        ship: called before each call: what was recorded here has to be there first. Whether all of it is.
    """

    def __init__(
        self, connect: Callable[[], "HttpConnection"], name: Callable[[type], str], ship: Callable[[], bool]
    ) -> None:
        self._connect = connect
        self._name = name
        self._ship = ship
        self._decoders: dict[type, msgspec.msgpack.Decoder[Any]] = {}
        self.stale = False

    def ask(self, query: Query[Answer]) -> Answer:
        """See `charkh.ports.projections.Queries`.

        Raises:
            Unavailable: the server does not answer.
        """
        shipped = self._ship()
        kind = type(query)
        asked = Asked(type=self._name(kind), query=msgspec.Raw(_encoder.encode(query)))
        told = self._call(QUERIES, asked, msgspec.msgpack.Decoder(Answered))
        self.stale = told.stale or not shipped
        decoder = self._decoders.get(kind)
        if decoder is None:
            decoder = self._decoders[kind] = msgspec.msgpack.Decoder(answer_type(kind))
        return cast(Answer, self._read(decoder, told.answer))

    def decide(self, command: Command, *, key: str = "", actor: str = "") -> tuple[Event, ...]:
        """See `charkh.ports.projections.Commands`; who decides is whose token was sent.

        Raises:
            Unavailable: the server does not answer, or has not yet what was recorded here.
        """
        del actor
        if not self._ship():
            raise self._behind()
        # A key of its own, so that a request that is sent again after its answer was lost decides nothing twice.
        ordered = Ordered(
            type=self._name(type(command)), command=msgspec.Raw(_encoder.encode(command)), key=key or new_id()
        )
        return self._call(COMMANDS, ordered, msgspec.msgpack.Decoder(Decided)).events

    def _call(self, path: str, body: msgspec.Struct, decoder: msgspec.msgpack.Decoder[Any]) -> Any:
        return self._read(decoder, self._connect().post(path, body=_encoder.encode(body)))

    def _read(self, decoder: msgspec.msgpack.Decoder[Any], answer: bytes | msgspec.Raw) -> Any:
        try:
            return decoder.decode(answer)
        except msgspec.MsgspecError as error:
            raise Corrupt(
                f"{self._connect().address} answers what this charkh cannot read: {error}",
                code="remote.other_version",
                hint="Let both sides be of about the same age: pip install --upgrade charkh.",
            ) from error

    def _behind(self) -> Unavailable:
        return Unavailable(
            f"{self._connect().address} has not yet what was recorded here",
            code="remote.behind",
            hint="`charkh sync --status` says what waits and why; run this again when it is there.",
        )
