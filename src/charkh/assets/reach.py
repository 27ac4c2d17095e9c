"""What can be reached from held digests: every node and chunk that must stay readable."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from charkh.assets.erasures import replacement
from charkh.assets.nodes import Named, Node, TreeLeaf, children_of
from charkh.assets.pack import NODE
from charkh.assets.vault import PackVault
from charkh.core.digests import parse_digest
from charkh.core.errors import Corrupt, NotFound

_AT_ONCE = 1000


class Reached(NamedTuple):
    """The result of a walk.

    Attributes:
        live: every digest that was reached and is here.
        missing: chunks that were reached and are in no pack.
        unknown: nodes, or roots of which nobody can say what they are, that are in no pack or cannot be
            read; what lies below them was not reached.
    """

    live: set[bytes]
    missing: set[bytes]
    unknown: set[bytes]


def reach(
    vault: PackVault,
    roots: Iterable[str],
    erased: Mapping[bytes, bytes],
    progress: Callable[[int], None] | None = None,
) -> Reached:
    """Walk from the roots through trees and chunk lists; an erased digest leads to what stands in its place."""
    found = Reached(set(), set(), set())
    seen: set[bytes] = set()
    waiting = [Named(bytes.fromhex(parse_digest(root)), True) for root in roots]
    while waiting:
        some: dict[bytes, bool] = {}
        while waiting and len(some) < _AT_ONCE:
            named = waiting.pop()
            digest = replacement(named.digest, erased)
            if digest and digest not in seen:
                seen.add(digest)
                # What stands in the place of an erased chunk is a chunk.
                some[digest] = named.is_node and digest == named.digest
        waiting.extend(_visit(vault, some, erased, found))
        if progress:
            progress(len(some))
    return found


def _visit(
    vault: PackVault, digests: Mapping[bytes, bool], erased: Mapping[bytes, bytes], found: Reached
) -> list[Named]:
    places = vault.shelf.locate(list(digests))
    below: list[Named] = []
    for digest, is_node in digests.items():
        place = places.get(digest)
        if place is None:
            (found.unknown if is_node else found.missing).add(digest)
            continue
        found.live.add(digest)
        if place.kind == NODE:
            try:
                below.extend(_below(vault, vault.load_node(digest), erased, found))
            except (Corrupt, NotFound):
                found.unknown.add(digest)
    return below


def _below(vault: PackVault, node: Node, erased: Mapping[bytes, bytes], found: Reached) -> Iterator[Named]:
    """What a node names, as it is read: of a file that was erased in other cuts, its chunk list and no chunk."""
    if not erased or not isinstance(node, TreeLeaf):
        yield from children_of(node)
        return
    for entry in node.entries:
        file = vault.shown(entry.file, erased)
        yield Named(bytes.fromhex(file.held), bool(file.root))
        if file.root != entry.file.root and bytes.fromhex(entry.file.root) not in erased:
            found.live.update(_list_nodes(vault, bytes.fromhex(entry.file.root)))


def _list_nodes(vault: PackVault, root: bytes) -> Iterator[bytes]:
    waiting = [root]
    while waiting:
        digest = waiting.pop()
        yield digest
        waiting += [named.digest for named in children_of(vault.load_node(digest)) if named.is_node]
