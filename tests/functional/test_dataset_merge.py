"""Two colleagues changed a dataset apart: their versions are merged, and what both changed is decided by a person."""

from pathlib import Path
from typing import Any

import polars as pl
from tests.functional.conftest import Charkh

BASE = "id,name,price\n1,pen,1.50\n2,cup,4\n3,bag,20.0\n"


def apart(charkh: Any, ours: str, theirs: str) -> None:
    """`stock@1`, Ann's `stock@2` made from it, and what Bob made of it as `bob@1`."""
    ann = "ann@laptop"
    for name, text, actor in (("stock", BASE, ann), ("stock", ours, ann), ("bob", theirs, "bob@desk")):
        charkh.write("stock.csv", text)
        charkh("dataset", "add", name, "stock.csv", CHARKH_ACTOR=actor)


def test_cells_of_one_row_are_merged(charkh: Any) -> None:
    apart(charkh, BASE.replace("1,pen,", "1,pencil,"), BASE.replace("1.50", "1.75") + "4,ink,3\n")
    text = charkh("dataset", "merge", "stock", "bob", "--base", "stock@1")
    assert "merged     stock@3" in text
    assert "key        id (guessed)" in text
    assert "message    merge of stock@2 and bob@1" in text
    rows = charkh.json("dataset", "rows", "stock")
    assert [list(row.values()) for row in rows] == [
        ["1", "pencil", "1.75"],
        ["2", "cup", "4.0"],
        ["3", "bag", "20.0"],
        ["4", "ink", "3.0"],
    ]
    assert "merged from  bob@1" in charkh("dataset", "show", "stock")
    assert "has both in it already" in charkh("dataset", "merge", "stock", "bob")


def test_conflicts_are_decided_in_a_file(charkh: Any) -> None:
    apart(charkh, BASE.replace("1.50", "2"), BASE.replace("1.50", "3").replace("2,cup,4", "2,mug,4"))
    command = ("dataset", "merge", "stock", "bob", "--base", "stock@1", "--key", "id")
    said = charkh.fails(14, *command, "-o", "conflicts.csv")
    assert "1 conflict to decide on" in said
    assert "--resolved conflicts.csv" in said
    conflicts = charkh.folder / "conflicts.csv"
    (line,) = pl.read_csv(conflicts, infer_schema=False).rows(named=True)
    assert (line["row"], line["column"], line["base"], line["ours"], line["theirs"]) == (
        '{"id":"1"}',
        "price",
        "1.50",
        "2",
        "3",
    )
    assert (line["ours_by"], line["theirs_by"]) == ("ann@laptop", "bob@desk")
    assert charkh.json("dataset", "list", "stock")[0]["latest"][0]["made"]["number"] == 2
    pl.read_csv(conflicts).with_columns(take=pl.lit("theirs")).write_csv(conflicts)
    made = charkh.json(*command, "--resolved", "conflicts.csv", "-m", "Bob knows the prices")["version"]["made"]
    assert (made["number"], made["message"]) == (3, "Bob knows the prices")
    assert charkh.json("dataset", "rows", "stock@3", "--where", "id <= 2", "--columns", "name,price") == [
        {"name": "pen", "price": "3.0"},
        {"name": "mug", "price": "4.0"},
    ]


def test_a_side_decides_everything(charkh: Any) -> None:
    apart(charkh, BASE.replace("1.50", "2"), BASE.replace("1.50", "3"))
    said = charkh.run("dataset", "merge", "stock", "bob", "--base", "stock@1")
    assert said.returncode == 14
    assert '{"id":"1"}\tcell\tprice\t1.50\t2\t3\tann@laptop\tbob@desk' in said.stdout
    assert "not made from one version" in charkh.fails(2, "dataset", "merge", "stock", "bob")
    charkh.fails(2, "dataset", "merge", "stock", "bob", "--take", "mine")
    assert charkh.json("dataset", "merge", "stock", "bob", "--base", "stock@1", "--take", "ours")["outcome"] == "merged"
    assert charkh.json("dataset", "rows", "stock@3", "--where", "id == 1")[0]["price"] == "2.0"


def test_two_workspaces_meet(charkh: Any, tmp_path: Path) -> None:
    people = {}
    for name, edit in (("ann", ("1,pen,", "1,pencil,")), ("bob", ("2,cup,4", "2,cup,5"))):
        person = people[name] = Charkh(tmp_path / name)
        person.folder.mkdir()
        person("init")
        if name == "ann":
            person.write("stock.csv", BASE)
            person("dataset", "add", "stock", "stock.csv", CHARKH_ACTOR="ann@laptop")
        person("sync", tmp_path / "share")
        person.write("stock.csv", BASE.replace(*edit))
    for name, person in people.items():
        person("dataset", "add", "stock", "stock.csv", CHARKH_ACTOR=f"{name}@somewhere")
        person("sync", tmp_path / "share")
    ann, bob = people["ann"], people["bob"]
    ann("sync", tmp_path / "share")
    trees = {
        ann.json("dataset", "merge", "stock@2~ann", "stock@2~bob")["version"]["made"]["tree"][0],
        bob.json("dataset", "merge", "stock@2~bob", "stock@2~ann")["version"]["made"]["tree"][0],
    }
    assert len(trees) == 1, "who merges makes no difference"
    batches = ann.json("dataset", "log", "stock", "--batches")
    assert [(each["ref"], each["rows"]) for each in batches] == [("stock@2~bob", 1), ("stock@2~ann", 1), ("stock@1", 1)]
