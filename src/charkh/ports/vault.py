"""The vault: bytes by content, cut into chunks and laid in packs on a blob medium."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from charkh.core.files import FileRef, TreeChange, TreeEntry, TreeRef

Progress = Callable[[int], None]
"""Called with the number of bytes that went through since the last call."""


class Vault(Protocol):
    """Content-addressed files and trees.

    Durability: what was put is durable when `flush` has returned, not before. Publish an event that
    holds a digest only after `flush`.
    Idempotence: putting bytes that are there stores nothing.
    Erasure: reading an erased chunk gives its replacement; putting erased bytes raises `Denied`.
    Integrity: every chunk is verified against its digest when read; `Corrupt` names it and its pack.
    Threads: one vault may be shared between threads.
    """

    def put_bytes(self, data: bytes, hint: str = "") -> FileRef:
        """Store bytes. `hint` is a file name whose suffix tells how to cut them."""
        ...

    def put_file(self, path: Path | str, progress: Progress | None = None, like: FileRef | None = None) -> FileRef:
        """Store a file's content.

        Args:
            path: of the file.
            progress: called with the bytes that were stored since the last call.
            like: a content that it may well begin with, such as what it was before rows were appended: it saves time
                where that is so, and never changes what is stored.

        Raises:
            NotFound: there is no such file.
            Conflict: the file changed while it was read.
        """
        ...

    def put_tree(self, entries: Iterable[TreeEntry]) -> TreeRef:
        """Store the set of entries; they are sorted by path, and a path given twice is `Invalid`."""
        ...

    def read(self, ref: FileRef, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The content, chunk by chunk, from byte `start`.

        Raises:
            NotFound: the bytes are not here.
            Corrupt: a chunk is not what its digest says.
        """
        ...

    def chunks(self, ref: FileRef) -> Iterator[tuple[str, int]]:
        """The digests and lengths of the chunks that make up a content, in order.

        In the place of an erased chunk stands its replacement, or nothing.
        """
        ...

    def entries(self, root: str) -> Iterator[TreeEntry]:
        """The entries of a tree in path order."""
        ...

    def compare(self, old: str, new: str) -> Iterator[TreeChange]:
        """The paths that differ between two trees, in path order; equal parts are not read."""
        ...

    def has(self, digest: str) -> bool:
        """Whether the chunk or node of this digest is here."""
        ...

    def flush(self) -> None:
        """Return when everything put so far is durable."""
        ...
