"""The vault: bytes by content, cut into chunks and laid in packs on a blob medium."""

from collections.abc import Callable, Iterable, Iterator, Sequence
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

    def put_tree(self, entries: Iterable[TreeEntry], *, ordered: bool = False, like: str = "") -> TreeRef:
        """Store the set of entries.

        Args:
            entries: in any order.
            ordered: they come in path order, so that few of many are held at once.
            like: root of a tree that may well have most of them: it saves time, and never changes what is stored.

        Raises:
            Invalid: a path is given twice or cannot be kept, or the order is not what was said.
        """
        ...

    def rely_on(self, refs: Sequence[FileRef]) -> list[bool]:
        """Whether each content is here, whole and not erased; those that are count as put once more, up to `flush`."""
        ...

    def read(self, ref: FileRef, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The content, chunk by chunk, from byte `start`.

        Raises:
            NotFound: the bytes are not here.
            Corrupt: a chunk is not what its digest says.
        """
        ...

    def read_many(self, refs: Sequence[FileRef]) -> Iterator[tuple[int, bytes]]:
        """Whole contents with their place in `refs`, in the order in which they are read fastest.

        For many small ones; all that is read at once is some megabytes, unless one of them is larger.

        Raises:
            NotFound, Corrupt: as `read`.
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
