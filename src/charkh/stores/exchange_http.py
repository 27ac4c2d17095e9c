"""The exchange of facts with a charkh server, over its exchange routes (docs/formats/remotes.md)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from charkh.core.errors import Corrupt
from charkh.ports.exchange import Part, portions
from charkh.ports.exchange_frames import PORTION, decode_parts, encode_parts
from charkh.stores.blobs_http import ROUTE
from charkh.stores.http_connection import HttpConnection

Shape = TypeVar("Shape")


class HttpExchange:
    """`charkh.ports.exchange.Exchange` over a charkh server."""

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection

    def known(self) -> Mapping[str, int]:
        """See `charkh.ports.exchange.Exchange`."""
        return self._read(self._connection.get(f"{ROUTE}/facts"), dict[str, int])

    def parts(self, known: Mapping[str, int]) -> Iterator[Part]:
        """See `charkh.ports.exchange.Exchange`."""
        with self._connection.stream(f"{ROUTE}/parts", msgspec.json.encode(dict(known))) as chunks:
            yield from decode_parts(chunks)

    def take(self, parts: Sequence[Part]) -> int:
        """See `charkh.ports.exchange.Exchange`."""
        taken = 0
        for some in portions(parts, PORTION):
            taken += self._read(self._connection.post(f"{ROUTE}/facts", body=b"".join(encode_parts(some))), int)
        return taken

    def _read(self, answer: bytes, shape: type[Shape]) -> Shape:
        try:
            return msgspec.json.decode(answer, type=shape)
        except msgspec.MsgspecError as error:
            raise Corrupt(
                f"{self._connection.address} answers what no charkh server says",
                code="exchange.bad_frames",
                hint="Look whether the address is that of a `charkh up` of about the same age.",
            ) from error
