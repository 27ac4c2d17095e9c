"""Trees: a set of files sorted by path, stored as nodes of which an edit changes few."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from operator import attrgetter

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


def put_tree(entries: Iterable[TreeEntry], put: PutNode) -> TreeRef:
    """Store the set of entries.

    Raises:
        Invalid: a path stands twice, or cannot be kept.
    """
    ordered = sorted(entries, key=_by_path)
    for entry in ordered:
        if not _is_canonical(entry.path):
            parse_path(entry.path)
            raise Invalid(
                f"{entry.path!r} is not in its canonical form",
                code="path.invalid",
                hint="Write it as charkh.core.refs.parse_path gives it.",
            )
    for before, after in pairwise(ordered):
        if before.path == after.path:
            raise Invalid(
                f"{after.path!r} stands twice in the tree",
                code="tree.duplicate_path",
                hint="Give each file a path of its own.",
            )
    _refuse_file_as_folder(ordered)
    level = [_put_leaf(run, put) for run in runs(ordered, lambda entry: path_ends_run(entry.path), 1)]
    if not level:
        level = [_put_leaf([], put)]
    height = 1
    while len(level) > 1:
        groups = runs(level, lambda child: int(child.digest[:2], 16) & TREE_MASK == 0, 2)
        level, height = [_put_branch(height, run, put) for run in groups], height + 1
    return TreeRef(level[0].digest, level[0].files, level[0].size)


def tree_entries(root: bytes, load: Callable[[bytes], Node]) -> Iterator[TreeEntry]:
    """The entries of a tree in path order.

    Raises:
        Corrupt: a node is not that of a tree, holds a path that climbs or stands out of order, or has other files
            below it than is said above; so whoever wrote it, no path is met twice.
    """
    waiting = [whole_tree(root.hex())]
    last = ""
    while waiting:
        child = waiting.pop()
        node = open_node(child, load)
        if isinstance(node, TreeLeaf):
            yield from checked_entries(node, child.digest, last)
            last = node.entries[-1].path if node.entries else last
        else:
            waiting.extend(reversed(node.children))


def _refuse_file_as_folder(ordered: Sequence[TreeEntry]) -> None:
    """No file may have the path of a folder that other files are in: nobody could check them out together."""
    files = {entry.path for entry in ordered}
    known = ""
    for entry in ordered:
        folder = entry.path.rpartition("/")[0]
        if folder == known:
            continue
        known = folder
        while folder:
            if folder in files:
                raise Invalid(
                    f"{folder!r} is a file and the folder of {entry.path!r}",
                    code="tree.file_as_folder",
                    hint="Rename one of them: nobody could check both out.",
                )
            folder = folder.rpartition("/")[0]


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
    first = run[0].path if run else ""
    return TreeChild(digest.hex(), first, len(run), sum(entry.file.size for entry in run))


def _put_branch(level: int, run: list[TreeChild], put: PutNode) -> TreeChild:
    digest = put(encode_node(TreeBranch(level, tuple(run))), True)
    files, size = sum(child.files for child in run), sum(child.size for child in run)
    return TreeChild(digest.hex(), run[0].first, files, size)
