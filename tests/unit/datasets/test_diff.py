"""Differences between versions, file by file."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from charkh.core.files import TreeEntry
from charkh.datasets.add import add_files
from charkh.datasets.dataset import Batch, DatasetVersion, VersionMade
from charkh.datasets.diff import FilesDiff, diff_files
from charkh.datasets.index import PROJECTION
from charkh.ports.store import Store
from charkh.testing.stores import memory_store


def version_of(store: Store, files: dict[str, bytes]) -> DatasetVersion:
    tree = store.vault.put_tree([TreeEntry(path, store.vault.put_bytes(data)) for path, data in files.items()])
    made = VersionMade(name="x", version="", number=0, tree=tree, kind="files", batch=Batch(id="", files=0, size=0))
    return DatasetVersion(made=made, actor="ann@laptop", created=0.0, stamp="")


def test_the_four_ways_to_differ(tmp_path: Path) -> None:
    store = memory_store(PROJECTION)
    old = version_of(store, {"a": b"1", "b": b"2", "c": b"3", "d": b"4", "e": b"", "same": b"s"})
    new = version_of(store, {"a": b"!", "b2": b"2", "z": b"3", "n": b"9", "f": b"", "same": b"s"})
    diff = diff_files(store, old, new)
    assert [each.path for each in diff.added] == ["f", "n"]
    assert [each.path for each in diff.removed] == ["d", "e"]
    assert [each.path for each in diff.changed] == ["a"]
    assert [(each.old, each.new) for each in diff.renamed] == [("b", "b2"), ("c", "z")]
    assert not diff.same
    assert diff_files(store, old, old) == FilesDiff()
    assert FilesDiff().same


def test_real_versions(tmp_path: Path) -> None:
    store = memory_store(PROJECTION)
    (tmp_path / "a.csv").write_text("x\n1\n")
    old = add_files(store, "x", [tmp_path])
    (tmp_path / "b.csv").write_text("x\n2\n")
    diff = diff_files(store, old, add_files(store, "x", [tmp_path]))
    assert [(each.path, each.file.size) for each in diff.added] == [("b.csv", 4)]


TREES = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([b"", b"1", b"2", b"3"]))


@given(TREES, TREES)
def test_the_diff_leads_from_one_tree_to_the_other(old: dict[str, bytes], new: dict[str, bytes]) -> None:
    store = memory_store(PROJECTION)
    diff = diff_files(store, version_of(store, old), version_of(store, new))
    content = {store.vault.put_bytes(data).digest: data for data in [*old.values(), *new.values()]}
    built = dict(old)
    for removed in diff.removed:
        assert content[removed.file.digest] == built.pop(removed.path)
    for renamed in diff.renamed:
        assert renamed.old not in new
        assert renamed.new not in old
    moved = {renamed.new: built.pop(renamed.old) for renamed in diff.renamed}
    for changed in diff.changed:
        assert content[changed.old.digest] == built[changed.path] != content[changed.new.digest]
        built[changed.path] = content[changed.new.digest]
    built |= moved | {added.path: content[added.file.digest] for added in diff.added}
    assert built == new
