"""Every content that a store still has a name for: whose it is, and how it is read as a table.

A tree is walked once however many versions share it, so a dataset of a thousand versions costs what is in it, not a
thousand times that. Contents are met as they are shown now: what was erased before is met as what stands in its place.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from charkh.assets.erasures import replacement
from charkh.assets.nodes import LIST_CHILD, LIST_ITEM, ListBranch, ListLeaf, Node, TreeBranch, TreeLeaf
from charkh.assets.pack import NODE
from charkh.core.errors import Corrupt, NotFound
from charkh.core.files import FileRef
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.formats import format_of
from charkh.datasets.index import DatasetById
from charkh.lineage.index import EveryHold
from charkh.workspace.workspace import Workspace


class Held(NamedTuple):
    """A content that something holds.

    Attributes:
        file: as it is shown; without a digest where nobody says it, which is so for a chunk list that is held itself.
        path: the first path under which it was met; empty where it is held itself.
        versions: one dataset version for each way in which it is read as a table.
    """

    file: FileRef
    path: str
    versions: tuple[DatasetVersion, ...]


class Use(NamedTuple):
    """Where a content stands: the subject that holds it, and its path there, or empty."""

    subject: str
    path: str


class Holdings:
    """What the subjects of a store hold, those that were dropped among them, as far as it is here.

    Args:
        workspace: whose store.
        names: only versions of these datasets; everything by default.

    Attributes:
        contents: by digest that holds it (`FileRef.held`), each content once.
        missing: digests that something holds and that are not here or damaged.
    """

    def __init__(self, workspace: Workspace, names: Iterable[str] = ()) -> None:
        self._vault = workspace.vault
        self._erased = workspace.vault.erased.now()
        self._wanted = frozenset(names)
        self._store = workspace.store
        self._seen: set[tuple[bytes, tuple[object, ...]]] = set()
        self._roots: dict[str, list[str]] = {}
        self.contents: dict[str, Held] = {}
        self.missing: set[str] = set()
        self._known: frozenset[tuple[str, str]] = frozenset()
        self.look()

    def look(self) -> set[str]:
        """Meet what is held by now; the contents that were not met before."""
        before = set(self.contents)
        holds = frozenset(self._store.queries.ask(EveryHold()))
        new = sorted(holds - self._known)
        self._known = holds
        for subject, digest in new:
            version = self._version(subject)
            if self._wanted and (version is None or version.made.name not in self._wanted):
                continue
            self._roots.setdefault(digest, []).append(subject)
            self._meet(digest, version)
        return self.contents.keys() - before

    def users(self, contents: Iterable[str]) -> dict[str, list[Use]]:
        """By content, where it stands."""
        wanted = set(contents)
        found: dict[str, list[Use]] = {held: [] for held in wanted}
        memory: dict[bytes, tuple[tuple[str, str], ...]] = {}
        for root, subjects in self._roots.items():
            digest = replacement(bytes.fromhex(root), self._erased)
            for path, held in self._below(digest, wanted, memory) if digest else ():
                found[held] += [Use(subject, path) for subject in subjects]
        return found

    def _version(self, subject: str) -> DatasetVersion | None:
        noun, _, identifier = subject.partition(":")
        return self._store.queries.ask(DatasetById(version=identifier)) if noun == "dataset" else None

    def _meet(self, root: str, version: DatasetVersion | None) -> None:
        way = _way(version)
        waiting = [replacement(bytes.fromhex(root), self._erased)]
        while waiting:
            digest = waiting.pop()
            if not digest or (digest, way) in self._seen:
                continue
            self._seen.add((digest, way))
            node = self._load(digest)
            if isinstance(node, TreeLeaf):
                for entry in node.entries:
                    self._add(self._vault.erased.current(entry.file), entry.path, version)
            elif isinstance(node, TreeBranch):
                waiting += [bytes.fromhex(child.digest) for child in node.children]
            elif node is not None:
                self._add(FileRef("", _length(node), digest.hex()), "", None)
            elif (place := self._vault.shelf.locate([digest]).get(digest)) is not None and place.kind != NODE:
                self._add(FileRef(digest.hex(), place.raw), "", None)
            else:
                self.missing.add(digest.hex())

    def _add(self, file: FileRef, path: str, version: DatasetVersion | None) -> None:
        known = self.contents.get(file.held)
        reads = version is not None and version.made.kind == "table" and format_of(path) is not None
        versions = (version,) if version is not None and reads else ()
        if known is None:
            self.contents[file.held] = Held(file, path, versions)
            return
        # A tree says the digest of a whole content, and its name; who holds its list alone does not.
        self.contents[file.held] = Held(
            file if not known.file.digest else known.file, known.path or path, (*known.versions, *versions)
        )

    def _load(self, digest: bytes) -> Node | None:
        place = self._vault.shelf.locate([digest]).get(digest)
        if place is None or place.kind != NODE:
            return None
        try:
            return self._vault.load_node(digest)
        except (Corrupt, NotFound):
            return None

    def _below(
        self, digest: bytes, wanted: set[str], memory: dict[bytes, tuple[tuple[str, str], ...]]
    ) -> tuple[tuple[str, str], ...]:
        """The wanted contents below a node, with their paths."""
        known = memory.get(digest)
        if known is None:
            node = self._load(digest)
            if isinstance(node, TreeBranch):
                found = [pair for child in node.children for pair in self._child(child.digest, wanted, memory)]
            elif isinstance(node, TreeLeaf):
                shown = [(entry.path, self._vault.erased.current(entry.file).held) for entry in node.entries]
                found = [(path, held) for path, held in shown if held in wanted]
            else:
                found = [("", digest.hex())] if digest.hex() in wanted else []
            known = memory[digest] = tuple(found)
        return known

    def _child(
        self, digest: str, wanted: set[str], memory: dict[bytes, tuple[tuple[str, str], ...]]
    ) -> Iterator[tuple[str, str]]:
        yield from self._below(bytes.fromhex(digest), wanted, memory)


def rows_by_version(users: Mapping[str, list[Use]], rows: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """By dataset version's subject, how many rows and files of it the contents with so many rows are."""
    found: dict[str, tuple[int, int]] = {}
    for held, uses in users.items():
        for use in uses:
            if use.subject.startswith("dataset:") and rows.get(held):
                before = found.get(use.subject, (0, 0))
                found[use.subject] = (before[0] + rows[held], before[1] + 1)
    return found


def _way(version: DatasetVersion | None) -> tuple[object, ...]:
    """What tells two ways of reading a table apart."""
    if version is None or version.made.kind != "table":
        return ()
    return (version.made.reading, version.made.schema)


def _length(node: ListLeaf | ListBranch) -> int:
    if isinstance(node, ListLeaf):
        return sum(length for _digest, length in LIST_ITEM.iter_unpack(node.chunks))
    return sum(length for _digest, length in LIST_CHILD.iter_unpack(node.children))
