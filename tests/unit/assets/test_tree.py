"""Trees and chunk lists: sets with equal roots, few nodes for an edit, and comparisons that read little."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.assets.nodes import (
    LIST_CHILD,
    LIST_ITEM,
    ChunkSpan,
    ListBranch,
    ListLeaf,
    Node,
    TreeBranch,
    TreeChild,
    TreeLeaf,
    children_of,
    decode_node,
    encode_node,
    list_chunks,
    put_list,
)
from charkh.assets.pack import NODE, record_digest
from charkh.assets.tree import put_tree, tree_entries, tree_leaves
from charkh.assets.tree_diff import compare_trees
from charkh.core.digests import digest_of
from charkh.core.errors import Corrupt, Invalid
from charkh.core.files import FileRef, TreeChange, TreeEntry, TreeRef
from charkh.core.refs import parse_path


class Nodes:
    """Nodes in memory that count what is stored and what is read."""

    def __init__(self) -> None:
        self.stored: dict[bytes, bytes] = {}
        self.loaded: list[bytes] = []

    def put(self, data: bytes, squeeze: bool) -> bytes:
        digest = record_digest(NODE, data)
        self.stored[digest] = data
        return digest

    def load(self, digest: bytes) -> Node:
        self.loaded.append(digest)
        return decode_node(self.stored[digest], digest)


def entry(path: str, content: int = 0, executable: bool = False) -> TreeEntry:
    return TreeEntry(path, FileRef(digest_of(b"%d" % content), content), executable)


def numbered(count: int) -> dict[str, TreeEntry]:
    return {path: entry(path, number) for number in range(count) for path in [f"dir{number % 31:02}/{number:06}.bin"]}


PATHS = st.text("ab/éx. ", min_size=1, max_size=8).filter(lambda path: _is_path(path))
TREES = st.dictionaries(PATHS, st.tuples(st.integers(0, 3), st.booleans()), max_size=30).map(
    lambda files: {path: rest for path, rest in files.items() if not any(each.startswith(f"{path}/") for each in files)}
)


def _is_path(path: str) -> bool:
    try:
        return parse_path(path) == path
    except Invalid:
        return False


def tree_of(files: dict[str, tuple[int, bool]], nodes: Nodes) -> tuple[dict[str, TreeEntry], TreeRef]:
    entries = {path: entry(path, *rest) for path, rest in files.items()}
    return entries, put_tree(entries.values(), nodes.put)


@given(TREES, st.randoms())
def test_a_tree_is_a_function_of_the_set(files: dict[str, tuple[int, bool]], chance: object) -> None:
    nodes = Nodes()
    entries, tree = tree_of(files, nodes)
    shuffled = list(entries.values())
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert put_tree(shuffled, nodes.put) == tree
    assert [item.path for item in tree_entries(bytes.fromhex(tree.root), nodes.load)] == sorted(files)
    assert (tree.files, tree.size) == (len(files), sum(content for content, _ in files.values()))


@given(TREES, TREES)
def test_compare_is_the_difference_of_two_sets(
    old: dict[str, tuple[int, bool]], new: dict[str, tuple[int, bool]]
) -> None:
    nodes = Nodes()
    before, old_tree = tree_of(old, nodes)
    after, new_tree = tree_of(new, nodes)
    assert list(compare_trees(old_tree.root, new_tree.root, nodes.load)) == difference(before, after)


@settings(max_examples=30)
@given(st.integers(0, 3000), st.sets(st.integers(0, 2999), max_size=10), st.sets(st.integers(0, 5000), max_size=10))
def test_compare_large_trees(count: int, removed: set[int], added: set[int]) -> None:
    nodes = Nodes()
    before = numbered(count)
    after = {path: item for number, (path, item) in enumerate(before.items()) if number not in removed}
    after |= {f"dir05/new{number}": entry(f"dir05/new{number}") for number in added}
    old, new = put_tree(before.values(), nodes.put), put_tree(after.values(), nodes.put)
    assert list(compare_trees(old.root, new.root, nodes.load)) == difference(before, after)
    assert list(compare_trees(new.root, old.root, nodes.load)) == difference(after, before)


def difference(before: dict[str, TreeEntry], after: dict[str, TreeEntry]) -> list[TreeChange]:
    return [
        TreeChange(path, before[path].file if path in before else None, after[path].file if path in after else None)
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


@pytest.mark.parametrize("edit", ["change", "add", "remove"])
def test_an_edit_in_a_large_tree_stores_and_reads_few_nodes(edit: str) -> None:
    nodes = Nodes()
    files = numbered(50_000)
    old = put_tree(files.values(), nodes.put)
    known, before = set(nodes.stored), sum(map(len, nodes.stored.values()))
    path = "dir07/040000.bin" if edit == "add" else sorted(files)[30_000]
    if edit == "remove":
        del files[path]
    else:
        files[path] = entry(path, -1)
    new = put_tree(files.values(), nodes.put)
    stored = [data for digest, data in nodes.stored.items() if digest not in known]
    assert len(stored) <= 8
    assert sum(map(len, stored)) < before / 50
    nodes.loaded.clear()
    assert [change.path for change in compare_trees(old.root, new.root, nodes.load)] == [path]
    assert len(nodes.loaded) <= 14


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 1000)), min_size=1, max_size=3000), st.data())
def test_a_chunk_list_gives_its_chunks_from_anywhere(items: list[tuple[int, int]], data: st.DataObject) -> None:
    nodes = Nodes()
    spans = [ChunkSpan(bytes.fromhex(digest_of(b"%d" % which)), length) for which, length in items]
    root, size = put_list(spans, nodes.put), sum(span.length for span in spans)
    assert [span for _begin, leaf in list_chunks(root, size, nodes.load) for span in leaf] == spans
    start = data.draw(st.integers(0, size - 1))
    begin, leaf = next(list_chunks(root, size, nodes.load, start))
    assert begin <= start < begin + sum(span.length for span in leaf)


def test_an_edit_in_a_large_chunk_list_stores_few_nodes() -> None:
    nodes = Nodes()
    spans = [ChunkSpan(bytes.fromhex(digest_of(b"%d" % number)), 16_384) for number in range(65_536)]
    put_list(spans, nodes.put)
    before, known = sum(map(len, nodes.stored.values())), set(nodes.stored)
    put_list([*spans, ChunkSpan(bytes(32), 1)], nodes.put)
    assert sum(len(data) for digest, data in nodes.stored.items() if digest not in known) < before / 20


def test_runs_end_even_where_no_digest_says_so() -> None:
    nodes = Nodes()
    spans = [ChunkSpan(b"\xff" * 32, 1)] * 10_000
    root = put_list(spans, nodes.put)
    assert sum(len(leaf) for _begin, leaf in list_chunks(root, 10_000, nodes.load)) == 10_000
    assert max(map(len, nodes.stored.values())) < 100_000


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "a/./b", "a//b", "a\\b", "a/", "."])
def test_a_tree_that_somebody_else_wrote_cannot_climb(path: str) -> None:
    nodes = Nodes()
    root = nodes.put(encode_node(TreeLeaf((entry(path),))), False)
    with pytest.raises(Corrupt):
        list(tree_entries(root, nodes.load))
    with pytest.raises(Corrupt):
        list(compare_trees(root.hex(), put_tree([], nodes.put).root, nodes.load))


def test_a_file_is_no_tree_and_a_tree_no_file() -> None:
    nodes = Nodes()
    chunk_list = put_list([ChunkSpan(bytes(32), 1)] * 2, nodes.put)
    tree = put_tree([entry("a")], nodes.put)
    with pytest.raises(Corrupt):
        list(tree_entries(chunk_list, nodes.load))
    with pytest.raises(Corrupt):
        list(compare_trees(chunk_list.hex(), tree.root, nodes.load))
    with pytest.raises(Corrupt):
        list(list_chunks(bytes.fromhex(tree.root), 2, nodes.load))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00", msgspec.msgpack.encode([9, []]), msgspec.msgpack.encode([3, b"short"]), b"\xff" * 40],
)
def test_bytes_that_are_no_node(data: bytes) -> None:
    with pytest.raises(Corrupt):
        decode_node(data, bytes(32))


def test_children_say_whether_they_are_nodes() -> None:
    small, large = FileRef("1" * 64, 1), FileRef("2" * 64, 9, "3" * 64)
    leaf = TreeLeaf((TreeEntry("a", small), TreeEntry("b", large)))
    assert [(child.digest.hex()[0], child.is_node) for child in children_of(leaf)] == [("1", False), ("3", True)]
    branch = TreeBranch(1, (TreeChild("4" * 64, "a", 1, 1),))
    assert [(child.digest.hex()[0], child.is_node) for child in children_of(branch)] == [("4", True)]
    chunks = ListLeaf(LIST_ITEM.pack(bytes.fromhex("5" * 64), 7))
    assert [(child.digest.hex()[0], child.is_node) for child in children_of(chunks)] == [("5", False)]


def test_a_path_in_another_form_is_refused() -> None:
    put: Callable[[bytes, bool], bytes] = Nodes().put
    assert put_tree([entry("caf\u00e9")], put).files == 1
    with pytest.raises(Invalid):
        put_tree([entry("cafe\u0301")], put)


def test_one_path_is_not_a_file_and_a_folder() -> None:
    nodes = Nodes()
    with pytest.raises(Invalid, match="is a file and the folder"):
        put_tree([entry("a/b"), entry("a/b-c"), entry("a/b/c/d")], nodes.put)
    assert put_tree([entry("a/b"), entry("a/b-c/d"), entry("a/bc")], nodes.put).files == 3


def test_a_path_in_another_normal_form_is_read_and_never_written() -> None:
    # What NFC is may change with a later Unicode; a tree that was right when it was written must stay readable.
    nodes = Nodes()
    decomposed = "cafe\u0301.txt"
    root = nodes.put(encode_node(TreeLeaf((entry(decomposed),))), False)
    assert [item.path for item in tree_entries(root, nodes.load)] == [decomposed]
    with pytest.raises(Invalid, match="canonical"):
        put_tree([entry(decomposed)], nodes.put)


@pytest.mark.parametrize("paths", [["a", "a"], ["b", "a"]])
def test_a_leaf_out_of_order_is_refused(paths: list[str]) -> None:
    nodes = Nodes()
    root = nodes.put(encode_node(TreeLeaf(tuple(entry(path) for path in paths))), False)
    with pytest.raises(Corrupt, match="may hold there"):
        list(tree_entries(root, nodes.load))
    with pytest.raises(Corrupt, match="may hold there"):
        list(compare_trees(root.hex(), put_tree([], nodes.put).root, nodes.load))


@pytest.mark.parametrize("leaf", [TreeLeaf(()), TreeLeaf((entry("a", 1),))])
def test_few_nodes_cannot_name_endlessly_many_files(leaf: TreeLeaf) -> None:
    """Forty levels of branches that name the level below them twice: 2**40 leaves."""
    nodes = Nodes()
    files = len(leaf.entries)
    below = TreeChild(nodes.put(encode_node(leaf), False).hex(), "a" if files else "", max(1, files), files)
    for level in range(1, 41):
        branch = TreeBranch(level, (below, below))
        digest = nodes.put(encode_node(branch), False).hex()
        below = TreeChild(digest, below.first, 2 * below.files, 2 * below.size)
    with pytest.raises(Corrupt):
        list(tree_entries(bytes.fromhex(below.digest), nodes.load))
    with pytest.raises(Corrupt):
        list(compare_trees(below.digest, put_tree([], nodes.put).root, nodes.load))
    assert len(nodes.loaded) < 200


def test_few_nodes_cannot_name_more_chunks_than_the_content_is_long() -> None:
    nodes = Nodes()
    below, length = nodes.put(encode_node(ListLeaf(LIST_ITEM.pack(bytes(32), 1))), False), 1
    for level in range(1, 41):
        data = LIST_CHILD.pack(below, length) * 2
        below, length = nodes.put(encode_node(ListBranch(level, data)), False), 2 * length
    with pytest.raises(Corrupt, match="said above"):
        list(list_chunks(below, 1000, nodes.load))
    assert len(nodes.loaded) == 1


@pytest.mark.parametrize(
    "node",
    [
        ListLeaf(b""),
        ListLeaf(LIST_ITEM.pack(bytes(32), 0)),
        ListBranch(1, b""),
        ListBranch(1, LIST_CHILD.pack(bytes(32), 0)),
        TreeBranch(1, ()),
        TreeBranch(1, (TreeChild("4" * 64, "a", 0, 0),)),
    ],
)
def test_a_node_with_nothing_below_an_item_is_refused(node: Node) -> None:
    with pytest.raises(Corrupt):
        decode_node(encode_node(node), bytes(32))


@pytest.mark.parametrize("said", [("b", 1, 1), ("a", 2, 1), ("a", 1, 2)])
def test_a_child_that_is_not_what_its_branch_says_is_refused(said: tuple[str, int, int]) -> None:
    nodes = Nodes()
    leaf = nodes.put(encode_node(TreeLeaf((entry("a", 1),))), False).hex()
    root = nodes.put(encode_node(TreeBranch(1, (TreeChild(leaf, *said),))), False)
    with pytest.raises(Corrupt, match="said above"):
        list(tree_entries(root, nodes.load))


def test_one_content_cut_in_two_ways_is_one_content() -> None:
    nodes = Nodes()
    one, other = (TreeEntry("a", FileRef("1" * 64, 9, root * 64)) for root in ("2", "3"))
    assert list(compare_trees(put_tree([one], nodes.put).root, put_tree([other], nodes.put).root, nodes.load)) == []


@settings(max_examples=30)
@given(st.integers(0, 1500), st.sets(st.integers(0, 1499), max_size=5), st.sets(st.integers(0, 3000), max_size=5))
def test_a_tree_like_another_stores_what_changed(count: int, removed: set[int], added: set[int]) -> None:
    nodes = Nodes()
    files = numbered(count)
    old = put_tree(files.values(), nodes.put)
    after = {path: item for number, (path, item) in enumerate(files.items()) if number not in removed}
    after |= {f"more/{number}": entry(f"more/{number}", number) for number in added}
    stored: list[bytes] = []

    def put(data: bytes, squeeze: bool) -> bytes:
        stored.append(data)
        return nodes.put(data, squeeze)

    ordered = sorted(after.values(), key=lambda item: item.path)
    leaves = tree_leaves(bytes.fromhex(old.root), nodes.load)
    tree = put_tree(iter(ordered), put, ordered=True, like=leaves, keep=lambda _digest: True)
    assert tree == put_tree(ordered, nodes.put)
    assert len(stored) <= 6 * (len(removed) + len(added) + 1)
    # What is not here any more is stored again.
    leaves = tree_leaves(bytes.fromhex(old.root), nodes.load)
    assert put_tree(ordered, put, like=leaves, keep=lambda _digest: False) == tree


def test_a_file_and_a_folder_of_one_name_are_found_wherever_the_leaves_end() -> None:
    nodes = Nodes()
    between = [entry(f"a-{number:05}") for number in range(600)]
    old = put_tree(between, nodes.put)
    leaves = tree_leaves(bytes.fromhex(old.root), nodes.load)
    with pytest.raises(Invalid, match="'a' is a file and the folder"):
        put_tree([entry("a"), *between, entry("a/b")], nodes.put, like=leaves, keep=lambda _digest: True)
