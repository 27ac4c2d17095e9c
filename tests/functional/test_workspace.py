"""A user makes a workspace, looks after it, verifies it, frees what is not held, and finds damage."""

from pathlib import Path
from typing import Any


def test_from_init_to_a_damaged_pack(charkh: Any) -> None:
    assert "is a workspace already" in charkh.fails(14, "init")
    charkh.write("rows.csv", "a,b\n1,2\n3,4\n")
    charkh("dataset", "add", "rows", "rows.csv")

    states = {each["what"]: each["state"] for each in charkh.json("doctor")}
    assert set(states.values()) == {"ok"}, states
    assert {"charkh", "SQLite", "store", "disk", "catalog", "segments", "clocks"} <= set(states)
    assert "journal mode" in charkh("doctor")

    report = charkh.json("fsck", "--everything")
    assert report["sound"] is True
    assert report["report"]["bytes"]["records"] >= 2
    assert "every event was read" in charkh("fsck", "--sample")

    audit = charkh.json("audit", "verify")
    assert (audit["problems"], audit["facts"]) == ([], 1)
    assert audit["head"] in charkh("audit", "verify", "--head", audit["head"])
    assert "is not a chain head" in charkh.fails(2, "audit", "verify", "--head", "x")

    told = charkh.json("gc", "--dry-run")["collected"]
    assert (told["dry_run"], told["freed"]) == (True, [])
    assert "was not told to" in charkh.fails(2, "gc")
    assert "freed 0 B" in charkh("gc", "--yes")

    lines = charkh("trace", "rows@1")
    assert "rows of rows@1" in lines
    assert "added by" in lines
    assert "added by" not in charkh("trace", "rows@1", "--brief")
    assert charkh.json("trace", "rows@1")["sources"][0]["files"] == [["rows.csv", 0, 2]]
    assert "Give a prediction's id" in charkh.fails(2, "trace", "nonsense")

    for pack in (charkh.folder / ".charkh").glob("packs/**/*"):
        if pack.is_file() and pack.stat().st_size > 100:
            _flip(pack, pack.stat().st_size // 2)
    said = charkh.fails(15, "fsck", "--everything")
    assert "nothing was deleted" in said
    (sealed,) = (charkh.folder / ".charkh" / "journal" / "sealed").glob("*.facts")
    _flip(sealed, 60)
    assert "the audit trail is broken" in charkh.fails(15, "audit", "verify")


def test_the_doctor_helps_where_there_is_no_workspace(charkh: Any, tmp_path_factory: Any) -> None:
    outside = tmp_path_factory.mktemp("outside")
    result = charkh.run("-C", outside, "doctor")
    assert result.returncode == 0
    assert "charkh init" in result.stdout
    assert charkh.run("-C", outside, "fsck").returncode == 10
    (charkh.folder / ".charkh" / "token").write_text("x")
    (charkh.folder / ".charkh" / "token").chmod(0o644)
    assert "not as it should be: permissions" in charkh.fails(16, "doctor")


def _flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.chmod(0o600)
    path.write_bytes(data)
