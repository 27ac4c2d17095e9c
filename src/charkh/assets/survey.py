"""Compare two vaults below some roots: what each lacks that the other has, and what neither has.

The walk goes down once for both directions. It stops at what is known to be complete on both sides, so that a version
that shares nearly everything with one that was exchanged before costs what differs.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from charkh.assets.chunk_index import Place
from charkh.assets.erasures import replacement
from charkh.assets.nodes import Named, Node, TreeLeaf, children_of, decode_node
from charkh.assets.pack import NODE, ZSTD, Record
from charkh.assets.transfer import Wanted
from charkh.assets.vault import PackVault
from charkh.core.digests import parse_digest
from charkh.core.errors import Corrupt, NotFound

AT_ONCE = 4096
Complete = Callable[[Sequence[bytes]], set[bytes]]
"""Which of some digests, and everything below them, both sides are known to have."""


class _Met(NamedTuple):
    """A digest on the way down: whether it may be a node, and the nodes that name it."""

    is_node: bool
    parents: list[bytes]


def nothing_known(_digests: Sequence[bytes]) -> set[bytes]:
    """What is known to be complete before anything was exchanged."""
    return set()


class Survey:
    """A comparison under way; it holds a digest and a place for each record that it met.

    Args:
        here: this side.
        there: the other side, its index refreshed.
        complete: what both are known to have whole.
        dry: look only: nodes that are not here are read and not kept.

    Attributes:
        push: records that are here and not there.
        pull: records that are there, not here, and were asked for.
        shared: digests that both have and that something rests upon.
        relied: packs there that hold the shared.
        brought: nodes that were brought here on the way, and their bytes.
        nowhere: digests that neither has.
        failed: by digest, why a node could not be brought.
    """

    def __init__(
        self, here: PackVault, there: PackVault, *, complete: Complete = nothing_known, dry: bool = False
    ) -> None:
        self._here, self._there = here, there
        self._complete = complete
        self._dry = dry
        self._erased = here.erased.now()
        self._seen: set[bytes] = set()
        self._above: dict[bytes, list[bytes]] = {}
        self._broken: set[bytes] = set()
        self._tops: set[bytes] = set()
        self._lost: dict[bytes, _Met] = {}
        self._looked: set[bytes] = set()
        self.push: list[Wanted] = []
        self.pull: list[Wanted] = []
        self.shared: list[bytes] = []
        self.relied: set[str] = set()
        self.brought: list[tuple[bytes, int]] = []
        self.nowhere: set[bytes] = set()
        self.failed: dict[bytes, str] = {}

    def walk(self, roots: Iterable[str], *, bring: bool, progress: Callable[[int], None] | None = None) -> None:
        """Compare what is below these roots.

        Args:
            roots: digests that something holds.
            bring: what is not here is wanted, and nodes are brought at once, to see what is below them.
            progress: called with the number of records compared since the last call.
        """
        waiting: dict[bytes, _Met] = {}
        for root in roots:
            digest = bytes.fromhex(parse_digest(root))
            self._meet(waiting, Named(digest, True), None)
            self._tops.add(digest)
        while waiting:
            while waiting:
                some = {digest: waiting.pop(digest) for digest in list(islice(waiting, AT_ONCE))}
                self._visit(some, waiting, bring=bring)
                if progress:
                    progress(len(some))
            waiting = self._found_in_trash()

    def whole(self) -> Iterator[bytes]:
        """Roots and nodes below which both sides have everything, once `push` and `pull` have been moved."""
        broken = set(self._broken)
        waiting = list(broken)
        while waiting:
            above = [each for each in self._above.get(waiting.pop(), ()) if each not in broken]
            broken.update(above)
            waiting += above
        return (digest for digest in self._tops | self._above.keys() if digest not in broken)

    def _meet(self, waiting: dict[bytes, _Met], named: Named, parent: bytes | None) -> None:
        digest = replacement(named.digest, self._erased)
        if not digest:
            return
        # What stands in the place of an erased chunk is a chunk.
        is_node = named.is_node and digest == named.digest
        if is_node:
            above = self._above.setdefault(digest, [])
            if parent is not None:
                above.append(parent)
        if digest in waiting:
            if parent is not None:
                waiting[digest].parents.append(parent)
        elif digest in self._lost:
            if parent is not None:
                self._lost[digest].parents.append(parent)
        elif digest in self._seen:
            if parent is not None and digest in self._broken:
                self._broken.add(parent)
        else:
            self._seen.add(digest)
            waiting[digest] = _Met(is_node, [] if parent is None else [parent])

    def _visit(self, some: dict[bytes, _Met], waiting: dict[bytes, _Met], *, bring: bool) -> None:
        digests = list(some)
        here, there = self._here.shelf.find(digests), self._there.shelf.index.find(digests)
        whole = self._complete([digest for digest in digests if some[digest].is_node and digest in there])
        nodes: list[bytes] = []
        wanted: list[Wanted] = []
        for digest, met in some.items():
            mine, theirs = here.get(digest), there.get(digest)
            if theirs is not None and mine is not None:
                self.shared.append(digest)
                self.relied.add(theirs.pack)
            elif mine is not None:
                self.push.append((digest, mine))
            elif theirs is None:
                self._lost[digest] = met
                continue
            elif not bring:
                self._break(digest, met)
                continue
            elif theirs.kind == NODE:
                wanted.append((digest, theirs))
                continue
            else:
                self.pull.append((digest, theirs))
            if mine is not None and mine.kind == NODE and not (digest in whole and theirs is not None):
                nodes.append(digest)
        for digest in nodes:
            self._descend(digest, waiting, some[digest])
        for digest, node in self._bring(wanted, some):
            self._children(digest, node, waiting)

    def _descend(self, digest: bytes, waiting: dict[bytes, _Met], met: _Met) -> None:
        try:
            node = self._here.load_node(digest)
        except (Corrupt, NotFound) as error:
            self.failed[digest] = error.message
            self._break(digest, met)
            return
        self._children(digest, node, waiting)

    def _children(self, digest: bytes, node: Node, waiting: dict[bytes, _Met]) -> None:
        for named in self._below(digest, node):
            self._meet(waiting, named, digest)

    def _bring(self, wanted: list[Wanted], some: dict[bytes, _Met]) -> Iterator[tuple[bytes, Node]]:
        """Nodes that are there alone, read in long stretches and kept here."""
        if not wanted:
            return
        wanted.sort(key=lambda item: (item[1].pack, item[1].offset))
        found: list[tuple[Wanted, bytes]] = []
        try:
            found = list(zip(wanted, self._there.shelf.read_run(wanted), strict=True))
        except (NotFound, Corrupt):
            found = []
            for item in wanted:
                try:
                    found.append((item, self._there.shelf.read(*item)))
                except (NotFound, Corrupt) as error:
                    self.failed[item[0]] = error.message
                    self._break(item[0], some[item[0]])
        if found and not self._dry:
            self._here.shelf.write([Record(digest, NODE, data, place.codec == ZSTD) for (digest, place), data in found])
        for (digest, place), data in found:
            self.brought.append((digest, place.stored))
            try:
                yield digest, decode_node(data, digest)
            except Corrupt as error:
                self.failed[digest] = error.message
                self._break(digest, some[digest])

    def _below(self, digest: bytes, node: Node) -> Iterator[Named]:
        """What a node names, as it is read.

        Of a file that was erased in other cuts, neither chunk may travel: what stands in its place does, and the chunk
        list, without which nobody could say so.
        """
        if not self._erased or not isinstance(node, TreeLeaf):
            yield from children_of(node)
            return
        for entry in node.entries:
            if not entry.file.root or bytes.fromhex(entry.file.digest) not in self._erased:
                yield Named(bytes.fromhex(entry.file.held), bool(entry.file.root))
                continue
            lists, chunks = self._lists(digest, bytes.fromhex(entry.file.root))
            if any(chunk in self._erased for chunk in chunks):
                yield Named(bytes.fromhex(entry.file.root), True)
                continue
            yield Named(bytes.fromhex(entry.file.digest), False)
            for each in lists:
                self._alone(each)

    def _lists(self, parent: bytes, root: bytes) -> tuple[list[Wanted], list[bytes]]:
        """The nodes of a chunk list, here or there, and the chunks that they name."""
        lists: list[Wanted] = []
        chunks: list[bytes] = []
        waiting = [root]
        while waiting:
            digest = waiting.pop()
            for vault in (self._here, self._there):
                place = vault.shelf.index.find([digest]).get(digest)
                if place is not None:
                    break
            else:
                self.nowhere.add(digest)
                self._broken.add(parent)
                continue
            lists.append((digest, place))
            node = vault.load_node(digest)
            below = list(children_of(node))
            waiting += [named.digest for named in below if named.is_node]
            chunks += [named.digest for named in below if not named.is_node]
        return lists, chunks

    def _alone(self, item: Wanted) -> None:
        """Let a chunk list travel without what it names."""
        digest = item[0]
        if digest in self._seen:
            return
        self._seen.add(digest)
        here, there = (vault.shelf.index.find([digest]).get(digest) for vault in (self._here, self._there))
        if here is None and there is not None:
            self.pull.append((digest, there))
        elif there is None and here is not None:
            self.push.append((digest, here))

    def _found_in_trash(self) -> dict[bytes, _Met]:
        """What a collection had taken out, put back; the rest is nowhere."""
        lost, self._lost = self._lost, {}
        if not lost:
            return {}
        # Looked for once: what is found and lost again is nowhere.
        looked = [digest for digest in lost if digest not in self._looked]
        self._looked.update(looked)
        found = set(self._here.shelf.locate(looked))
        if not self._dry and len(found) < len(looked):
            found |= set(self._there.shelf.locate([digest for digest in looked if digest not in found]))
        for digest, met in lost.items():
            if digest not in found:
                self.nowhere.add(digest)
                self._break(digest, met)
        return {digest: met for digest, met in lost.items() if digest in found}

    def _break(self, digest: bytes, met: _Met) -> None:
        self._broken.add(digest)
        self._broken.update(met.parents)


def stored_size(items: Iterable[tuple[bytes, Place]]) -> int:
    """Bytes that records take where they lie."""
    return sum(place.stored for _digest, place in items)
