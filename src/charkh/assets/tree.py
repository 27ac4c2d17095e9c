"""Trees: a set of files sorted by path, stored as nodes of which an edit changes few."""

import re
from collections.abc import Callable, Iterable, Iterator
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
)
from charkh.core.errors import Corrupt, Invalid
from charkh.core.files import TreeEntry, TreeRef
from charkh.core.refs import parse_path

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
        Corrupt: a node is not that of a tree, or holds a path that climbs.
    """
    waiting = [root]
    while waiting:
        digest = waiting.pop()
        node = load(digest)
        if isinstance(node, TreeLeaf):
            yield from checked_entries(node, digest)
        elif isinstance(node, TreeBranch):
            waiting.extend(bytes.fromhex(child.digest) for child in reversed(node.children))
        else:
            raise not_a("tree", digest)


def checked_entries(leaf: TreeLeaf, digest: bytes) -> tuple[TreeEntry, ...]:
    """The entries of a leaf, whoever wrote it: no path in it leads out of the tree."""
    for entry in leaf.entries:
        if not _is_canonical(entry.path):
            raise Corrupt(
                f"the tree node {digest.hex()[:16]} holds a path that no tree may hold: {entry.path[:80]!r}",
                code="asset.bad_node",
                hint="Do not check this tree out: another program wrote it.",
                facts={"digest": digest.hex()},
            )
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
