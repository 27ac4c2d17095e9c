"""A file of a version as Python reads files: any part of it, with the chunks that hold that part and no others.

Some readers share one file between threads and say where to read before each read. So there is no lock that a thread
could wait for between the two, and a read takes its place once, when it begins.
"""

import io
from typing import BinaryIO, NamedTuple, cast

from charkh.core.files import FileRef
from charkh.ports.vault import Vault

BUFFER = 64 * 1024
"""Bytes that are read at once at least, about a chunk."""


def open_file(vault: Vault, file: FileRef) -> BinaryIO:
    """The content of a file, to be read from any place.

    Raises:
        NotFound: by its reads, when the bytes are not here.
        Corrupt: by its reads, when they are not what their digest says.
    """
    return cast(BinaryIO, _Content(vault, file))


class _Held(NamedTuple):
    start: int
    data: bytes


class _Content(io.BufferedIOBase):
    def __init__(self, vault: Vault, file: FileRef) -> None:
        self._vault = vault
        self._file = file
        self._place = 0
        self._held = _Held(0, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._file.size}[whence] + offset
        if place < 0:
            raise ValueError(f"there is no byte {place}")
        self._place = place
        return place

    def read(self, size: int | None = -1, /) -> bytes:
        start = self._place
        left = max(0, self._file.size - start)
        wanted = left if size is None or size < 0 else min(size, left)
        data = self._part(start, wanted)
        self._place = start + wanted
        return data

    def read1(self, size: int = -1, /) -> bytes:
        return self.read(BUFFER if size < 0 else size)

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(cast(bytearray, buffer)).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def readline(self, size: int | None = -1, /) -> bytes:
        start, most = self._place, self._file.size
        past = most if size is None or size < 0 else min(most, start + size)
        parts: list[bytes] = []
        place = start
        while place < past:
            part = self._part(place, min(BUFFER, past - place))
            end = part.find(b"\n") + 1
            parts.append(part[:end] if end else part)
            place += len(parts[-1])
            if end:
                break
        self._place = place
        return b"".join(parts)

    def _part(self, start: int, length: int) -> bytes:
        held = self._held
        if held.start <= start and start + length <= held.start + len(held.data):
            return held.data[start - held.start : start - held.start + length]
        size = min(max(length, BUFFER), self._file.size - start)
        data = b"".join(self._vault.read(self._file, start, size)) if size > 0 else b""
        self._held = _Held(start, data)
        return data[:length]
