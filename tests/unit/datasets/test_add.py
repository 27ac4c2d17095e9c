"""Adding files and tables: numbers, batches, provenance, and what is refused."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from charkh.core.errors import Conflict, Invalid, NotFound
from charkh.core.files import FileRef, TreeRef
from charkh.datasets import add, put, put_table, sniff
from charkh.datasets.add import add_files, add_table
from charkh.datasets.dataset import Batch, Column, DatasetVersion, Reading, VersionMade
from charkh.datasets.delete import delete
from charkh.datasets.export import write_rows
from charkh.datasets.file_cache import FileCache
from charkh.datasets.find import find
from charkh.datasets.index import PROJECTION, AddVersion, DatasetVersions, NewestVersion
from charkh.datasets.read import read_table
from charkh.datasets.stat_cache import StatCache, is_racy
from charkh.datasets.walk import local_files
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import EdgesFrom, FactsAbout, HeldDigests
from charkh.ports.store import Store
from charkh.testing.stores import memory_store


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, LINEAGE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "jan.csv").write_text("day,late\n1,true\n2,false\n")
    (tmp_path / "feb.csv").write_text("day,late\n32,true\n")
    (tmp_path / "mar.csv").write_text("day,late\n60.5,false\n")
    (tmp_path / "wind.csv").write_text("day,wind\n1,3.5\n")
    (tmp_path / "notes.txt").write_text("hello")
    return tmp_path


def paths(store: Store, version: DatasetVersion) -> list[str]:
    return [entry.path for entry in store.vault.entries(version.made.tree.root)]


def test_a_table_is_recognised(store: Store, folder: Path) -> None:
    version = add_files(store, "flights", [folder / "jan.csv"], message=" the first ")
    made = version.made
    assert version.ref == "flights@1"
    assert version.author == "ann"
    assert (made.kind, made.rows, made.columns) == ("table", 2, 2)
    assert made.schema == (Column("day", "Int64"), Column("late", "Boolean"))
    assert made.message == "the first"
    assert made.parent == ""
    assert not made.appended
    assert made.sources == (str(folder / "jan.csv"),)
    assert (made.batch.files, made.batch.size, made.batch.rows) == (1, 24, 2)
    assert {fact.name: fact.value for fact in store.queries.ask(FactsAbout(subject=version.subject))} == {
        "rows": 2,
        "files": 1,
        "bytes": 24,
    }
    assert made.tree.root in store.queries.ask(HeldDigests())


def test_other_files_are_kept_as_they_are(store: Store, folder: Path) -> None:
    version = add_files(store, "all", [folder])
    assert (version.made.kind, version.made.rows, version.made.schema) == ("files", None, ())
    assert paths(store, version) == ["feb.csv", "jan.csv", "mar.csv", "notes.txt", "wind.csv"]
    (folder / "empty").write_bytes(b"")
    assert add_files(store, "all", [folder]).made.tree.files == 6
    plain = add_files(store, "plain", [folder / "jan.csv", folder / "wind.csv"], as_files=True)
    assert plain.made.kind == "files"


def test_appending_adds_a_batch(store: Store, folder: Path) -> None:
    first = add_files(store, "flights", [folder / "jan.csv"], append=True)
    assert not first.made.appended
    second = add_files(store, "flights", [folder / "feb.csv"], append=True)
    assert second.ref == "flights@2"
    assert second.made.parent == first.id
    assert second.made.appended
    assert (second.made.rows, second.made.batch.rows, second.made.batch.files) == (3, 1, 1)
    third = add_files(store, "flights", [folder / "jan.csv", folder / "mar.csv"], append=True)
    assert (third.made.rows, third.made.batch.files) == (4, 1)
    assert third.made.schema[0] == Column("day", "Float64")
    assert paths(store, third) == ["feb.csv", "jan.csv", "mar.csv"]
    assert read_table(store, third)["day"].to_list() == [32.0, 1.0, 2.0, 60.5]


def test_replacing_tells_what_is_new(store: Store, folder: Path) -> None:
    add_files(store, "flights", [folder / "jan.csv", folder / "feb.csv"])
    (folder / "feb.csv").write_text("day,late\n33,true\n34,true\n")
    version = add_files(store, "flights", [folder / "jan.csv", folder / "feb.csv"])
    made = version.made
    assert not made.appended
    assert (made.rows, made.batch.files, made.batch.rows, made.batch.size) == (4, 1, 2, 25)


def test_saying_the_same_again_is_the_same_version(store: Store, folder: Path) -> None:
    jan, feb = folder / "jan.csv", folder / "feb.csv"
    first = add_files(store, "flights", [jan, feb])
    assert add_files(store, "flights", [feb, jan], message="again") == first
    assert add_files(store, "flights", [feb], append=True) == first
    assert add_files(store, "flights", [jan, feb], reading=Reading(nulls=("NA",))).made.number == 2
    assert add_files(store, "flights", [jan]).made.number == 3
    assert add_files(store, "flights", [jan, feb]).made.number == 4
    assert add_files(store, "flights", [jan, feb], as_files=True).made.number == 5
    assert add_files(store, "other", [jan, feb]).made.number == 1
    assert first.made.tree == find(store, "flights@4").made.tree


def test_what_it_was_made_from_is_recorded(store: Store, folder: Path) -> None:
    raw = add_files(store, "raw", [folder / "jan.csv"])
    frame = read_table(store, raw)
    clean = add_table(store, "clean", frame, made_by="r1", origins=[("cleaned_from", raw.subject)])
    assert clean.made.made_by == "r1"
    edges = store.queries.ask(EdgesFrom(subject=clean.subject))
    assert {(edge.relation, edge.target) for edge in edges} == {
        ("produced_by", "run:r1"),
        ("cleaned_from", raw.subject),
    }


def test_the_same_content_from_another_run_gets_its_edges_too(store: Store) -> None:
    frame = pl.DataFrame({"x": [1]})
    first = add_table(store, "clean", frame, made_by="r1")
    again = add_table(
        store, "clean", frame, made_by="r2", origins=[("cleaned_from", "dataset:d"), ("from", first.subject)]
    )
    assert again == first
    edges = store.queries.ask(EdgesFrom(subject=first.subject))
    assert {(edge.relation, edge.target) for edge in edges} == {
        ("produced_by", "run:r1"),
        ("produced_by", "run:r2"),
        ("cleaned_from", "dataset:d"),
    }
    before = [payload for batch in store.journal.read({}) for payload in batch.payloads]
    assert add_table(store, "clean", frame, made_by="r1") == first
    assert [payload for batch in store.journal.read({}) for payload in batch.payloads] == before


def test_tables_are_appended_as_files_of_their_own(store: Store) -> None:
    frames = [pl.DataFrame({"x": [number], "y": [None]}) for number in range(3)]
    for frame in frames:
        version = add_table(store, "part", frame, append=True)
    assert version.made.rows == 3
    assert paths(store, version) == ["part-00002.parquet", "part-00003.parquet", "part.parquet"]
    assert add_table(store, "part", frames[1], append=True) == version
    assert read_table(store, version)["x"].to_list() == [1, 2, 0]
    typed = add_table(store, "part", pl.DataFrame({"x": [9], "y": ["text"]}), append=True)
    assert typed.made.schema == (Column("x", "Int64"), Column("y", "String"))
    assert read_table(store, typed)["y"].to_list() == [None, None, "text", None]


def test_a_table_with_rows_to_come(store: Store) -> None:
    version = add_table(store, "empty", pl.DataFrame(schema={"x": pl.Int64}))
    assert version.made.rows == 0
    assert read_table(store, version).schema == {"x": pl.Int64()}


@pytest.mark.parametrize(
    ("frame", "more", "error"),
    [
        (pl.DataFrame(), {}, Invalid),
        (pl.DataFrame({"x": [object()]}), {}, Invalid),
        (pl.DataFrame({"x": [1]}), {"file": "x.csv"}, Invalid),
        (pl.DataFrame({"x": [1]}), {"file": "../x.parquet"}, Invalid),
        (pl.DataFrame({"x": [1]}), {"message": "m" * 501}, Invalid),
    ],
)
def test_tables_that_cannot_be_kept(store: Store, frame: pl.DataFrame, more: dict[str, Any], error: Any) -> None:
    with pytest.raises(error):
        add_table(store, "x", frame, **more)
    assert store.queries.ask(NewestVersion(name="x")) is None


def test_appending_refuses_what_does_not_fit(store: Store, folder: Path) -> None:
    add_files(store, "flights", [folder / "jan.csv"], reading=Reading(nulls=("NA",)))
    with pytest.raises(Invalid, match=r"wind\.csv has no column 'late'"):
        add_files(store, "flights", [folder / "wind.csv"], append=True)
    with pytest.raises(Invalid, match="is a table"):
        add_files(store, "flights", [folder / "notes.txt"], append=True)
    with pytest.raises(Invalid, match="read with separator"):
        add_files(store, "flights", [folder / "feb.csv"], append=True, reading=Reading())
    (folder / "jan.csv").write_text("day,late\n7,true\n")
    with pytest.raises(Conflict, match=r"another jan\.csv"):
        add_files(store, "flights", [folder / "jan.csv"], append=True)
    (folder / "text.csv").write_text("day,late\nmonday,true\n")
    with pytest.raises(Invalid, match=r"'day' is Int64 in flights@1 and String in text\.csv"):
        add_files(store, "flights", [folder / "text.csv"], append=True)
    (folder / "na.csv").write_text("day,late\nNA,true\n")
    assert add_files(store, "flights", [folder / "na.csv"], append=True).made.rows == 3


def test_appending_to_files_keeps_them_files(store: Store, folder: Path) -> None:
    add_files(store, "all", [folder / "notes.txt"])
    version = add_files(store, "all", [folder / "jan.csv"], append=True)
    assert version.made.kind == "files"
    assert paths(store, version) == ["jan.csv", "notes.txt"]


def test_files_of_other_columns_are_refused(store: Store, folder: Path) -> None:
    with pytest.raises(Invalid, match=r"wind\.csv has no column 'late', which jan\.csv has") as refused:
        add_files(store, "x", [folder / "jan.csv", folder / "wind.csv"])
    assert refused.value.facts["column"] == "late"
    (folder / "text.csv").write_text("day,late\nmonday,true\n")
    with pytest.raises(Invalid, match=r"'day' is Int64 in jan\.csv and String in text\.csv"):
        add_files(store, "x", [folder / "jan.csv", folder / "text.csv"])
    assert store.queries.ask(NewestVersion(name="x")) is None


def test_columns_may_stand_in_another_order(store: Store, folder: Path) -> None:
    (folder / "turned.csv").write_text("late,day\nfalse,9\n")
    version = add_files(store, "flights", [folder / "jan.csv", folder / "turned.csv"])
    assert read_table(store, version).rows() == [(1, True), (2, False), (9, False)]
    early = folder / "a.csv"
    early.write_text("late,day\ntrue,0\n")
    assert read_table(store, add_files(store, "flights", [early], append=True)).columns == ["day", "late"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.parquet", b"PAR1 no", "cannot be read as Parquet"),
        ("x.parquet", b"", "is empty"),
        ("x.jsonl", b"", "is empty"),
        ("x.jsonl", b'{"a":1}\n{"a":\n', "cannot be read as JSON Lines"),
        ("x.ndjson", b"[1,2]\n", "cannot be read as JSON Lines"),
        ("x.csv", b"", "is empty"),
        ("x.csv", b"a,b\n1\n", "line 2"),
    ],
)
def test_damaged_tables_are_refused_and_may_be_kept_as_files(
    store: Store, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Invalid, match=message) as refused:
        add_files(store, "x", [tmp_path / name])
    assert name in refused.value.message
    assert add_files(store, "x", [tmp_path / name], as_files=True).made.kind == "files"


def test_truncated_parquet_is_refused_wherever_it_is_cut(store: Store, tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    pl.DataFrame({"x": [1, 2, 3], "y": ["a", "b", "c"]}).write_parquet(whole)
    data = whole.read_bytes()
    for cut in range(0, len(data), 37):
        (tmp_path / "cut.parquet").write_bytes(data[:cut])
        with pytest.raises(Invalid):
            add_files(store, "x", [tmp_path / "cut.parquet"])


def test_a_field_that_comes_late_in_json_lines_is_not_lost(store: Store, tmp_path: Path) -> None:
    lines = '{"a":1}\n' * 5000 + '{"a":2.5,"b":{"c":[1]}}\n'
    (tmp_path / "x.jsonl").write_text(lines)
    version = add_files(store, "x", [tmp_path / "x.jsonl"])
    assert version.made.rows == 5001
    assert [column.name for column in version.made.schema] == ["a", "b"]
    assert read_table(store, version).row(-1) == (2.5, {"c": [1]})


@pytest.mark.parametrize("separator", ["", "ab", '"', "\n", "é"])
def test_separators_that_cannot_separate(store: Store, folder: Path, separator: str) -> None:
    with pytest.raises(Invalid, match="cannot separate"):
        add_files(store, "x", [folder / "jan.csv"], reading=Reading(separator=separator))


def test_names_and_files_are_checked_first(store: Store, folder: Path) -> None:
    with pytest.raises(Invalid, match="dataset name"):
        add_files(store, "../x", [folder / "jan.csv"])
    with pytest.raises(NotFound, match="nowhere"):
        add_files(store, "x", [folder / "nowhere"])


def test_credentials_do_not_enter(store: Store, folder: Path) -> None:
    (folder / "x.csv").write_text("password=hunter2hunter2,b\n1,2\n")
    version = add_files(
        store, "x", [folder / "x.csv"], message="token=abcdefgh12345678", sources=["https://ann:s3cretpw@host/x.csv"]
    )
    journal = b"".join(payload for batch in store.journal.read({}) for payload in batch.payloads)
    for secret in (b"hunter2", b"abcdefgh12345678", b"s3cretpw"):
        assert secret not in journal
    assert read_table(store, version).columns == ["password=hunter2hunter2", "b"]
    (folder / "y.csv").write_text("password=hunter2hunter2,b\n3,4\n")
    assert read_table(store, add_files(store, "x", [folder / "y.csv"], append=True)).rows() == [(1, 2), (3, 4)]


def test_progress_counts_bytes(store: Store, folder: Path) -> None:
    seen: list[int] = []
    add_files(store, "x", [folder], progress=seen.append)
    assert sum(seen) == sum(path.stat().st_size for path in folder.iterdir())


def test_a_file_that_changes_meanwhile_is_refused(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = store.vault.put_file

    def put_and_write(path: str, *more: Any) -> Any:
        ref = put(path, *more)
        Path(path).write_text("day,late\n8,true\n9,true\n10,false\n")
        return ref

    monkeypatch.setattr(store.vault, "put_file", put_and_write)
    with pytest.raises(Conflict, match="changed while"):
        add_files(store, "x", [folder / "jan.csv"])


def test_whoever_comes_second_appends_to_what_is_there_now(store: Store, folder: Path, monkeypatch: Any) -> None:
    add_files(store, "flights", [folder / "jan.csv"])
    shape, raced = add.appended_shape, []

    def race(*arguments: Any) -> Any:
        if not raced:
            raced.append(True)
            add_files(store, "flights", [folder / "mar.csv"], append=True)
        return shape(*arguments)

    monkeypatch.setattr(add, "appended_shape", race)
    version = add_files(store, "flights", [folder / "feb.csv"], append=True)
    assert version.ref == "flights@3"
    assert paths(store, version) == ["feb.csv", "jan.csv", "mar.csv"]
    assert version.made.schema[0].dtype == "Float64"


def test_a_decision_on_what_is_no_longer_the_newest_is_refused(store: Store, folder: Path) -> None:
    add_files(store, "flights", [folder / "jan.csv"])
    made = VersionMade(
        name="flights", version="", number=0, tree=TreeRef("0", 0, 0), kind="files", batch=Batch(id="", files=0, size=0)
    )
    with pytest.raises(Conflict) as refused:
        store.commands.decide(AddVersion(made=made))
    assert refused.value.code == "dataset.moved"


def test_a_deleted_version_lets_go_of_its_bytes_and_its_number_is_never_given_again(store: Store, folder: Path) -> None:
    first = add_files(store, "flights", [folder / "jan.csv"])
    second = add_files(store, "flights", [folder / "feb.csv"])
    assert delete(store, "flights@2") == second
    assert store.queries.ask(HeldDigests()) == (first.made.tree.root,)
    with pytest.raises(NotFound, match="deleted"):
        find(store, "flights@2")
    assert find(store, "flights").ref == "flights@1"
    third = add_files(store, "flights", [folder / "feb.csv"])
    assert third.ref == "flights@3"
    assert third.made.parent == first.id
    assert [version.made.number for version in store.queries.ask(DatasetVersions(name="flights"))] == [3, 1]


def test_a_wide_table_says_its_first_columns_and_is_read_whole(store: Store, tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(1100)]
    (tmp_path / "a.csv").write_text(";".join(names) + "\n" + ";".join(["1"] * 1100) + "\n")
    (tmp_path / "b.csv").write_text(";".join(names) + "\n" + ";".join(["2"] * 1099 + ["2.5"]) + "\n")
    version = add_files(store, "wide", [tmp_path / "a.csv"], reading=Reading(separator=";"))
    assert (version.made.columns, len(version.made.schema)) == (1100, 1000)
    both = add_files(store, "wide", [tmp_path / "b.csv"], append=True)
    assert read_table(store, both, columns=["c0", "c1099"]).rows() == [(1, 1.0), (2, 2.5)]
    (tmp_path / "c.csv").write_text(";".join(names[:-1]) + "\n")
    with pytest.raises(Invalid, match="1099 columns"):
        add_files(store, "wide", [tmp_path / "c.csv"], append=True)


def test_a_text_column_stays_text_where_all_its_texts_look_like_numbers(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("code\nA1\n007\n")
    (tmp_path / "b.csv").write_text("code\n008\n")
    version = add_files(store, "x", [tmp_path / "a.csv"])
    appended = add_files(store, "x", [tmp_path / "b.csv"], append=True)
    assert appended.made.schema == version.made.schema
    assert read_table(store, appended)["code"].to_list() == ["A1", "007", "008"]
    assert add_files(store, "x", [tmp_path / "a.csv", tmp_path / "b.csv"]) == appended
    pl.DataFrame({"code": [8]}).write_parquet(tmp_path / "c.parquet")
    with pytest.raises(Invalid, match="'code' is String in x@2 and Int64"):
        add_files(store, "x", [tmp_path / "c.parquet"], append=True)


MONTHS = 40


@pytest.fixture
def many(tmp_path: Path) -> Path:
    (tmp_path / "many").mkdir()
    for number in range(MONTHS):
        (tmp_path / f"many/{number:03}.csv").write_text("a,b\n" + f"{number},x\n" * (number % 3))
    (tmp_path / "many/000.csv").write_text("a,b\n0,x\n")
    return tmp_path / "many"


@pytest.mark.parametrize(
    ("number", "content", "dtype"),
    [
        (7, "a,b\n7,x\n7,\n", "Int64"),
        (7, "a,b\n7.5,x\n", "Float64"),
        (7, "b,a\nx,7\n", "Int64"),
        (7, "a,b\n,\n", "Int64"),
        (0, "a,b\n,x\n", "Int64"),
        (0, "a,b\n0.5,x\n", "Float64"),
    ],
)
def test_many_small_files_are_a_table_like_few(
    store: Store, many: Path, monkeypatch: pytest.MonkeyPatch, number: int, content: str, dtype: str
) -> None:
    (many / f"{number:03}.csv").write_text(content)
    together = add_files(store, "x", [many])
    assert together.made.schema == (Column("a", dtype), Column("b", "String"))
    assert read_table(store, together).height == together.made.rows
    monkeypatch.setattr(sniff, "MANY", 1000)
    one_by_one = add_files(memory_store(PROJECTION), "x", [many])
    assert one_by_one.made.schema == together.made.schema
    assert (one_by_one.made.rows, one_by_one.made.batch.rows) == (together.made.rows, together.made.batch.rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,x\n2\n", "007.csv, line 3 has 1 fields"),
        (b"a,b\n1,x,y\n", "007.csv, line 2 has 3 fields"),
        (b"a,c\n1,x\n", "007.csv has no column 'b'"),
        (b"a,b\nno,x\n", "'a' is Int64 in 000.csv and String in 007.csv"),
        (b"a,b\n1,\xe9\n", "007.csv is not UTF-8"),
        (b"", "007.csv is empty"),
    ],
)
def test_one_bad_file_of_many_is_named(store: Store, many: Path, content: bytes, message: str) -> None:
    (many / "007.csv").write_bytes(content)
    with pytest.raises(Invalid, match=message):
        add_files(store, "x", [many])


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_names_that_look_like_patterns_or_addresses(store: Store, tmp_path: Path, suffix: str) -> None:
    names = ["a[1]", "a*", "a?", "{a,b}", "a%20b", " _x", ".hidden", "a=1", "پرواز"]
    for number, name in enumerate(sorted(names)):
        write_rows(pl.DataFrame({"x": [number] * (number + 1)}), tmp_path / f"{name}{suffix}")
    version = add_files(store, "x", [tmp_path])
    assert version.made.rows == sum(range(len(names) + 1))
    cache = FileCache(tmp_path / "cache[1]")
    assert read_table(store, version, cache=cache).equals(read_table(store, version))
    for index in range(sniff.MANY):
        write_rows(pl.DataFrame({"x": [0]}), tmp_path / f"more[{index}]{suffix}")
    (tmp_path / "cache[1]").rename(tmp_path.parent / f"cache{suffix}")
    assert add_files(store, "x", [tmp_path]).made.batch.rows == sniff.MANY


def test_a_large_table_is_looked_at_while_it_is_stored(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = add_files(store, "small", [folder / "jan.csv", folder / "mar.csv"]).made
    monkeypatch.setattr(put_table, "LARGE", 0)
    stored: list[int] = []
    large = add_files(store, "large", [folder / "jan.csv", folder / "mar.csv"], progress=stored.append).made
    assert (large.tree, large.schema, large.rows) == (small.tree, small.schema, small.rows)
    assert sum(stored) == large.tree.size


class AtOnce(ThreadPoolExecutor):
    """Does what it is given before it returns."""

    def submit(self, *arguments: Any, **named: Any) -> Any:
        job = super().submit(*arguments, **named)
        wait([job])
        return job


def test_what_is_no_table_is_not_stored_to_its_end(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bad.csv").write_text("day,late\n1\n2,true\n3\n")
    monkeypatch.setattr(put_table, "LARGE", 0)
    monkeypatch.setattr(put_table, "ThreadPoolExecutor", AtOnce)
    stored: list[int] = []
    with pytest.raises(Invalid, match="line 2"):
        add_files(store, "x", [folder / "bad.csv", folder / "jan.csv"], progress=stored.append)
    assert stored == []
    assert store.queries.ask(NewestVersion(name="x")) is None


def reads(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are put from now on."""
    put, read = store.vault.put_file, list[str]()

    def put_file(path: Path | str, *arguments: Any) -> Any:
        read.append(Path(path).name)
        return put(path, *arguments)

    monkeypatch.setattr(store.vault, "put_file", put_file)
    return read


def none_here(refs: Sequence[FileRef]) -> list[bool]:
    return [False] * len(refs)


def age(folder: Path) -> None:
    """Wait until nothing in the folder is racy any more."""
    while any(is_racy(file) for file in local_files([folder])):
        time.sleep(0.02)


def test_what_did_not_change_is_not_read_again(
    store: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(folder)
    stats, read = StatCache(None), reads(store, monkeypatch)
    first = add_files(store, "x", [folder], stats=stats)
    assert read == ["feb.csv", "jan.csv", "mar.csv", "notes.txt", "wind.csv"]
    read.clear()
    assert add_files(store, "x", [folder / "."], stats=stats) == first
    assert read == []
    (folder / "jan.csv").write_text("day,late\n1,true\n3,false\n")
    (folder / "new").write_text("x")
    second = add_files(store, "x", [folder], stats=stats)
    assert read == ["jan.csv", "new"]
    assert (second.made.batch.files, second.made.tree.files) == (2, 6)
    # Bytes that the vault has lost are read again, and so is what no cache knows.
    monkeypatch.setattr(store.vault, "rely_on", none_here)
    read.clear()
    assert add_files(store, "x", [folder], stats=stats) == second
    assert len(read) == 6


def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the files that are looked at as tables from now on."""
    looked, one, many = list[str](), sniff.read_file_shape, sniff.read_csv_rows

    def look_at_one(disk: Path, path: str, reading: Reading) -> Any:
        looked.append(path)
        return one(disk, path, reading)

    def look_at_many(files: Any, *rest: Any) -> Any:
        looked.extend(path for path, _ in files)
        return many(files, *rest)

    monkeypatch.setattr(sniff, "read_file_shape", look_at_one)
    monkeypatch.setattr(sniff, "read_csv_rows", look_at_many)
    return looked


def test_of_a_table_new_files_alone_are_looked_at(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, count = tmp_path / "data", sniff.MANY + 5
    for number in range(count):
        (data / f"{number:02}").mkdir(parents=True)
        (data / f"{number:02}/part.csv").write_text(f"a,b\n{number},x\n")
    (data / "other.jsonl").write_text('{"a": 1.5, "b": "y"}\n')
    age(data)
    few, many = [data / "00", data / "other.jsonl"], [data]
    alone = {
        0: add_files(memory_store(PROJECTION), "x", few).made,
        1: add_files(memory_store(PROJECTION), "x", many).made,
    }
    stats, looked = StatCache(None), looks(monkeypatch)
    for turn, folders in enumerate([few, many, few, many]):
        made = add_files(store, f"x{turn}", folders, stats=stats).made
        expected = alone[turn % 2]
        assert (made.schema, made.rows, made.tree) == (expected.schema, expected.rows, expected.tree)
        assert bool(looked) == (turn < 2)
        looked.clear()
    with (data / "07/part.csv").open("a") as file:
        file.write("1,z\n")
    grown = add_files(store, "x1", many, stats=stats).made
    assert looked == ["07/part.csv"]
    assert (grown.rows, grown.batch.rows) == (count + 2, 2)
    looked.clear()
    otherwise = add_files(store, "y", many, stats=stats, reading=Reading(nulls=("x",))).made
    assert len(looked) == count + 1
    assert otherwise.rows == grown.rows


def test_many_files_are_never_all_in_memory(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        (tmp_path / f"{number}.bin").write_text(f"{number}")
    monkeypatch.setattr(put, "TOGETHER", 4)
    asked: list[int] = []
    rely_on = store.vault.rely_on

    def ask(refs: Sequence[FileRef]) -> list[bool]:
        asked.append(len(refs))
        return rely_on(refs)

    monkeypatch.setattr(store.vault, "rely_on", ask)
    age(tmp_path)
    stats = StatCache(None)
    first = add_files(store, "x", [tmp_path], stats=stats)
    assert asked == [0] * 8
    assert add_files(store, "x", [tmp_path], stats=stats) == first
    assert asked[8:] == [4] * 7 + [2]
