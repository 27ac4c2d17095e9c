"""Blobs in memory: for tests and for stores that live as long as their process."""

import threading
import time
from collections.abc import Iterable, Iterator

from charkh.ports.blobs import BlobInfo
from charkh.stores.blob_keys import no_such_blob, parse_key, parse_prefix


class MemoryBlobs:
    """The blobs port over a dictionary; durable as far as memory is."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[bytes, float]] = {}
        self._lock = threading.Lock()

    def has(self, key: str) -> bool:
        return parse_key(key) in self._objects

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        found = self._objects.get(parse_key(key))
        if found is None:
            raise no_such_blob(key, "memory")
        data = found[0]
        begin = max(0, len(data) + start) if start < 0 else start
        return data[begin:] if length is None else data[begin : begin + length]

    def put(self, key: str, parts: Iterable[bytes | memoryview]) -> None:
        parse_key(key)
        data = b"".join(parts)
        with self._lock:
            self._objects.setdefault(key, (data, time.time()))

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        parse_prefix(prefix)
        with self._lock:
            found = [(key, data, at) for key, (data, at) in self._objects.items() if key.startswith(prefix)]
        return iter([BlobInfo(key, len(data), at) for key, data, at in found])

    def delete(self, key: str) -> None:
        with self._lock:
            self._objects.pop(parse_key(key), None)
