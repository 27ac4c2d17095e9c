"""The vault over packs: cuts what is put, stores each chunk once, and verifies each when it is read."""

import contextlib
import os
import stat
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from charkh.assets.chunk_index import ChunkIndex
from charkh.assets.cutting import BLOCK, WHOLE, cut_blocks, cut_for, suffix_of
from charkh.assets.erasures import ErasedDigests, refuse_erased, replacement
from charkh.assets.foreign import ForeignFiles
from charkh.assets.hashing import hash_threads
from charkh.assets.nodes import ChunkSpan, Node, decode_node, list_chunks, not_a, put_list
from charkh.assets.pack import CHUNK, NODE, Record, record_digest
from charkh.assets.packing import PackWriter
from charkh.assets.shelf import Shelf, no_such_asset
from charkh.assets.squeezing import Probe
from charkh.assets.tree import Leaf, put_tree, tree_entries, tree_leaves
from charkh.assets.tree_diff import compare_trees
from charkh.core.digests import parse_digest
from charkh.core.errors import CharkhError, Conflict, Corrupt, Invalid, NotFound, Unavailable
from charkh.core.files import FileRef, TreeChange, TreeEntry, TreeRef
from charkh.ports.blobs import Blobs
from charkh.ports.vault import Progress

READ_AT_ONCE = 16 * 1024 * 1024


class Begun(NamedTuple):
    """What is known of the beginning of a content.

    Attributes:
        whole: the hash of its first bytes.
        spans: its first chunks.
        hashed: how many bytes were hashed, at least those of the chunks.
    """

    whole: blake3
    spans: list[ChunkSpan]
    hashed: int

    @property
    def size(self) -> int:
        """Bytes of the chunks."""
        return sum(span.length for span in self.spans)


def no_erasures() -> Mapping[str, str]:
    """The erasures of a store in which nothing was erased."""
    return {}


class PackVault:
    """The vault port over a blob medium (`charkh.ports.vault.Vault`).

    Processes: several may use one store at once; each writes packs of its own and finds the others'.
    Fork: the child takes over what the parent had not flushed; both may store it.

    Args:
        blobs: the medium.
        index_path: where the index of chunks is cached; None for memory.
        erasures: gives every erased digest and its replacement, empty for nothing.
        contents: gives, by digest of an erased content, the content that is shown instead.
        foreign: files outside the packs that serve what no pack has.
    """

    def __init__(
        self,
        blobs: Blobs,
        index_path: Path | None = None,
        erasures: Callable[[], Mapping[str, str]] = no_erasures,
        contents: Callable[[], Mapping[str, FileRef]] = dict[str, FileRef],
        *,
        foreign: ForeignFiles | None = None,
    ) -> None:
        self.shelf = Shelf(blobs, ChunkIndex(index_path), foreign)
        self._writer = PackWriter(self.shelf)
        self.erased = ErasedDigests(erasures, contents)
        self._probe = Probe()
        self._hashing: ThreadPoolExecutor | None = None
        _vaults.add(self)

    def put_bytes(self, data: bytes, hint: str = "") -> FileRef:
        suffix = suffix_of(hint)
        if len(data) <= WHOLE:
            return self._put_whole(data, suffix)
        return self._put_stream(BytesIO(data).readinto, suffix, None)

    def put_file(self, path: Path | str, progress: Progress | None = None, like: FileRef | None = None) -> FileRef:
        descriptor = _open(path)
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise Invalid(f"{path} is no ordinary file", code="asset.not_a_file", hint="Name a file.")
            suffix = suffix_of(os.fspath(path))
            if before.st_size <= WHOLE:
                data = os.read(descriptor, WHOLE + 1)
                if len(data) != before.st_size:
                    raise _changed(path)
                ref = self._put_whole(data, suffix)
                if progress:
                    progress(len(data))
            else:
                begun = self._begun(descriptor, like) if like is not None and before.st_size >= like.size else None
                if begun is not None:
                    os.lseek(descriptor, begun.size, os.SEEK_SET)
                    if progress:
                        progress(begun.size)
                ref = self._put_stream(lambda buffer: os.readv(descriptor, [buffer]), suffix, progress, begun)
            after = os.fstat(descriptor)
        except CharkhError:
            raise
        except OSError as error:
            raise _unreadable(path, error) from error
        finally:
            os.close(descriptor)
        if ref.size != before.st_size or after.st_mtime_ns != before.st_mtime_ns or after.st_size != before.st_size:
            raise _changed(path)
        return ref

    def put_tree(self, entries: Iterable[TreeEntry], *, ordered: bool = False, like: str = "") -> TreeRef:
        leaves = self._leaves(like) if like else iter(())
        return put_tree(entries, self.put_node, ordered=ordered, like=leaves, keep=self._keep)

    def rely_on(self, refs: Sequence[FileRef]) -> list[bool]:
        gone = self._writer.rely_on([bytes.fromhex(ref.digest) for ref in refs if not ref.root])
        erased = self.erased.now()
        return [
            not (erased and bytes.fromhex(ref.digest) in erased)
            and (self._relied(ref) if ref.root else not gone or bytes.fromhex(ref.digest) not in gone)
            for ref in refs
        ]

    def read(self, ref: FileRef, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        erased = self.erased.now()
        end = None if length is None else start + length
        ref = self.shown(ref, erased)
        if not ref.root:
            yield from _cut_to(self._read_chunk(bytes.fromhex(ref.digest), erased), start, end)
            return
        for position, chunks in self._chunks(ref, start, erased):
            yield from self._read_spans(position, chunks, start, end)
            if end is not None and position + sum(chunk.length for chunk in chunks) >= end:
                return

    def read_many(self, refs: Sequence[FileRef]) -> Iterator[tuple[int, bytes]]:
        erased = self.erased.now()
        digests: dict[bytes, list[int]] = {}
        for position, ref in enumerate(refs):
            digest = bytes.fromhex(ref.digest)
            if ref.root or (erased and digest in erased) or self._writer.get(digest) is not None:
                yield position, b"".join(self.read(ref))
            else:
                digests.setdefault(digest, []).append(position)
        wanted = list(digests)
        places = self.shelf.locate(wanted)
        for digest in wanted:
            if digest not in places:
                raise no_such_asset(digest)
            if places[digest].kind != CHUNK:
                raise not_a("chunk", digest)
        stored = sorted(places.items(), key=lambda item: (item[1].pack, item[1].offset))
        for (digest, _place), content in zip(stored, self.shelf.read_run(stored), strict=True):
            for position in digests[digest]:
                yield position, content

    def chunks(self, ref: FileRef) -> Iterator[tuple[str, int]]:
        erased = self.erased.now()
        ref = self.shown(ref, erased)
        if not ref.root:
            span = self._replaced(ChunkSpan(bytes.fromhex(ref.digest), ref.size), erased)
            if span.digest:
                yield span.digest.hex(), span.length
            return
        for _begin, spans in self._chunks(ref, 0, erased):
            for span in spans:
                yield span.digest.hex(), span.length

    def entries(self, root: str) -> Iterator[TreeEntry]:
        entries = tree_entries(bytes.fromhex(self.erased.root(root)), self.load_node)
        return map(self.erased.shown_entry, entries) if self.erased.now() else entries

    def compare(self, old: str, new: str) -> Iterator[TreeChange]:
        changes = compare_trees(self.erased.root(old), self.erased.root(new), self.load_node)
        return filter(None, map(self.erased.shown_change, changes)) if self.erased.now() else changes

    def has(self, digest: str) -> bool:
        wanted = bytes.fromhex(parse_digest(digest))
        return self._writer.get(wanted) is not None or bool(self.shelf.locate([wanted]))

    def flush(self) -> None:
        """Return when everything put so far is durable.

        Raises:
            Unavailable: the medium refuses; everything is kept, and the next call tries again.
            Conflict: bytes that were there have been collected meanwhile; put them again.
        """
        self._writer.flush()
        self.erased.forget()

    def close(self) -> None:
        """Let go of the index and the threads; what was not flushed is not kept. The vault can be used again."""
        self._writer.close()
        if self._hashing is not None:
            self._hashing.shutdown()
            self._hashing = None
        self.shelf.index.close()
        self.shelf.foreign.close()

    def shown(self, ref: FileRef, erased: Mapping[bytes, bytes]) -> FileRef:
        """The reference to read instead of `ref`: the content that replaces it, or none of its chunks.

        An erasure names a whole content and, where it was made for one, the content in its place. One that names none
        names the chunks of the file that somebody pointed at: a file with the same content and none of those chunks
        reads as the chunk that stands in the place of the whole.

        Raises:
            NotFound, Corrupt: its chunk list is not here or damaged.
        """
        ref = self.erased.current(ref) if erased else ref
        if not erased or not ref.root or bytes.fromhex(ref.digest) not in erased:
            return ref
        leaves = list_chunks(bytes.fromhex(ref.root), ref.size, self.load_node)
        here = any(chunk.digest in erased for _begin, chunks in leaves for chunk in chunks)
        return ref if here else FileRef(ref.digest, ref.size)

    def load_node(self, digest: bytes) -> Node:
        """The node of a tree or a chunk list.

        Raises:
            NotFound: it is not here.
            Corrupt: it is damaged.
        """
        return decode_node(self._record(digest, NODE), digest)

    def forget_threads(self) -> None:
        """In the child of a fork: threads and locks of the parent are not here."""
        self._hashing = None
        self.shelf.forget_threads()
        self._writer.forget_threads()
        self.erased.forget_threads()

    def _put_whole(self, data: bytes, suffix: str) -> FileRef:
        hasher = blake3(data)
        digest = hasher.digest()
        erased = self.erased.now()
        if erased and digest in erased:
            raise refuse_erased(digest)
        self._writer.add((Record(digest, CHUNK, data, self._probe.of_small(suffix, data)),))
        return FileRef(digest.hex(), len(data))

    def _put_stream(
        self,
        read: Callable[[memoryview], int],
        suffix: str,
        progress: Progress | None,
        begun: Begun | None = None,
    ) -> FileRef:
        erased = self.erased.now()
        whole, spans, known = begun or Begun(blake3(), [], 0)
        known -= sum(span.length for span in spans)
        hashed = None
        for content, chunks in cut_blocks(read, cut_for(suffix)):
            if hashed is not None:
                hashed.result()
            hashed = self._hash_beside(whole, content[known:])
            known = max(0, known - len(content))
            digests = [blake3(chunk).digest() for chunk in chunks]
            if erased:
                for digest in digests:
                    if digest in erased:
                        raise refuse_erased(digest)
            found = list(zip(digests, chunks, strict=True))
            squeeze = self._probe.of_block(suffix, content)
            self._writer.add([Record(digest, CHUNK, chunk, squeeze) for digest, chunk in found])
            spans.extend([ChunkSpan(digest, len(chunk)) for digest, chunk in found])
            if progress:
                progress(len(content))
        if hashed is not None:
            hashed.result()
        digest, size = whole.digest(), sum(span.length for span in spans)
        if erased and digest in erased:
            raise refuse_erased(digest)
        if len(spans) == 1:
            return FileRef(digest.hex(), size)
        return FileRef(digest.hex(), size, put_list(spans, self.put_node).hex())

    def _begun(self, descriptor: int, like: FileRef) -> Begun | None:
        """What is known of a file that begins with a content that is here; None where it begins otherwise.

        The last chunk of that content ended because the content did, so the file is cut from there on.
        """
        if not like.root or self.erased.now():
            return None
        try:
            leaves = list(list_chunks(bytes.fromhex(like.root), like.size, self.load_node))
        except (NotFound, Corrupt):
            return None
        *spans, last = [span for _begin, chunks in leaves for span in chunks]
        # A look at the end tells most that have not only grown.
        if blake3(os.pread(descriptor, last.length, like.size - last.length)).digest() != last.digest:
            return None
        whole = self._hash_beginning(descriptor, like.size)
        if whole is None or whole.hexdigest() != like.digest or self._writer.rely_on([each.digest for each in spans]):
            return None
        return Begun(whole, spans, like.size)

    def _hash_beginning(self, descriptor: int, size: int) -> blake3 | None:
        """A file's first bytes, hashed; None where it has fewer."""
        whole, hashed = blake3(max_threads=hash_threads()), None
        buffers = memoryview(bytearray(BLOCK)), memoryview(bytearray(BLOCK))
        position = turn = 0
        while position < size:
            read = os.preadv(descriptor, [buffers[turn][: size - position]], position)
            if hashed is not None:
                hashed.result()
            if not read:
                return None
            hashed = self._hash_beside(whole, buffers[turn][:read])
            position, turn = position + read, 1 - turn
        if hashed is not None:
            hashed.result()
        return whole

    def _hash_beside(self, whole: blake3, content: memoryview) -> "Future[blake3]":
        if self._hashing is None:
            self._hashing = ThreadPoolExecutor(1, thread_name_prefix="charkh-hash")
        return self._hashing.submit(whole.update, content)

    def _leaves(self, root: str) -> Iterator[Leaf]:
        """The leaves of a tree, as far as it can be read: they only save work."""
        with contextlib.suppress(NotFound, Corrupt):
            yield from tree_leaves(bytes.fromhex(parse_digest(root)), self.load_node)

    def _keep(self, digest: bytes) -> bool:
        return not self._writer.rely_on([digest])

    def _relied(self, ref: FileRef) -> bool:
        """Whether a content of several chunks is here, with the nodes of its list; then it is relied upon."""
        nodes: list[bytes] = []

        def load(digest: bytes) -> Node:
            nodes.append(digest)
            return self.load_node(digest)

        try:
            leaves = list(list_chunks(bytes.fromhex(ref.root), ref.size, load))
        except (NotFound, Corrupt):
            return False
        chunks = [span.digest for _begin, spans in leaves for span in spans]
        erased = self.erased.now()
        return not (erased and any(digest in erased for digest in chunks)) and not self._writer.rely_on(nodes + chunks)

    def put_node(self, data: bytes, squeeze: bool) -> bytes:
        """Store the bytes of a node, compressed when `squeeze` says that it may pay; its digest."""
        digest = record_digest(NODE, data)
        self._writer.add((Record(digest, NODE, data, squeeze),))
        return digest

    def put_chunk(self, data: bytes, hint: str = "") -> bytes:
        """Store one chunk that was cut elsewhere, whatever its size; its digest."""
        digest = record_digest(CHUNK, data)
        if digest in self.erased.now():
            raise refuse_erased(digest)
        self._writer.add((Record(digest, CHUNK, data, self._probe.of_small(suffix_of(hint), data)),))
        return digest

    def _record(self, digest: bytes, kind: int = CHUNK) -> bytes:
        waiting = self._writer.get(digest)
        if waiting is not None and waiting.kind == kind:
            return bytes(waiting.data)
        place = self.shelf.locate([digest]).get(digest)
        if place is None:
            raise no_such_asset(digest)
        if place.kind != kind:
            # A file may hold the bytes of a node; only its digest tells that it is none.
            raise not_a("node of a tree or chunk list" if kind == NODE else "chunk", digest)
        return self.shelf.read(digest, place)

    def _read_chunk(self, digest: bytes, erased: Mapping[bytes, bytes]) -> bytes:
        if erased:
            digest = replacement(digest, erased)
            if not digest:
                return b""
        return self._record(digest)

    def _chunks(self, ref: FileRef, start: int, erased: Mapping[bytes, bytes]) -> Iterator[tuple[int, list[ChunkSpan]]]:
        """The chunks to read and where they begin; replacements with their own lengths in place of what was erased."""
        root = bytes.fromhex(ref.root)
        if not erased:
            yield from list_chunks(root, ref.size, self.load_node, start)
            return
        position = 0
        for _begin, chunks in list_chunks(root, ref.size, self.load_node):
            spans = [self._replaced(chunk, erased) for chunk in chunks]
            yield position, [span for span in spans if span.digest]
            position += sum(span.length for span in spans)

    def _replaced(self, chunk: ChunkSpan, erased: Mapping[bytes, bytes]) -> ChunkSpan:
        digest = replacement(chunk.digest, erased)
        if digest == chunk.digest:
            return chunk
        return ChunkSpan(digest, len(self._record(digest)) if digest else 0)

    def _read_spans(self, position: int, chunks: Sequence[ChunkSpan], start: int, end: int | None) -> Iterator[bytes]:
        """Those of the chunks that lie between `start` and `end`, the first and last cut to fit."""
        group: list[tuple[int, ChunkSpan]] = []
        size = 0
        for chunk in chunks:
            if position + chunk.length > start and (end is None or position < end):
                group.append((position, chunk))
                size += chunk.length
            if size >= READ_AT_ONCE:
                yield from self._read_group(group, start, end)
                group, size = [], 0
            position += chunk.length
        yield from self._read_group(group, start, end)

    def _read_group(self, group: list[tuple[int, ChunkSpan]], start: int, end: int | None) -> Iterator[bytes]:
        digests = [chunk.digest for _position, chunk in group]
        waiting = [digest for digest in digests if self._writer.get(digest) is not None]
        if waiting:
            contents: Iterator[bytes] = map(self._record, digests)
        else:
            places = self.shelf.locate(digests)
            for digest in digests:
                if digest not in places:
                    raise no_such_asset(digest)
                if places[digest].kind != CHUNK:
                    raise not_a("chunk", digest)
            contents = self.shelf.read_run([(digest, places[digest]) for digest in digests])
        for (position, _chunk), content in zip(group, contents, strict=True):
            yield from _cut_to(content, start - position, None if end is None else end - position)


def _cut_to(content: bytes, start: int, end: int | None) -> Iterator[bytes]:
    if start > 0 or (end is not None and end < len(content)):
        content = content[max(0, start) : None if end is None else max(0, end)]
    if content:
        yield content


def _open(path: Path | str) -> int:
    try:
        # A pipe without a writer would block for ever.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no file {path}",
            code="asset.no_such_file",
            hint="Look at the spelling and the current folder; if it went away meanwhile, add what is there now.",
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path | str, error: OSError) -> Unavailable:
    return Unavailable(
        f"cannot read {path}: {error.strerror or error}",
        code="asset.unreadable",
        hint="Look at its owner and permissions.",
        facts={"path": str(path), "errno": error.errno},
    )


def _changed(path: Path | str) -> Conflict:
    return Conflict(
        f"{path} changed while it was read",
        code="asset.changed",
        hint="Wait until whoever writes it is done, and add it again.",
        facts={"path": str(path)},
    )


def _after_fork() -> None:
    for vault in list(_vaults):
        vault.forget_threads()


_vaults: "weakref.WeakSet[PackVault]" = weakref.WeakSet()
os.register_at_fork(after_in_child=_after_fork)
