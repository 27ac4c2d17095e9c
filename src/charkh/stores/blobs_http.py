"""Blobs of a charkh server, over its exchange routes (docs/formats/remotes.md)."""

from collections.abc import Iterable, Iterator

import msgspec

from charkh.core.errors import NotFound, Unavailable
from charkh.ports.blobs import BlobInfo
from charkh.stores.blob_keys import no_such_blob, parse_key, parse_prefix
from charkh.stores.http_connection import HttpConnection

ROUTE = "/api/exchange"


class HttpBlobs:
    """The blobs port over a charkh server; the server looks at each pack before it takes it, and collects by itself."""

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection

    def has(self, key: str) -> bool:
        return self._connection.get(f"{ROUTE}/has", {"key": parse_key(key)}) == b"true"

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        query: dict[str, str | int] = {"key": parse_key(key), "start": start}
        if length is not None:
            query["length"] = max(0, length)
        try:
            return self._connection.get(f"{ROUTE}/object", query)
        except NotFound as error:
            if error.code != "blobs.not_found":
                raise
            raise no_such_blob(key, self._connection.address) from error

    def put(self, key: str, parts: Iterable[bytes | memoryview]) -> None:
        self._connection.post(f"{ROUTE}/object", {"key": parse_key(key)}, b"".join(parts))

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        answer = self._connection.get(f"{ROUTE}/list", {"prefix": parse_prefix(prefix)})
        try:
            yield from msgspec.json.decode(answer, type=list[BlobInfo])
        except msgspec.MsgspecError as error:
            raise Unavailable(
                f"{self._connection.address} lists what is no list of objects",
                code="remote.unreachable",
                hint="Look whether the address is that of a `charkh up`.",
            ) from error

    def delete(self, key: str) -> None:
        self._connection.post(f"{ROUTE}/delete", {"key": parse_key(key)})
