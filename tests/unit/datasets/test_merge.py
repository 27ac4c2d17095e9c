"""Two people change a dataset apart and meet: one version of both, the same for either, conflicts never guessed."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.datasets.test_index import sync, two_stores

from charkh.core.errors import Conflict, Invalid
from charkh.datasets.add import add_files, add_table
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.find import find
from charkh.datasets.index import DatasetVersions
from charkh.datasets.merge import merge
from charkh.datasets.merge_conflicts import Resolutions
from charkh.datasets.read import read_table, scan_table
from charkh.ports.store import Store

Files = dict[str, str]


def added(store: Store, folder: Path, files: Files, **options: Any) -> DatasetVersion:
    place = folder / f"{len(list(folder.iterdir()))}"
    place.mkdir()
    for name, text in files.items():
        (place / name).write_bytes(text.encode())
    return add_files(store, "flights", [place], **options)


def apart(folder: Path, base: Files, ours: Files, theirs: Files) -> tuple[Store, Store]:
    """Ann's store and Bob's, each with `flights@1`, `flights@2~ann` and `flights@2~bob`."""
    ann, bob = two_stores()
    added(ann, folder, base)
    sync(ann, bob)
    added(ann, folder, ours)
    added(bob, folder, theirs)
    sync(ann, bob)
    return ann, bob


def sides(store: Store) -> tuple[DatasetVersion, DatasetVersion]:
    return find(store, "flights@2~ann"), find(store, "flights@2~bob")


def content(store: Store, version: DatasetVersion) -> Files:
    entries = store.vault.entries(version.made.tree.root)
    return {entry.path: b"".join(store.vault.read(entry.file)).decode() for entry in entries}


BASE = {"a.csv": "id,name,price\n1,pen,1.50\n2,cup,4\n3,bag,20.0\n", "b.csv": "id,name,price\n9,hat,7\n"}


def test_cells_of_one_row_are_merged(tmp_path: Path) -> None:
    ours = {**BASE, "a.csv": "id,name,price\n1,pencil,1.50\n2,cup,4\n3,bag,20.0\n4,ink,3\n"}
    theirs = {**BASE, "a.csv": "id,name,price\n1,pen,1.75\n3,bag,20.0\n5,map,6\n"}
    ann, bob = apart(tmp_path, BASE, ours, theirs)
    found = merge(ann, *sides(ann))
    assert (found.outcome, found.key, found.guessed) == ("merged", ("id",), True)
    assert found.base is not None
    assert found.base.ref == "flights@1"
    assert found.version is not None
    made = found.version.made
    assert (made.number, made.rows, made.batch.files, made.batch.rows) == (3, 5, 1, 4)
    assert made.message == "merge of flights@2~ann and flights@2~bob"
    assert set(made.all_parents) == {version.id for version in sides(ann)}
    texts = content(ann, found.version)
    assert texts["b.csv"] == BASE["b.csv"]
    assert sorted(texts["a.csv"].splitlines()) == ["1,pencil,1.75", "3,bag,20.0", "4,ink,3", "5,map,6", "id,name,price"]
    assert find(ann, "flights") == found.version, "there is one newest version again"
    assert read_table(ann, found.version)["price"].to_list()[0] == 1.75
    other = merge(bob, *reversed(sides(bob))).version
    assert other is not None
    assert other.made.tree == made.tree
    assert other.made.schema == made.schema
    assert merge(ann, *sides(ann)).outcome == "there already"


def test_conflicts_are_shown_and_decided(tmp_path: Path) -> None:
    ours = {**BASE, "a.csv": BASE["a.csv"].replace("1,pen,1.50", "1,pen,2").replace("2,cup,4\n", "")}
    theirs = {**BASE, "a.csv": BASE["a.csv"].replace("1,pen,1.50", "1,pen,3").replace("2,cup,4", "2,mug,4")}
    ann, _ = apart(tmp_path, BASE, ours, theirs)
    found = merge(ann, *sides(ann), key=["id"])
    assert (found.outcome, found.version) == ("conflicts", None)
    assert found.conflicts.select("row", "conflict", "column", "base", "ours", "theirs").rows() == [
        ('{"id":"1"}', "cell", "price", "1.50", "2", "3"),
        ('{"id":"2"}', "deleted", "", "", "(not there)", "changed"),
    ]
    assert found.conflicts.row(0)[6:] == ("ann@laptop", "bob@desk", "", "")
    assert len(ann.queries.ask(DatasetVersions(name="flights"))) == 3
    mirrored = merge(ann, *reversed(sides(ann)), key=["id"]).conflicts
    assert mirrored["ours"].to_list() == found.conflicts["theirs"].to_list()
    assert mirrored["ours_by"][0] == "bob@desk"
    lines = found.conflicts.with_columns(take=pl.Series(["value", "theirs"]), value=pl.Series(["2.5", ""]))
    decided = merge(
        ann, *sides(ann), key=["id"], decided=Resolutions(lines.select("row", "conflict", "column", "take", "value"))
    )
    assert decided.version is not None
    lines_now = content(ann, decided.version)["a.csv"].splitlines()
    assert lines_now == ["id,name,price", "1,pen,2.5", "3,bag,20.0", "2,mug,4"]


@pytest.mark.parametrize("take", ["ours", "theirs"])
def test_a_side_decides(tmp_path: Path, take: str) -> None:
    ours, theirs = ({**BASE, "a.csv": BASE["a.csv"].replace("1.50", price)} for price in ("2", "3"))
    ann, _ = apart(tmp_path, BASE, ours, theirs)
    found = merge(ann, *sides(ann), decided=Resolutions(take=take))
    assert found.version is not None
    assert content(ann, found.version) == (ours if take == "ours" else theirs)


def test_two_that_added_the_same_key_to_files_of_their_own(tmp_path: Path) -> None:
    ours = {**BASE, "ann.csv": "id,name,price\n50,a,1\n"}
    theirs = {**BASE, "bob.csv": "id,name,price\n50,b,1\n"}
    ann, _ = apart(tmp_path, BASE, ours, theirs)
    found = merge(ann, *sides(ann), key=["id"])
    assert [row[1:3] for row in found.conflicts.rows()] == [("added", "name")]
    keyless = merge(ann, *sides(ann), key=())
    assert keyless.version is not None
    assert content(ann, keyless.version) == {**ours, **theirs}


def test_files_of_one_side_alone_stay_as_they_are(tmp_path: Path) -> None:
    ours = {"a.csv": BASE["a.csv"] + '7,"quoted",1\n', "b.csv": BASE["b.csv"]}
    theirs = {"a.csv": BASE["a.csv"], "c.csv": "id,name,price\r\n8,x,1\r\n"}
    ann, _ = apart(tmp_path, BASE, ours, theirs)
    found = merge(ann, *sides(ann))
    assert found.version is not None
    assert content(ann, found.version) == {"a.csv": ours["a.csv"], "c.csv": theirs["c.csv"]}
    assert found.version.made.rows == 5


def test_columns_that_each_added(tmp_path: Path) -> None:
    base = {"a.csv": "id,x\n1,2\n2,3\n"}
    ours, theirs = {"a.csv": "id,x,y\n1,2,a\n2,3,b\n"}, {"a.csv": "id,x,z\n1,2,1.5\n2,4,2.5\n"}
    ann, _ = apart(tmp_path, base, ours, theirs)
    found = merge(ann, *sides(ann))
    assert found.version is not None
    assert content(ann, found.version) in (
        {"a.csv": "id,x,y,z\n1,2,a,1.5\n2,4,b,2.5\n"},
        {"a.csv": "id,x,z,y\n1,2,1.5,a\n2,4,2.5,b\n"},
    )
    types = {column.name: column.dtype for column in found.version.made.schema}
    assert types == {"id": "Int64", "x": "Int64", "y": "String", "z": "Float64"}


def test_a_type_that_one_widened(tmp_path: Path) -> None:
    base = {"a.csv": "id,x\n1,2\n2,3\n"}
    ann, _ = apart(tmp_path, base, {"a.csv": "id,x\n1,2\n2,3\n3,4.5\n"}, {"a.csv": "id,x\n1,7\n2,3\n"})
    found = merge(ann, *sides(ann))
    assert found.version is not None
    assert read_table(ann, found.version)["x"].to_list() == [7.0, 3.0, 4.5]


def test_parquet_and_json_lines_are_merged_by_their_types(tmp_path: Path) -> None:
    ann, bob = two_stores()
    table = pl.DataFrame({"id": [1, 2], "tags": [["a"], ["b"]], "n": [1, 2]})
    add_table(ann, "flights", table)
    sync(ann, bob)
    add_table(ann, "flights", table.with_columns(n=pl.col("n") + 0.5))
    add_table(bob, "flights", table.with_columns(tags=pl.Series([["a", "c"], ["b"]])))
    sync(ann, bob)
    found = merge(ann, *sides(ann))
    assert found.version is not None
    merged = read_table(ann, found.version)
    assert merged.rows() == [(1, ["a", "c"], 1.5), (2, ["b"], 2.5)]
    lines = apart(
        tmp_path,
        {"a.jsonl": '{"id":1,"x":1}\n'},
        {"a.jsonl": '{"id":1,"x":1}\n{"id":2,"x":2}\n'},
        {"a.jsonl": '{"id":1,"x":5}\n'},
    )[0]
    both = merge(lines, *sides(lines), key=["id"]).version
    assert both is not None
    assert content(lines, both) == {"a.jsonl": '{"id":1,"x":5}\n{"id":2,"x":2}\n'}


def test_sets_of_files_are_merged_by_path(tmp_path: Path) -> None:
    base = {"a.txt": "a", "b.txt": "b", "c.txt": "c", "d.txt": "d"}
    ours = {"a.txt": "A", "b.txt": "b", "c.txt": "C", "new.txt": "n"}
    theirs = {"a.txt": "a", "b.txt": "B", "c.txt": "CC", "d.txt": "dd", "new.txt": "n"}
    ann, _ = apart(tmp_path, base, ours, theirs)
    found = merge(ann, *sides(ann))
    assert [row[1:3] for row in found.conflicts.rows()] == [("file", "c.txt"), ("file", "d.txt")]
    with pytest.raises(Invalid, match="have no key"):
        merge(ann, *sides(ann), key=["id"])
    taken = merge(ann, *sides(ann), decided=Resolutions(take="theirs")).version
    assert taken is not None
    assert content(ann, taken) == {"a.txt": "A", "b.txt": "B", "c.txt": "CC", "d.txt": "dd", "new.txt": "n"}


def test_with_itself_or_what_it_was_made_from_nothing_is_made(tmp_path: Path) -> None:
    ann, _ = two_stores()
    one = added(ann, tmp_path, {"a.csv": "id\n1\n"})
    two = added(ann, tmp_path, {"a.csv": "id\n1\n2\n"})
    for ours, theirs in ((two, two), (one, two), (two, one)):
        found = merge(ann, ours, theirs)
        assert (found.outcome, found.version) == ("there already", two)
    assert len(ann.queries.ask(DatasetVersions(name="flights"))) == 2


def test_two_that_did_the_same_become_one_version(tmp_path: Path) -> None:
    ann, _ = apart(
        tmp_path,
        BASE,
        {**BASE, "c.csv": BASE["b.csv"].replace("9", "10")},
        {**BASE, "c.csv": BASE["b.csv"].replace("9", "10")},
    )
    found = merge(ann, *sides(ann))
    assert found.version is not None
    assert found.version.made.number == 3
    assert find(ann, "flights") == found.version


def test_a_newer_version_is_not_left_behind(tmp_path: Path) -> None:
    ann, bob = apart(tmp_path, BASE, {**BASE, "c.csv": "id,name,price\n10,x,1\n"}, {"a.csv": BASE["a.csv"]})
    added(bob, tmp_path, {"b.csv": BASE["b.csv"]})
    sync(ann, bob)
    with pytest.raises(Conflict, match="flights@3 is newer"):
        merge(ann, *sides(ann))
    found = merge(ann, find(ann, "flights@3"), sides(ann)[0])
    assert found.version is not None
    assert found.version.made.number == 4


def test_without_a_common_ancestor_a_base_is_named(tmp_path: Path) -> None:
    ann, bob = two_stores()
    added(ann, tmp_path, {"a.csv": "id\n1\n"})
    added(bob, tmp_path, {"a.csv": "id\n2\n"})
    sync(ann, bob)
    ours, theirs = find(ann, "flights@1~ann"), find(ann, "flights@1~bob")
    with pytest.raises(Invalid, match="not made from one version"):
        merge(ann, ours, theirs)
    found = merge(ann, ours, theirs, base=ours, key=["id"]).version
    assert found is not None
    assert scan_table(ann, found).collect()["id"].to_list() == [2]


CELL = st.integers(0, 2)
TABLE = st.dictionaries(st.integers(0, 4), st.tuples(CELL, CELL), min_size=1, max_size=4)


@settings(max_examples=15, deadline=None)
@given(TABLE, TABLE, TABLE, st.booleans())
def test_either_side_makes_the_same_version(
    tmp_path_factory: pytest.TempPathFactory, base: Any, ours: Any, theirs: Any, keyed: bool
) -> None:
    def text(rows: Any) -> Files:
        return {"a.csv": "k,x,y\n" + "".join(f"{k},{x},{y}\n" for k, (x, y) in rows.items())}

    ann, bob = apart(tmp_path_factory.mktemp("x"), text(base), text(ours), text(theirs))
    if text(ours) == text(base) or text(theirs) == text(base):
        return
    mine = merge(ann, *sides(ann), key=["k"] if keyed else ())
    other = merge(bob, *reversed(sides(bob)), key=["k"] if keyed else ())
    assert mine.outcome == other.outcome
    if mine.version is not None and other.version is not None:
        assert mine.version.made.tree == other.version.made.tree
        assert (mine.version.made.rows, mine.version.made.schema) == (
            other.version.made.rows,
            other.version.made.schema,
        )
    else:
        assert mine.conflicts.height == other.conflicts.height > 0
