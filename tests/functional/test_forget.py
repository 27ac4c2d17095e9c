"""A person asks to be forgotten: the rows leave every version, document and log, and the store proves it."""

import json
from pathlib import Path

import polars as pl
from tests.functional.conftest import Charkh

from charkh.assets.grep import find_in_records, pattern_of
from charkh.checks.document import parse_suite
from charkh.checks.record import record as record_check
from charkh.checks.run import run as run_check
from charkh.datasets.add import add_files, add_table
from charkh.datasets.delete import delete
from charkh.datasets.find import find
from charkh.datasets.forgotten_index import Forgettings
from charkh.datasets.read import read_table
from charkh.datasets.selection import Selection
from charkh.lineage.index import FactsAbout
from charkh.runs.start import start
from charkh.workspace.forgetting import forget
from charkh.workspace.fsck import check_store
from charkh.workspace.workspace import Workspace, open_workspace

ANN = "ann.smith@example.org"


def people(count: int, ann: int = 40) -> pl.DataFrame:
    """Rows of which one is Ann's."""
    numbers = list(range(count))
    return pl.DataFrame(
        {
            "id": numbers,
            "email": [ANN if number == ann else f"user{number}@example.org" for number in numbers],
            "note": [f'said "{number}", and\nleft' for number in numbers],
        }
    )


def without_ann(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("email") != ANN)


def only(workspace: Workspace, name: str, number: int) -> pl.DataFrame:
    return read_table(workspace.store, find(workspace.store, f"{name}@{number}"))


def test_rows_leave_every_version_and_the_others_keep_every_byte(charkh: Charkh) -> None:
    rows = people(4000)
    lines = rows.write_csv().encode()
    charkh.write("people.csv", lines)
    charkh("dataset", "add", "people", "people.csv")
    more = lines + b'4000,late@example.org,"one ""more"""\n'
    charkh.write("people.csv", more)
    charkh("dataset", "add", "people", "people.csv")
    asked = ("dataset", "forget", "--column", "email", "--value", ANN, "--all")
    assert "confirmed" in charkh.fails(2, *asked)
    found = charkh.json(*asked, "--dry-run")
    assert [(each["version"], each["rows"]) for each in found["versions"]] == [("people@1", 1), ("people@2", 1)]
    assert charkh.json("dataset", "show", "people@1")["version"]["made"]["rows"] == 4000
    done = charkh.json(*asked, "--yes")
    assert (done["rows"], len(done["contents"])) == (2, 2)
    for number, content in ((1, lines), (2, more)):
        charkh("dataset", "checkout", f"people@{number}", f"out{number}")
        begin = content.index(b"\n40,") + 1
        end = content.index(b"\n41,") + 1
        assert (charkh.folder / f"out{number}/people.csv").read_bytes() == content[:begin] + content[end:]
    charkh("dataset", "forget", "--column", "email", "--value", ANN, "--verify")
    charkh("fsck", "--everything")
    assert "erased" in charkh.fails(12, "dataset", "add", "people", "people.csv")
    assert ANN not in "".join(
        path.read_text("latin1") for path in (charkh.folder / ".charkh").rglob("*") if path.is_file()
    )
    assert "1 row of 1 file" in charkh("dataset", "show", "people@1")
    again = charkh.json(*asked, "--yes")
    assert (again["rows"], again["forgetting"]) == (0, "")


def test_everything_that_holds_the_person(tmp_path: Path) -> None:
    rows = people(300)
    (tmp_path / "letter.txt").write_text(f"Dear {ANN},\nyou are {ANN}.org\n")
    (tmp_path / "rows.jsonl").write_text(rows.write_ndjson())
    with open_workspace(tmp_path, create=True) as workspace:
        store = workspace.store
        first = add_table(store, "people", rows, file="part.parquet")
        add_files(store, "lines", [tmp_path / "rows.jsonl"])
        add_files(store, "letters", [tmp_path / "letter.txt"], as_files=True)
        delete(store, add_table(store, "old", rows).id)
        with start(store, name="train") as run:
            run.use(first.subject)
            run.add_artifact("bad.csv", rows.write_csv().encode())
            run.add_artifact("report.json", json.dumps({"worst": [{"email": ANN}]}).encode())
            run.add_artifact("weights.bin", bytes(range(256)) + ANN.encode())
        suite = parse_suite(f"[[rule]]\ncheck = 'condition'\nthat = \"email != '{ANN}'\"\n")
        record_check(store, "tidy", run_check(suite, rows), about=first.subject)
        report = forget(workspace, Selection(where=f"email == '{ANN}'"))
        assert {each.version for each in report.versions} >= {"people@1", "lines@1", "old@1"}
        assert f"run:{run.id}" in {each.subject for each in report.saw}
        assert any("weights" in each.what or "cannot rewrite" in each.why for each in report.unreached)
        assert only(workspace, "people", 1).equals(without_ann(rows))
        assert only(workspace, "lines", 1).equals(without_ann(rows))
        assert ANN not in only(workspace, "people.quarantine", 1)["email"]
        (letter,) = store.vault.entries(find(store, "letters").made.tree.root)
        assert b"".join(store.vault.read(letter.file)) == b"Dear [erased],\nyou are [erased].org\n"
        left = {each.digest for each in find_in_records(workspace.vault, pattern_of([ANN]))}
        assert len(left) == 1, "the weights alone still have it"
        facts = {fact.name: fact.value for fact in store.queries.ask(FactsAbout(subject=first.subject))}
        assert (facts["rows"], facts["rows.erased"]) == (299, 1)
        assert check_store(workspace, level="everything").problems == ()
        (told,) = store.queries.ask(Forgettings())
        kept = b"".join(store.vault.read(told.made.report))
        assert b"smith" not in kept
        assert told.made.selector == report.selector


def test_a_scope_leaves_the_others_alone(charkh: Charkh) -> None:
    rows = people(3000)
    charkh.write("a.csv", rows.write_csv())
    charkh.write("b.csv", rows.write_csv() + "3000,x@example.org,there\n")
    charkh("dataset", "add", "a", "a.csv")
    charkh("dataset", "add", "b", "b.csv")
    charkh.write("values", f"{ANN}\n")
    charkh("dataset", "forget", "--column", "email", "--values", "values", "--dataset", "a", "--yes")
    with open_workspace(charkh.folder) as workspace:
        assert only(workspace, "a", 1).equals(without_ann(rows))
        assert only(workspace, "b", 1).height == 3001
    assert "b.csv" in charkh.run("dataset", "forget", "--column", "email", "--value", ANN, "--verify").stdout
    typo = charkh.run("dataset", "forget", "--column", "emial", "--value", ANN, "--all", "--dry-run")
    assert "no dataset has a column 'emial' now" in typo.stderr
    charkh.fails(13, "dataset", "forget", "--column", "email", "--value", ANN, "--dataset", "none", "--yes")
    charkh.fails(2, "dataset", "forget", "--column", "email", "--all", "--yes")
    charkh.fails(2, "dataset", "forget", "--where", "1 == 1", "--all", "--yes")


def test_all_rows_of_a_file(tmp_path: Path) -> None:
    rows = people(3).with_columns(email=pl.lit(ANN))
    (tmp_path / "rows.jsonl").write_text(rows.write_ndjson())
    rows.write_csv(tmp_path / "rows.csv")
    with open_workspace(tmp_path, create=True) as workspace:
        add_table(workspace.store, "columns", rows)
        add_files(workspace.store, "text", [tmp_path / "rows.csv"])
        add_files(workspace.store, "lines", [tmp_path / "rows.jsonl"])
        assert forget(workspace, Selection(column="email", values=(ANN,))).rows == 9
        for name in ("columns", "text", "lines"):
            left = only(workspace, name, 1)
            assert (left.columns, left.height) == (rows.columns, 0)
