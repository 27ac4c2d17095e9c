"""Trees: a set of files sorted by path, stored as nodes of which an edit changes few."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from charkh.assets.nodes import (
    TREE_MASK,
    Node,
    PutNode,
    TreeBranch,
    TreeChild,
    TreeLeaf,
    encode_node,
    not_a,
    path_ends_run,
    runs,
    wrong_below,
)
from charkh.core.errors import Corrupt, Invalid
from charkh.core.files import TreeEntry, TreeRef
from charkh.core.refs import is_safe_path, parse_path

# Most paths are plain: the full grammar costs more than reading a small file does.
_PLAIN = re.compile(r"(?!.*(?:^|/)\.{0,2}(?:/|$))[A-Za-z0-9_\-./ ]{1,250}")
_by_path = attrgetter("path")


class Leaf(NamedTuple):
    """A leaf of a tree: what its parent says of it, and its entries."""

    child: TreeChild
    entries: tuple[TreeEntry, ...]


def put_tree(
    entries: Iterable[TreeEntry],
    put: PutNode,
    *,
    ordered: bool = False,
    like: Iterator[Leaf] | None = None,
    keep: Callable[[bytes], bool] = lambda _digest: False,
) -> TreeRef:
    """Store the set of entries.

    Args:
        entries: in any order, unless `ordered` says that they come by path; then few are held at once.
        put: stores a node.
        ordered: they come in path order.
        like: the leaves of a tree that is here and may well have the same ones; they are not encoded again.
        keep: whether a node of that tree is still here, to be relied upon.

    Raises:
        Invalid: a path stands twice, cannot be kept, or is out of the order that was said.
    """
    checked = _in_order(entries if ordered else sorted(entries, key=_by_path))
    level = list(_put_leaves(runs(checked, lambda entry: path_ends_run(entry.path), 1), put, like or iter(()), keep))
    if not level:
        level = [_put_leaf([], put)]
    height = 1
    while len(level) > 1:
        groups = runs(level, lambda child: int(child.digest[:2], 16) & TREE_MASK == 0, 2)
        level, height = [_put_branch(height, run, put) for run in groups], height + 1
    return TreeRef(level[0].digest, level[0].files, level[0].size)


def _put_leaves(
    found: Iterable[list[TreeEntry]], put: PutNode, like: Iterator[Leaf], keep: Callable[[bytes], bool]
) -> Iterator[TreeChild]:
    """Each run as a leaf; one that the other tree has is taken from there."""
    other = next(like, None)
    for run in found:
        first = run[0].path
        while other is not None and other.child.first < first:
            other = next(like, None)
        if other is not None and [*other.entries] == run and keep(bytes.fromhex(other.child.digest)):
            yield other.child
            continue
        for entry in run:
            _refuse_unkeepable(entry.path)
        yield _put_leaf(run, put)


def _refuse_unkeepable(path: str) -> None:
    if not _is_canonical(path):
        parse_path(path)
        raise Invalid(
            f"{path!r} is not in its canonical form",
            code="path.invalid",
            hint="Write it as charkh.core.refs.parse_path gives it.",
        )


def _in_order(entries: Iterable[TreeEntry]) -> Iterator[TreeEntry]:
    """The entries, as long as each stands behind the one before, and none is a file in a place where a folder is."""
    last = ""
    # Paths that the last one begins with: what comes between a file and files below its name begins with it too.
    beginnings: list[str] = []
    for entry in entries:
        path = entry.path
        if path <= last:
            raise _out_of_order(last, path)
        while beginnings and not path.startswith(beginnings[-1]):
            beginnings.pop()
        for file in beginnings:
            if path[len(file)] == "/":
                raise Invalid(
                    f"{file!r} is a file and the folder of {path!r}",
                    code="tree.file_as_folder",
                    hint="Rename one of them: nobody could check both out.",
                )
        beginnings.append(path)
        last = path
        yield entry


def _out_of_order(last: str, path: str) -> Invalid:
    if path == last or not path:
        return Invalid(
            f"{path!r} stands twice in the tree" if path else "'' is not a path charkh can keep",
            code="tree.duplicate_path" if path else "path.invalid",
            hint="Give each file a path of its own.",
        )
    return Invalid(
        f"{path!r} comes behind {last!r}", code="tree.unordered", hint="Give the entries in the order of their paths."
    )


def tree_leaves(root: bytes, load: Callable[[bytes], Node]) -> Iterator[Leaf]:
    """The leaves of a tree in path order, with what is in them.

    Raises:
        Corrupt: as `tree_entries`.
    """
    waiting = [whole_tree(root.hex())]
    last = ""
    while waiting:
        child = waiting.pop()
        node = open_node(child, load)
        if isinstance(node, TreeLeaf):
            entries = checked_entries(node, child.digest, last)
            last = entries[-1].path if entries else last
            yield Leaf(_described(child, entries), entries)
        else:
            waiting.extend(reversed(node.children))


def tree_entries(root: bytes, load: Callable[[bytes], Node]) -> Iterator[TreeEntry]:
    """The entries of a tree in path order.

    Raises:
        Corrupt: a node is not that of a tree, holds a path that climbs or stands out of order, or has other files
            below it than is said above; so whoever wrote it, no path is met twice.
    """
    for leaf in tree_leaves(root, load):
        yield from leaf.entries


def whole_tree(root: str) -> TreeChild:
    """A tree's root as something to open; how many files are below it is not known."""
    return TreeChild(root, "", 0, 0)


def open_node(child: TreeChild, load: Callable[[bytes], Node]) -> TreeLeaf | TreeBranch:
    """A node of a tree, with what its parent says of it.

    Raises:
        Corrupt: it is none of a tree, or its parent says something else.
    """
    digest = bytes.fromhex(child.digest)
    node = load(digest)
    if isinstance(node, TreeLeaf):
        first, files = node.entries[0].path if node.entries else "", len(node.entries)
        size = sum([entry.file.size for entry in node.entries])
    elif isinstance(node, TreeBranch):
        first, files = node.children[0].first, sum([below.files for below in node.children])
        size = sum([below.size for below in node.children])
    else:
        raise not_a("tree", digest)
    if child.files and (first, files, size) != (child.first, child.files, child.size):
        raise wrong_below(digest)
    return node


def checked_entries(leaf: TreeLeaf, digest: str, last: str) -> tuple[TreeEntry, ...]:
    """The entries of a leaf, whoever wrote it: no path leads out of the tree, each stands behind the one before."""
    for entry in leaf.entries:
        path = entry.path
        if not ((_PLAIN.fullmatch(path) and path.count("/") < 32) or is_safe_path(path)) or path <= last:
            raise Corrupt(
                f"the tree node {digest[:16]} holds a path that no tree may hold there: {path[:80]!r}",
                code="asset.bad_node",
                hint="Do not check this tree out: another program wrote it.",
                facts={"digest": digest},
            )
        last = path
    return leaf.entries


def _is_canonical(path: str) -> bool:
    if _PLAIN.fullmatch(path) and path.count("/") < 32:
        return True
    try:
        return parse_path(path) == path
    except Invalid:
        return False


def _put_leaf(run: list[TreeEntry], put: PutNode) -> TreeChild:
    digest = put(encode_node(TreeLeaf(tuple(run))), True)
    return _described(whole_tree(digest.hex()), run)


def _described(child: TreeChild, entries: Sequence[TreeEntry]) -> TreeChild:
    """A leaf as its parent describes it; a tree of one leaf has no parent that does."""
    if child.files or not entries:
        return child
    return TreeChild(child.digest, entries[0].path, len(entries), sum([entry.file.size for entry in entries]))


def _put_branch(level: int, run: list[TreeChild], put: PutNode) -> TreeChild:
    digest = put(encode_node(TreeBranch(level, tuple(run))), True)
    files, size = sum(child.files for child in run), sum(child.size for child in run)
    return TreeChild(digest.hex(), run[0].first, files, size)
