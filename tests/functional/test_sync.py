"""Two colleagues exchange with the real command line: a shared folder, a stick, a key, and what is only here."""

import json
from pathlib import Path

import pytest
from tests.functional.conftest import Charkh

ROWS = "a,b\n" + "".join(f"{number},{number * 7 % 1000}\n" for number in range(3000))


@pytest.fixture
def bob(tmp_path_factory: pytest.TempPathFactory) -> Charkh:
    command = Charkh(tmp_path_factory.mktemp("bob"))
    command("init")
    return command


@pytest.fixture
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared") / "team"


def test_a_day_of_two_colleagues(charkh: Charkh, bob: Charkh, team: Path) -> None:
    charkh.write("rows.csv", ROWS)
    charkh("dataset", "add", "rows", "rows.csv", CHARKH_ACTOR="ann@laptop")
    assert "only here" not in charkh("dataset", "log", "rows")
    charkh("remote", "add", "team", team)
    assert charkh("dataset", "log", "rows").splitlines()[1].split("\t")[8] == "only here"
    assert charkh.json("sync", "--status")["only_here"][0]["title"] == "rows@1"
    first = charkh("sync")
    assert first.startswith(f"team ({team}): sent 1 fact and ")
    assert charkh("sync") == f"team ({team}): nothing to exchange\n"
    assert charkh("dataset", "log", "rows").splitlines()[1].split("\t")[8] == "team"
    assert charkh.json("sync", "--status") == {"remotes": ["team"], "only_here": []}

    bob.write("rows.csv", ROWS.replace("7", "8"))
    bob("dataset", "add", "rows", "rows.csv", CHARKH_ACTOR="bob@desk")
    bob("remote", "add", "team", team)
    taken = bob("sync")
    assert "dataset rows@1 was made 2 times apart: rows@1~ann, rows@1~bob" in taken
    bob("dataset", "checkout", "rows@1~ann", "out")
    assert (bob.folder / "out" / "rows.csv").read_text() == ROWS
    charkh("sync")
    charkh.fails(14, "dataset", "show", "rows@1")
    shown = [line.split("\t")[0] for line in charkh("dataset", "log", "rows").splitlines()[1:]]
    assert sorted(shown) == ["rows@1~ann", "rows@1~bob"]
    assert charkh("dataset", "show", "rows@1~bob").startswith("dataset  rows@1~bob\n")
    assert charkh("dataset", "rows", "rows@1~bob", "--with-batch", "--limit", "1").endswith("\trows@1~bob\n")
    assert "rows@1~ann → rows@1~bob" in charkh("dataset", "diff", "rows@1~ann", "rows@1~bob", "--rows")
    assert {each["actor"] for each in charkh.json("dataset", "log", "rows")} == {"ann@laptop", "bob@desk"}
    shown = charkh.json("remote", "show")
    assert (shown["facts"], shown["facts_lacking_here"], shown["facts_lacking_there"]) == (2, 0, 0)


def test_facts_first_bytes_later(charkh: Charkh, bob: Charkh, team: Path) -> None:
    charkh.write("rows.csv", ROWS)
    for name in ("rows", "more"):
        charkh("dataset", "add", name, "rows.csv", "-m", name)
        charkh.write("rows.csv", ROWS.upper() + "9,9\n")
    charkh("sync", team)
    bob("sync", team, "--facts-only")
    assert [each["name"] for each in bob.json("dataset", "list")] == ["more", "rows"]
    assert "charkh sync" in bob.fails(13, "dataset", "show", "rows", "--files")
    bob("remote", "add", "later", team.with_name("later"))
    assert bob("dataset", "log", "rows").splitlines()[1].split("\t")[8] == "not here", (
        "nothing was taken, and nothing is lost"
    )
    bob("sync", team, "--only", "rows")
    assert bob("dataset", "log", "rows").splitlines()[1].split("\t")[8] == str(team)
    assert bob("dataset", "show", "rows", "--head", "1").endswith("0\t0\n")
    bob.fails(13, "dataset", "show", "more", "--files")
    bob("sync", team)
    bob("dataset", "show", "more", "--files")
    bob.fails(2, "sync", team, "--only", "rows", "--facts-only")


def test_a_stick_with_a_key(charkh: Charkh, bob: Charkh, team: Path) -> None:
    charkh.write("rows.csv", ROWS)
    charkh("dataset", "add", "rows", "rows.csv")
    charkh("remote", "new-key", "stick.key")
    charkh.fails(14, "remote", "new-key", "stick.key")
    bundle = team.with_suffix(".bundle")
    charkh("remote", "add", "stick", bundle, "--key", "stick.key", "--default")
    charkh("sync")
    assert bundle.is_file()
    assert b"charkhPK" not in bundle.read_bytes()
    assert "name no key" in bob.fails(2, "sync", bundle)
    bob.write("stick.key", (charkh.folder / "stick.key").read_bytes())
    bob("remote", "add", "stick", bundle, "--key", "stick.key")
    report = bob.json("sync")
    assert (report["facts_taken"], report["missing"], report["problems"]) == (1, [], [])
    assert bob.json("remote", "list") == [
        {"remote": "stick", "address": str(bundle), "encrypted": True, "default": False}
    ]


def test_what_a_remote_lost_is_said_and_mended(charkh: Charkh, bob: Charkh, team: Path) -> None:
    charkh.write("rows.csv", ROWS)
    charkh("dataset", "add", "rows", "rows.csv")
    charkh("sync", team)
    (pack,) = list((team / "pack").iterdir())
    data = bytearray(pack.read_bytes())
    data[100] ^= 1
    pack.write_bytes(bytes(data))
    result = bob.run("sync", team, "--json")
    assert result.returncode == 3
    assert json.loads(result.stdout)["problems"]
    assert json.loads(result.stderr)["code"] == "sync.incomplete"
    assert "1 damaged object over there set aside" in charkh("sync", team, "--verify")
    bob("sync", team)
    bob("dataset", "checkout", "rows", "out")
    assert (bob.folder / "out" / "rows.csv").read_text() == ROWS


def test_mistakes_are_answered(charkh: Charkh, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert "charkh remote add" in charkh.fails(13, "sync")
    assert "no remote 'tema'" in charkh.fails(13, "sync", "tema")
    assert "carries credentials" in charkh.fails(2, "sync", "s3://key:secret@bucket/x")
    assert "CHARKH_TOKEN" in charkh.fails(2, "sync", "http://127.0.0.1:1/?token=x")
    assert "the remote's table of charkh.toml" in charkh.fails(16, "sync", "http://127.0.0.1:1/")
    nowhere = tmp_path_factory.mktemp("x") / "no" / "such" / "place"
    assert "no folder" in charkh.fails(16, "sync", nowhere)
    charkh.fails(2, "remote", "add", "team", charkh.write("a file.txt", "x"))
    empty = tmp_path_factory.mktemp("y")
    assert charkh.json("sync", empty, "--dry-run")["dry_run"] is True
    assert list(empty.iterdir()) == []
