"""Blobs of a near medium with a far one behind it: written near, read from whichever has them."""

from collections.abc import Callable, Iterable, Iterator

from charkh.core.errors import NotFound, Unavailable
from charkh.ports.blobs import BlobInfo, Blobs


class TieredBlobs:
    """The blobs port over two media.

    Args:
        near: what is written, and asked first.
        far: gives the other one, at the first need. Where it cannot be reached, it has nothing to list.
    """

    def __init__(self, near: Blobs, far: Callable[[], Blobs]) -> None:
        self._near = near
        self._far = far

    def has(self, key: str) -> bool:
        return self._near.has(key) or self._far().has(key)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        try:
            return self._near.get(key, start, length)
        except NotFound:
            return self._far().get(key, start, length)

    def put(self, key: str, parts: Iterable[bytes | memoryview]) -> None:
        self._near.put(key, parts)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        listed: set[str] = set()
        for info in self._near.list(prefix):
            listed.add(info.key)
            yield info
        try:
            far = list(self._far().list(prefix))
        except Unavailable:
            return
        yield from (info for info in far if info.key not in listed)

    def delete(self, key: str) -> None:
        self._near.delete(key)
