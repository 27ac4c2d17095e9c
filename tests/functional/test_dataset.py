"""A user versions data on the command line: months arrive, rows differ, files come back, nothing is lost."""

from typing import Any

import polars as pl

JANUARY = "id,day,origin\n1,1,JFK\n2,1,LGA\n3,2,EWR\n"
FEBRUARY = "id,day,origin\n4,32,JFK\n5,33,LGA\n"


def months(charkh: Any) -> None:
    charkh.write("data/2013-01.csv", JANUARY)
    charkh.write("data/2013-02.csv", FEBRUARY)
    charkh("dataset", "add", "flights", "data/2013-01.csv", "-m", "the first month")
    charkh("dataset", "add", "flights", "data/2013-02.csv", "--append")


def test_months_arrive(charkh: Any) -> None:
    months(charkh)
    (summary,) = charkh.json("dataset", "list")
    assert (summary["name"], summary["versions"]) == ("flights", 2)
    newest = summary["latest"][0]["made"]
    assert (newest["number"], newest["rows"], newest["appended"], newest["batch"]["rows"]) == (2, 5, True, 2)
    first = charkh.json("dataset", "log", "flights")[1]
    assert first["made"]["message"] == "the first month"
    again = charkh.json("dataset", "add", "flights", "data", "--append")
    assert again["made"]["number"] == 2
    assert charkh("dataset", "add", "flights", "data", "--append").endswith("; it was there already\n")
    assert "flights\t2\t2\ttable\t5\t2" in charkh("dataset", "list")


def test_a_version_is_shown(charkh: Any) -> None:
    months(charkh)
    text = charkh("dataset", "show", "flights")
    assert "flights@2" in text
    assert "5 rows of 3 columns in 2 files" in text
    assert "appended to  flights@1\n" in text
    assert "3 rows of 3 columns in 1 file," in charkh("dataset", "show", "flights@1")
    assert "origin\tString" in text
    shown = charkh.json("dataset", "show", "flights@2", "--files", "--head", "4")
    assert [entry[0] for entry in shown["files"]] == ["2013-01.csv", "2013-02.csv"]
    assert [row["id"] for row in shown["rows"]] == ["1", "2", "3", "4"]


def test_rows_that_differ(charkh: Any) -> None:
    months(charkh)
    charkh.write("data/2013-01.csv", JANUARY.replace("2,1,LGA", "2,1,JFK").replace("3,2,EWR\n", ""))
    charkh("dataset", "add", "flights", "data")
    files = charkh.json("dataset", "diff", "flights@1", "flights@3")
    assert [each["path"] for each in files["changed"]] == ["2013-01.csv"]
    assert [each["path"] for each in files["added"]] == ["2013-02.csv"]
    guessed = charkh.json("dataset", "diff", "flights@2", "flights@3", "--rows")
    assert (guessed["key"], guessed["guessed"], guessed["changed"], guessed["unread"]) == (["id"], True, 1, 2)
    assert "id (guessed: " in charkh("dataset", "diff", "flights@2", "flights@3", "--rows")
    keyless = charkh.json("dataset", "diff", "flights@2", "flights@3", "--keyless")
    assert (keyless["added"], keyless["removed"], keyless["unchanged"]) == (1, 2, 3)
    keyed = charkh.json("dataset", "diff", "flights@2", "flights@3", "--key", "id, day")
    assert (keyed["added"], keyed["removed"], keyed["changed"], keyed["unchanged"]) == (0, 1, 1, 3)
    assert keyed["changed_sample"] == [{"id": "2", "day": "1", "column": "origin", "old": "LGA", "new": "JFK"}]
    text = charkh("dataset", "diff", "flights@2", "flights@3", "--key", "id")
    assert "cells of origin  1 changed" in text
    assert "changed\t2013-01.csv" in charkh("dataset", "diff", "flights@1", "flights@3")
    assert "share their key" in charkh.fails(2, "dataset", "diff", "flights@1", "flights@2", "--key", "day")


def test_only_the_new_rows_are_written_out(charkh: Any) -> None:
    months(charkh)
    told = charkh("dataset", "diff", "flights@1", "flights@2", "--added", "-o", "new.parquet")
    assert told == "2 rows written to new.parquet\n"
    text = charkh("dataset", "diff", "flights@1", "flights@2", "--rows")
    assert "append only  yes" in text
    assert "3 rows, 3 of them not read" in text
    assert pl.read_parquet(charkh.folder / "new.parquet")["id"].to_list() == [4, 5]
    charkh("dataset", "diff", "flights@2", "flights@1", "--key", "id", "--removed", "-o", "gone.csv")
    assert (charkh.folder / "gone.csv").read_text() == FEBRUARY
    charkh.fails(2, "dataset", "diff", "flights@1", "flights@2", "--added", "--removed", "-o", "x.csv")
    charkh.fails(2, "dataset", "diff", "flights@1", "flights@2", "--added", "-o", "x.txt")
    assert not list(charkh.folder.glob(".charkh-*"))


def test_files_come_back_and_changes_are_kept(charkh: Any) -> None:
    months(charkh)
    done = charkh.json("dataset", "checkout", "flights@1", "out")
    assert (done["written"], done["unchanged"]) == (1, 0)
    assert (charkh.folder / "out/2013-01.csv").read_text() == JANUARY
    charkh.write("out/2013-01.csv", "mine")
    assert "2013-01.csv" in charkh.fails(14, "dataset", "checkout", "flights", "out")
    assert (charkh.folder / "out/2013-01.csv").read_text() == "mine"
    assert "2 files" in charkh("dataset", "checkout", "flights", "out", "--force")
    charkh("dataset", "checkout", "flights", "some", "2013-02.csv")
    assert [path.name for path in (charkh.folder / "some").iterdir()] == ["2013-02.csv"]


def test_a_deleted_version_keeps_its_number(charkh: Any) -> None:
    months(charkh)
    assert "charkh dataset delete flights@2" in charkh.fails(2, "dataset", "delete", "flights"), "no version is named"
    assert charkh.json("dataset", "delete", "flights@2")["deleted"] == "flights@2"
    assert "`charkh dataset log flights`" in charkh.fails(13, "dataset", "show", "flights@2")
    assert [each["made"]["number"] for each in charkh.json("dataset", "log", "flights")] == [1]
    assert "flights@2 (deleted)" in charkh("dataset", "log", "flights", "--deleted")
    assert charkh.json("dataset", "add", "flights", "data", "--append")["made"]["number"] == 3


def test_what_a_user_got_wrong_is_said(charkh: Any) -> None:
    charkh.write("ragged.csv", "a,b\n1,2\n3\n")
    assert "ragged.csv, line 3 has 1 fields" in charkh.fails(2, "dataset", "add", "x", "ragged.csv")
    said = charkh.fails(2, "dataset", "add", "x", charkh.write("x.jsonl", '{"a": 1}\n\nnonsense\n'))
    assert "line 3 is no JSON object" in said
    assert "--files" in said
    assert charkh.json("dataset", "add", "x", "ragged.csv", "--files")["made"]["kind"] == "files"
    assert "nowhere.csv" in charkh.fails(13, "dataset", "add", "x", "nowhere.csv")
    assert '"code":"dataset.not_found"' in charkh.fails(13, "dataset", "log", "nothing", "--json")
    (charkh.folder / "latin.csv").write_bytes("a\né\n".encode("latin1"))
    assert "not UTF-8" in charkh.fails(2, "dataset", "add", "y", "latin.csv")


def test_a_version_that_is_not_there_is_told_from_a_dataset_that_is_not(charkh: Any) -> None:
    charkh.write("a.csv", "a\n1\n")
    charkh("dataset", "add", "my data", "a.csv")
    said = charkh.fails(13, "dataset", "show", "my data@9")
    assert "'my data' has no version 9" in said
    assert "`charkh dataset log 'my data'` shows them; newest first: my data@1." in said
    assert "there is no dataset other@9" in charkh.fails(13, "dataset", "show", "other@9")


def test_fields_that_another_mark_parts_are_noticed(charkh: Any) -> None:
    charkh.write("a.csv", "a;b\n1;2\n")
    result = charkh.run("dataset", "add", "x", "a.csv")
    assert "--separator ';'" in result.stderr
    assert "2 columns" in charkh("dataset", "add", "x", "a.csv", "--separator", ";")


def test_the_reading_is_part_of_the_version(charkh: Any) -> None:
    charkh.write("x.csv", "a;b\n1;NA\n-;2\n")
    version = charkh.json("dataset", "add", "x", "x.csv", "--separator", ";", "--null", "NA", "--null", "-")
    assert version["made"]["reading"] == {"separator": ";", "nulls": ["NA", "-"]}
    assert charkh.json("dataset", "show", "x", "--head", "2")["rows"] == [{"a": "1", "b": None}, {"a": None, "b": "2"}]


def test_a_script_reads_what_was_added(charkh: Any) -> None:
    months(charkh)
    printed = charkh.python("import charkh; print(charkh.dataset('flights@2').frame['id'].sum())")
    assert printed.strip() == "15"


def test_which_addition_brought_a_row(charkh: Any) -> None:
    months(charkh)
    charkh.write("data/2013-01.csv", JANUARY + "6,3,SFO\n")
    charkh("dataset", "add", "flights", "data", "-m", "a late row")
    batches = charkh.json("dataset", "log", "flights", "--batches")
    assert [(each["ref"], each["rows"]) for each in batches] == [("flights@3", 1), ("flights@2", 2), ("flights@1", 3)]
    assert "flights@3\t1\t1" in charkh("dataset", "log", "flights", "--batches")
    marked = charkh("dataset", "rows", "flights", "--with-batch", "--columns", "id").splitlines()
    assert marked[0] == "id\t_batch"
    assert marked[4] == "6\tflights@3"
    assert charkh.json("dataset", "rows", "flights", "--batch", "3") == [{"id": "6", "day": "3", "origin": "SFO"}]
    charkh("dataset", "rows", "flights", "--where", "origin == 'JFK'", "--columns", "id,_batch", "-o", "jfk.csv")
    assert (charkh.folder / "jfk.csv").read_text() == "id,_batch\n1,flights@1\n4,flights@2\n"
    (row,) = charkh.json("dataset", "blame", "flights", "--where", "id == 6")
    assert (row["row"], row["file"], row["row_of_file"], row["message"]) == (4, "2013-01.csv", 4, "a late row")
    assert "flights@3" in charkh("dataset", "blame", "flights", "--where", "id == 6")
    shown = charkh.json("dataset", "show", "flights", "--batch", batches[1]["version"]["made"]["batch"]["id"])
    assert shown["files"] == [{"path": "2013-02.csv", "first": 1, "last": 2}]
    assert "flights@1" in charkh.fails(13, "dataset", "rows", "flights", "--batch", "9")
    assert "no column 'nothing'" in charkh.fails(2, "dataset", "rows", "flights", "--where", "nothing > 1")
