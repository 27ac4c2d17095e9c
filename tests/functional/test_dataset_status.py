"""Status: a person asks what an add would bring, and nothing is stored."""

import shutil

from tests.functional.conftest import Charkh


def test_status_tells_what_an_add_would_bring(charkh: Charkh) -> None:
    data = charkh.folder / "data"
    data.mkdir()
    for number in range(30):
        (data / f"{number:02}.bin").write_text(f"{number}")
    assert "30 new" in charkh("dataset", "status", "x", "data")
    charkh("dataset", "add", "x", "data")
    assert charkh("dataset", "status", "x", "data") == "nothing differs from x@1: 30 files\n"
    (data / "07.bin").write_text("seven")
    (data / "08.bin").unlink()
    (data / "new.bin").write_text("new")
    before = sorted(path.name for path in (charkh.folder / ".charkh/packs/pack").iterdir())
    text = charkh("dataset", "status", "x", "data", "--limit", "2")
    assert text.splitlines()[:4] == ["\tfile", "new\tnew.bin", "changed\t07.bin", "removed\t08.bin"]
    assert "against x@1: 1 new, 1 changed, 1 removed, 28 unchanged" in text
    found = charkh.json("dataset", "status", "x", "data")
    assert (found["new_paths"], found["changed_paths"], found["removed_paths"]) == (["new.bin"], ["07.bin"], ["08.bin"])
    assert sorted(path.name for path in (charkh.folder / ".charkh/packs/pack").iterdir()) == before
    charkh("dataset", "add", "x", "data")
    assert charkh.json("dataset", "status", "x", "data", "--against", "x@1")["changed"] == 1


def test_the_caches_may_be_deleted(charkh: Charkh) -> None:
    (charkh.folder / "data").mkdir()
    (charkh.folder / "data/a.csv").write_text("a,b\n1,2\n")
    charkh("dataset", "add", "x", "data")
    shutil.rmtree(charkh.folder / ".charkh/cache")
    assert "it was there already" in charkh("dataset", "add", "x", "data")
    (charkh.folder / ".charkh/cache/stat.sqlite").write_bytes(b"garbage" * 500)
    assert "it was there already" in charkh("dataset", "add", "x", "data")
    assert "nothing differs" in charkh("dataset", "status", "x", "data")
