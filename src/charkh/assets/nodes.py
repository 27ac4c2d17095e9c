"""The nodes that name other bytes: trees of files and chunk lists, each cut into runs by digests.

A node is a tagged msgpack array (docs/formats/trees.md). A run ends where a digest says so, never where a
count says so, so an edit changes the node that it falls into and the nodes above that one.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from blake3 import blake3

from charkh.core.errors import Corrupt
from charkh.core.files import TreeEntry

Item = TypeVar("Item")
PutNode = Callable[[bytes, bool], bytes]
"""Stores an encoded node, compressed when the second argument says that it may pay; the digest."""

LIST_ITEM = struct.Struct("<32sI")
LIST_CHILD = struct.Struct("<32sQ")
MAX_RUN = 2048
"""Items after which a run ends even if no digest says so."""
TREE_MASK = 0x7F
LIST_MASK = 0xFF


class TreeLeaf(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Entries of a tree in path order."""

    entries: tuple[TreeEntry, ...]


class TreeChild(msgspec.Struct, frozen=True, array_like=True):
    """A node below a tree's branch.

    Attributes:
        digest: of the node, as 64 hex digits.
        first: the first path in it.
        files: how many entries are in it.
        size: bytes that their contents have.
    """

    digest: str
    first: str
    files: int
    size: int


class TreeBranch(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Children in path order; `level` is 1 above the leaves."""

    level: int
    children: tuple[TreeChild, ...]


class ListLeaf(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Chunks in the order of the content, `LIST_ITEM`s one behind the other: digest and length."""

    chunks: bytes


class ListBranch(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Children in the order of the content, `LIST_CHILD`s one behind the other: digest and length."""

    level: int
    children: bytes


Node = TreeLeaf | TreeBranch | ListLeaf | ListBranch


class ChunkSpan(NamedTuple):
    """A chunk of a content and its length."""

    digest: bytes
    length: int


_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], Node] = msgspec.msgpack.Decoder[Any](Node).decode


def encode_node(node: Node) -> bytes:
    """The bytes of a node; equal nodes have equal bytes."""
    return _encode(node)


def decode_node(data: bytes, digest: bytes) -> Node:
    """The node in bytes that passed their digest.

    Raises:
        Corrupt: they are no node of a version that this charkh knows, or one that nothing could have stored.
    """
    try:
        node = _decode(data)
        if not _is_whole(node):
            raise msgspec.ValidationError("its items are cut off, or say that nothing is below them")
    except msgspec.MsgspecError as error:
        raise Corrupt(
            f"the node {digest.hex()[:16]} cannot be read: {error}",
            code="asset.bad_node",
            hint="It was written by a later charkh or by another program: upgrade, or run `charkh fsck`.",
            facts={"digest": digest.hex()},
        ) from error
    return node


def _is_whole(node: Node) -> bool:
    """Whether items are whole and each has something below it: else few nodes could name endlessly many."""
    if isinstance(node, TreeLeaf):
        return True
    if isinstance(node, TreeBranch):
        return bool(node.children) and all(child.files > 0 for child in node.children)
    item, data = (LIST_ITEM, node.chunks) if isinstance(node, ListLeaf) else (LIST_CHILD, node.children)
    return bool(data) and len(data) % item.size == 0 and all(length for _digest, length in item.iter_unpack(data))


class Named(NamedTuple):
    """A digest that a node names, and whether it is that of a node."""

    digest: bytes
    is_node: bool


def children_of(node: Node) -> Iterator[Named]:
    """What a node names: the nodes and chunks directly below it."""
    if isinstance(node, TreeLeaf):
        for entry in node.entries:
            yield Named(bytes.fromhex(entry.file.held), bool(entry.file.root))
    elif isinstance(node, TreeBranch):
        for child in node.children:
            yield Named(bytes.fromhex(child.digest), True)
    elif isinstance(node, ListLeaf):
        for digest, _length in LIST_ITEM.iter_unpack(node.chunks):
            yield Named(digest, False)
    else:
        for digest, _length in _list_children(node):
            yield Named(digest, True)


def put_list(chunks: Sequence[ChunkSpan], put: PutNode) -> bytes:
    """Store the list of a content's chunks; its root."""
    level: list[ChunkSpan] = []
    for run in runs(chunks, lambda chunk: chunk.digest[0] & LIST_MASK == 0, 1):
        data = b"".join([LIST_ITEM.pack(*chunk) for chunk in run])
        level.append(ChunkSpan(put(encode_node(ListLeaf(data)), False), sum(chunk.length for chunk in run)))
    height = 1
    while len(level) > 1:
        above: list[ChunkSpan] = []
        for run in runs(level, lambda child: child.digest[0] & LIST_MASK == 0, 2):
            data = b"".join([LIST_CHILD.pack(*child) for child in run])
            above.append(ChunkSpan(put(encode_node(ListBranch(height, data)), False), sum(c.length for c in run)))
        level, height = above, height + 1
    return level[0].digest


def list_chunks(
    root: bytes, size: int, load: Callable[[bytes], Node], start: int = 0
) -> Iterator[tuple[int, list[ChunkSpan]]]:
    """The chunks of a content of `size` bytes from the leaf with byte `start` on: where each leaf begins, its chunks.

    Raises:
        Corrupt: a node is none of a chunk list, or has another length than is said above it; so whoever wrote it, no
            more is read than `size`.
    """
    waiting: list[tuple[bytes, int, int]] = [(root, 0, size)]
    while waiting:
        digest, begin, said = waiting.pop()
        node = load(digest)
        if isinstance(node, ListLeaf):
            spans = list(map(ChunkSpan._make, LIST_ITEM.iter_unpack(node.chunks)))
            if sum([span.length for span in spans]) != said:
                raise wrong_below(digest)
            yield begin, spans
        elif isinstance(node, ListBranch):
            below: list[tuple[bytes, int, int]] = []
            end = begin
            for child, length in _list_children(node):
                if end + length > start:
                    below.append((child, end, length))
                end += length
            if end - begin != said:
                raise wrong_below(digest)
            waiting.extend(reversed(below))
        else:
            raise not_a("chunk list", digest)


def runs(items: Iterable[Item], ends: Callable[[Item], bool], least: int) -> Iterator[list[Item]]:
    """Cut items into runs of at least `least`; a run ends with an item that `ends` says."""
    run: list[Item] = []
    for item in items:
        run.append(item)
        if (len(run) >= least and ends(item)) or len(run) >= MAX_RUN:
            yield run
            run = []
    if run:
        yield run


def path_ends_run(path: str) -> bool:
    """Whether a leaf of a tree ends with this path: one in 128 does, whatever the file holds."""
    return blake3(path.encode()).digest(1)[0] & TREE_MASK == 0


def not_a(what: str, digest: bytes) -> Corrupt:
    """The error of a node that is something else than its holder says."""
    return Corrupt(
        f"{digest.hex()[:16]} is not a {what}",
        code="asset.bad_node",
        hint="The reference mixes up a file and a tree; run `charkh fsck` to see who holds it.",
        facts={"digest": digest.hex()},
    )


def wrong_below(digest: bytes) -> Corrupt:
    """The error of a node that does not hold what the reference to it says."""
    return Corrupt(
        f"the node {digest.hex()[:16]} does not hold what is said above it",
        code="asset.bad_node",
        hint="Another program wrote it; run `charkh fsck` to see who holds it.",
        facts={"digest": digest.hex()},
    )


def _list_children(node: ListBranch) -> Iterator[tuple[bytes, int]]:
    yield from LIST_CHILD.iter_unpack(node.children)
