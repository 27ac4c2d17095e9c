"""A vault in memory: files whole, trees as sorted tuples; for tests of the floors above assets."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from charkh.core.digests import digest_of, node_digest_of
from charkh.core.errors import Invalid, NotFound
from charkh.core.files import FileRef, TreeChange, TreeEntry, TreeRef
from charkh.core.refs import parse_path
from charkh.ports.vault import Progress


class MemoryVault:
    """The vault port over two dictionaries."""

    def __init__(self) -> None:
        self._chunks: dict[str, bytes] = {}
        self._trees: dict[str, tuple[TreeEntry, ...]] = {}

    def put_bytes(self, data: bytes, hint: str = "") -> FileRef:
        del hint
        digest = digest_of(data)
        self._chunks[digest] = bytes(data)
        return FileRef(digest, len(data))

    def put_file(self, path: Path, progress: Progress | None = None) -> FileRef:
        if not path.is_file():
            raise NotFound(f"there is no file {path}", code="asset.not_found")
        data = path.read_bytes()
        if progress:
            progress(len(data))
        return self.put_bytes(data)

    def put_tree(self, entries: Iterable[TreeEntry]) -> TreeRef:
        ordered = tuple(sorted(entries, key=lambda entry: entry.path))
        for entry in ordered:
            parse_path(entry.path)
        if len({entry.path for entry in ordered}) != len(ordered):
            raise Invalid("a path stands twice in the tree", code="tree.duplicate_path")
        root = node_digest_of(msgspec.msgpack.encode(ordered))
        self._trees[root] = ordered
        return TreeRef(root, len(ordered), sum(entry.file.size for entry in ordered))

    def read(self, ref: FileRef, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        if ref.digest not in self._chunks:
            raise NotFound(f"the bytes {ref.digest[:12]} are not here", code="asset.not_found")
        data = self._chunks[ref.digest]
        yield data[start:] if length is None else data[start : start + length]

    def entries(self, root: str) -> Iterator[TreeEntry]:
        if root not in self._trees:
            raise NotFound(f"the tree {root[:12]} is not here", code="asset.not_found")
        yield from self._trees[root]

    def compare(self, old: str, new: str) -> Iterator[TreeChange]:
        before = {entry.path: entry.file for entry in self.entries(old)}
        after = {entry.path: entry.file for entry in self.entries(new)}
        for path in sorted(before.keys() | after.keys()):
            if before.get(path) != after.get(path):
                yield TreeChange(path, before.get(path), after.get(path))

    def has(self, digest: str) -> bool:
        return digest in self._chunks or digest in self._trees

    def flush(self) -> None:
        """Nothing to do: memory has no disk behind it."""
