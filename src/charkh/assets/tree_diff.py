"""What differs between two trees, without reading what is equal."""

from collections.abc import Callable, Iterator

from charkh.assets.nodes import Node, TreeChild, TreeLeaf
from charkh.assets.tree import checked_entries, open_node, whole_tree
from charkh.core.files import TreeChange, TreeEntry

Head = TreeChild | TreeEntry


class _Cursor:
    """A tree read from the left; nodes stay closed until somebody needs what is in them."""

    def __init__(self, root: str, load: Callable[[bytes], Node]) -> None:
        self._load = load
        self._waiting: list[Head] = [whole_tree(root)]
        self._last = ""

    @property
    def head(self) -> Head | None:
        """The next entry or closed node; None at the end."""
        return self._waiting[-1] if self._waiting else None

    def skip(self) -> None:
        self._waiting.pop()

    def open(self) -> None:
        """Replace the closed node at the head by what is in it."""
        child = self._waiting.pop()
        assert isinstance(child, TreeChild)
        node = open_node(child, self._load)
        if isinstance(node, TreeLeaf):
            entries = checked_entries(node, child.digest, self._last)
            self._last = entries[-1].path if entries else self._last
            self._waiting.extend(reversed(entries))
        else:
            self._waiting.extend(reversed(node.children))


def compare_trees(old: str, new: str, load: Callable[[bytes], Node]) -> Iterator[TreeChange]:
    """The paths whose entries differ, in path order; a node that both trees have is not read.

    A path whose file only became executable, or no longer is, differs too: its old and new content are equal.
    """
    before, after = _Cursor(old, load), _Cursor(new, load)
    while before.head is not None or after.head is not None:
        left, right = before.head, after.head
        if isinstance(left, TreeChild) and isinstance(right, TreeChild):
            _skip_or_open(before, left, after, right)
        elif isinstance(left, TreeChild):
            if isinstance(right, TreeEntry) and right.path < left.first:
                after.skip()
                yield TreeChange(right.path, None, right.file)
            else:
                before.open()
        elif isinstance(right, TreeChild):
            if isinstance(left, TreeEntry) and left.path < right.first:
                before.skip()
                yield TreeChange(left.path, left.file, None)
            else:
                after.open()
        else:
            yield from _step(before, left, after, right)


def _skip_or_open(before: _Cursor, left: TreeChild, after: _Cursor, right: TreeChild) -> None:
    if left.digest == right.digest:
        before.skip()
        after.skip()
    elif left.first < right.first:
        before.open()
    elif right.first < left.first or right.files > left.files:
        after.open()
    else:
        # With equal beginnings the larger is opened: it may hold the smaller as it is.
        before.open()


def _step(before: _Cursor, left: TreeEntry | None, after: _Cursor, right: TreeEntry | None) -> Iterator[TreeChange]:
    if right is None or (left is not None and left.path < right.path):
        assert left is not None
        before.skip()
        yield TreeChange(left.path, left.file, None)
    elif left is None or right.path < left.path:
        after.skip()
        yield TreeChange(right.path, None, right.file)
    else:
        before.skip()
        after.skip()
        # One content that was cut in two ways, and so has two roots, is one content.
        if (left.file.digest, left.executable) != (right.file.digest, right.executable):
            yield TreeChange(left.path, left.file, right.file)
