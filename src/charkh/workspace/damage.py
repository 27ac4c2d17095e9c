"""What damage means: which versions, models and runs cannot be read whole for want of some bytes, and which files."""

from collections.abc import Iterable

import msgspec

from charkh.assets.erasures import replacement
from charkh.assets.nodes import ListBranch, ListLeaf, Node, TreeBranch, TreeLeaf, children_of
from charkh.assets.pack import NODE
from charkh.core.errors import Corrupt, NotFound
from charkh.lineage.index import Holds
from charkh.ports.projections import Describe
from charkh.workspace.workspace import Workspace

MAX_FILES = 20
"""Files that are named for one holder."""
WHOLE = "*"
"""Stands for every file below a node that is lost: nobody can say which they were."""


class Affected(msgspec.Struct, frozen=True, kw_only=True):
    """Something that cannot be read whole.

    Attributes:
        subject: `noun:id`.
        title: how its noun calls it, such as `flights@3`.
        files: the first of its files that are concerned; empty where it holds a single content, `*` where a part of
            its tree is lost.
        count: how many files are concerned.
    """

    subject: str
    title: str
    files: tuple[str, ...]
    count: int


class Damaged(msgspec.Struct, frozen=True, kw_only=True):
    """A content that is not whole: its digest where a tree says it, and where it stands."""

    digest: str
    path: str


class Damage:
    """What the absence of some chunks and nodes comes to.

    Args:
        workspace: whose store.
        gone: digests of chunks and nodes that are missing or damaged.
    """

    def __init__(self, workspace: Workspace, gone: Iterable[str]) -> None:
        self._workspace = workspace
        self._vault = workspace.vault
        self._gone = {bytes.fromhex(digest) for digest in gone}
        self._erased = workspace.vault.erased.now()
        self._below: dict[bytes, frozenset[Damaged]] = {}

    def affected(self) -> tuple[Affected, ...]:
        """Every holder that cannot be read whole, by its title."""
        if not self._gone:
            return ()
        found: list[Affected] = []
        for subject, root in self._workspace.store.queries.ask(Holds()):
            damaged = self._of(replacement(bytes.fromhex(root), self._erased))
            if damaged:
                files = sorted({each.path for each in damaged} - {""})
                found.append(
                    Affected(
                        subject=subject, title=self._title(subject), files=tuple(files[:MAX_FILES]), count=len(files)
                    )
                )
        return tuple(sorted(found, key=lambda each: (each.title, each.subject)))

    def contents(self) -> tuple[Damaged, ...]:
        """The files that trees name and that are not whole."""
        for _subject, root in self._workspace.store.queries.ask(Holds()) if self._gone else ():
            self._of(replacement(bytes.fromhex(root), self._erased))
        every = {each for some in self._below.values() for each in some if each.digest}
        return tuple(sorted(every, key=lambda each: (each.path, each.digest)))

    def _title(self, subject: str) -> str:
        description = self._workspace.store.queries.ask(Describe(subject=subject))
        return subject if description is None else description.title

    def _of(self, digest: bytes) -> frozenset[Damaged]:
        known = self._below.get(digest)
        if known is None:
            # Before it is known, so that a node that names itself ends here.
            self._below[digest] = frozenset()
            known = self._below[digest] = self._look(digest)
        return known

    def _look(self, digest: bytes) -> frozenset[Damaged]:
        if not digest:
            return frozenset()
        if digest in self._gone:
            return frozenset({Damaged(digest="", path=WHOLE)})
        node = self._load(digest)
        if isinstance(node, TreeLeaf):
            files = [(entry.path, self._vault.erased.current(entry.file)) for entry in node.entries]
            return frozenset(
                Damaged(digest=file.digest, path=path) for path, file in files if self._of(bytes.fromhex(file.held))
            )
        if isinstance(node, TreeBranch):
            return frozenset(each for child in node.children for each in self._of(bytes.fromhex(child.digest)))
        if isinstance(node, ListLeaf | ListBranch):
            below = [replacement(named.digest, self._erased) for named in children_of(node)]
            if any(self._of(each) if isinstance(node, ListBranch) else each in self._gone for each in below):
                return frozenset({Damaged(digest="", path="")})
        return frozenset()

    def _load(self, digest: bytes) -> Node | None:
        place = self._vault.shelf.locate([digest]).get(digest)
        if place is None or place.kind != NODE:
            return None
        try:
            return self._vault.load_node(digest)
        except (Corrupt, NotFound):
            return None
