"""A file of a version as Python reads files: any part of it, with the chunks that hold that part and no others."""

import io
from typing import BinaryIO, cast

from charkh.core.files import FileRef
from charkh.ports.vault import Vault

BUFFER = 64 * 1024
"""Bytes that are read at once, about a chunk."""


def open_file(vault: Vault, file: FileRef) -> BinaryIO:
    """The content of a file, to be read from any place.

    Raises:
        NotFound: by its reads, when the bytes are not here.
        Corrupt: by its reads, when they are not what their digest says.
    """
    return cast(BinaryIO, io.BufferedReader(_Content(vault, file), BUFFER))


class _Content(io.RawIOBase):
    def __init__(self, vault: Vault, file: FileRef) -> None:
        self._vault = vault
        self._file = file
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._file.size}[whence]
        if start + offset < 0:
            raise ValueError(f"there is no byte {start + offset}")
        self._place = start + offset
        return self._place

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(cast(bytearray, buffer)).cast("B")
        length = min(len(view), max(0, self._file.size - self._place))
        filled = 0
        for part in self._vault.read(self._file, self._place, length) if length else ():
            view[filled : filled + len(part)] = part
            filled += len(part)
        self._place += filled
        return filled
