"""What differs between two versions, file by file."""

from collections import defaultdict

import msgspec

from charkh.core.files import FileRef, TreeChange
from charkh.datasets.dataset import DatasetVersion
from charkh.ports.store import Store


class FileAtPath(msgspec.Struct, frozen=True, kw_only=True):
    """A file that only one of the versions has at its path."""

    path: str
    file: FileRef


class RenamedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A content that one version has at the path `old` and the other at the path `new`."""

    old: str
    new: str
    file: FileRef


class ChangedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A path that has another content."""

    path: str
    old: FileRef
    new: FileRef


class FilesDiff(msgspec.Struct, frozen=True, kw_only=True):
    """The paths that differ, each list in path order.

    Attributes:
        added: paths that only the new version has, with a content that no removed path had.
        removed: paths that only the old version has.
        changed: paths of both with another content.
        renamed: the same content at another path.
    """

    added: tuple[FileAtPath, ...] = ()
    removed: tuple[FileAtPath, ...] = ()
    changed: tuple[ChangedFile, ...] = ()
    renamed: tuple[RenamedFile, ...] = ()

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.added or self.removed or self.changed or self.renamed)


def diff_files(store: Store, old: DatasetVersion, new: DatasetVersion) -> FilesDiff:
    """The files that differ between two versions, of one dataset or of two; equal parts are not read.

    Raises:
        NotFound: the tree of one of them is not here.
    """
    changes = list(store.vault.compare(old.made.tree.root, new.made.tree.root))
    changed = tuple(
        ChangedFile(path=change.path, old=change.old, new=change.new)
        for change in changes
        if change.old is not None and change.new is not None and change.old.digest != change.new.digest
    )
    renamed = _renamed(changes)
    gone, come = {each.old for each in renamed}, {each.new for each in renamed}
    return FilesDiff(
        added=tuple(
            FileAtPath(path=change.path, file=change.new)
            for change in changes
            if change.old is None and change.new is not None and change.path not in come
        ),
        removed=tuple(
            FileAtPath(path=change.path, file=change.old)
            for change in changes
            if change.new is None and change.old is not None and change.path not in gone
        ),
        changed=changed,
        renamed=renamed,
    )


def _renamed(changes: list[TreeChange]) -> tuple[RenamedFile, ...]:
    """Pair removed and added paths of one content, in path order; empty files say nothing about each other."""
    removed: defaultdict[str, list[str]] = defaultdict(list)
    for change in changes:
        if change.new is None and change.old is not None and change.old.size:
            removed[change.old.digest].append(change.path)
    pairs: list[RenamedFile] = []
    for change in changes:
        if change.old is None and change.new is not None and removed.get(change.new.digest):
            pairs.append(RenamedFile(old=removed[change.new.digest].pop(0), new=change.path, file=change.new))
    return tuple(pairs)
