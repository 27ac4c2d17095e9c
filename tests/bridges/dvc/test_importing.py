"""`charkh import dvc` against what the real DVC wrote."""

import random
import shutil
from pathlib import Path

import pytest
from tests.bridges.dvc.repository import Repository
from tests.functional.conftest import Charkh

from charkh.bridges.dvc.hashes import directory_oid, parse_directory

pytestmark = pytest.mark.needs("peer:dvc")


def rows(count: int) -> str:
    source = random.Random(7)
    return "a,b\n" + "".join(f"{number},{source.random()}\n" for number in range(count))


def pack_bytes(charkh: Charkh) -> int:
    return sum(path.stat().st_size for path in (charkh.folder / ".charkh" / "packs").rglob("*") if path.is_file())


@pytest.fixture(scope="session")
def grown(empty_repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Two commits, pushed: a table that grows, and a folder that loses a file."""
    made = empty_repository.copy(tmp_path_factory.mktemp("grown"))
    made.write("data/flights.csv", rows(20_000))
    for number in range(3):
        made.write(f"data/images/{number}.bin", random.Random(number).randbytes(70_000 * (number + 1)))
    made("add", "-q", "data/flights.csv", "data/images")
    made.commit("Add the first data")
    made.write("data/flights.csv", rows(20_100))
    (made.root / "data/images/0.bin").unlink()
    made("add", "-q", "data/flights.csv", "data/images")
    made.commit("Add a hundred rows")
    made("push", "-q", "--all-commits")
    return made


@pytest.fixture
def history(grown: Repository, tmp_path: Path) -> Repository:
    """A copy of it."""
    return grown.copy(tmp_path)


def test_history_becomes_versions_and_no_byte_is_copied(history: Repository, charkh: Charkh) -> None:
    report = charkh.json("import", "dvc", history.root)
    assert [each["ref"] for each in report["versions"]] == [
        "data/flights.csv@1",
        "data/images@1",
        "data/flights.csv@2",
        "data/images@2",
    ]
    first, second = history.git("rev-parse", "HEAD~1"), history.git("rev-parse", "HEAD")
    assert [each["commit"] for each in report["versions"]] == [first, first, second, second]
    total = sum(each["size"] for each in report["versions"])
    # What is stored is chunk lists, trees and headers.
    assert pack_bytes(charkh) < 12_000 < total // 100
    assert [each["made"]["rows"] for each in charkh.json("dataset", "log", "data/flights.csv")] == [20_100, 20_000]
    (newest, oldest) = charkh.json("dataset", "log", "data/flights.csv")
    assert oldest["made"]["message"].startswith("Add the first data (Ann Example, ")
    assert f"git {second}" in newest["made"]["sources"]

    charkh("dataset", "checkout", "data/flights.csv@1", "out")
    assert (charkh.folder / "out/flights.csv").read_text() == rows(20_000)
    charkh("dataset", "checkout", "data/images@1", "images")
    assert (charkh.folder / "images/0.bin").read_bytes() == random.Random(0).randbytes(70_000)
    assert "missing" not in charkh("fsck")


def test_importing_again_adds_only_what_is_new(history: Repository, charkh: Charkh) -> None:
    charkh("import", "dvc", history.root)
    again = charkh.json("import", "dvc", history.root / "data")
    assert (again["versions"], again["there"]) == ([], 4)
    history.write("data/flights.csv", rows(5))
    history("add", "-q", "data/flights.csv")
    assert charkh.json("import", "dvc", history.root)["uncommitted"] == ["data/flights.csv.dvc"]
    history.commit("Begin anew")
    assert [each["ref"] for each in charkh.json("import", "dvc", history.root)["versions"]] == ["data/flights.csv@3"]


def test_bytes_that_vanish_are_told_by_file_and_copied_ones_stay(history: Repository, charkh: Charkh) -> None:
    charkh("import", "dvc", history.root, "--only", "data/flights.csv")
    charkh("import", "dvc", history.root, "--only", "data/images", "--copy")
    shutil.rmtree(history.root / ".dvc/cache")
    said = charkh.fails(13, "dataset", "checkout", "data/flights.csv@1", "out")
    assert ".dvc/cache/files/md5/" in said
    assert "dvc fetch" in said
    charkh("dataset", "checkout", "data/images@2", "images")
    assert (charkh.folder / "images/2.bin").read_bytes() == random.Random(2).randbytes(210_000)


def test_bytes_that_changed_are_never_given_out(history: Repository, charkh: Charkh) -> None:
    charkh("import", "dvc", history.root)
    for path in (history.root / ".dvc/cache/files/md5").rglob("*"):
        if path.is_file() and path.stat().st_size > 100_000:
            path.chmod(0o644)
            data = bytearray(path.read_bytes())
            data[-5] ^= 1
            path.write_bytes(data)
    assert "is not what it was" in charkh.fails(15, "dataset", "checkout", "data/flights.csv@1", "out")


def test_what_the_cache_lacks_is_reported_and_pulled_when_asked(history: Repository, charkh: Charkh) -> None:
    shutil.rmtree(history.root / ".dvc/cache")
    history("fetch", "-q", "data/flights.csv")
    done = charkh.run("import", "dvc", history.root, "--json")
    assert done.returncode == 3
    assert "--pull" in done.stdout
    assert [each["made"]["number"] for each in charkh.json("dataset", "log", "data/flights.csv")] == [1]
    report = charkh.json("import", "dvc", history.root, "--pull")
    assert (len(report["versions"]), report["failed"]) == (3, [])
    log = charkh.json("dataset", "log", "data/flights.csv")
    # The older state came in later, so the newest was said once more.
    assert [each["made"]["rows"] for each in log] == [20_100, 20_000, 20_100]
    assert charkh.json("import", "dvc", history.root)["versions"] == []


def test_a_damaged_object_gives_no_version(dvc: Repository, charkh: Charkh) -> None:
    dvc.write("a.bin", b"x" * 1000)
    dvc.write("b.bin", b"y" * 1000)
    dvc("add", "-q", "a.bin", "b.bin")
    dvc.commit("Add two")
    damaged = next(path for path in (dvc.root / ".dvc/cache/files/md5").rglob("*") if path.is_file())
    damaged.chmod(0o644)
    damaged.write_bytes(b"\0" * 1000)
    done = charkh.run("import", "dvc", dvc.root)
    assert done.returncode == 3
    assert "is not what its name says" in done.stderr
    assert len(charkh.json("dataset", "list")) == 1


def test_a_cache_of_dvc_2_is_read(dvc: Repository, charkh: Charkh) -> None:
    """The layout and the hash of DVC before 3.0, which took `\\r\\n` for `\\n`; `dvc` itself calls it clean."""
    text = b"a,b\r\n1,2\r\n"
    from charkh.bridges.dvc.hashes import oid_of

    oid = oid_of(text, legacy=True)
    path = dvc.write(f".dvc/cache/{oid[:2]}/{oid[2:]}", text)
    path.chmod(0o444)
    dvc.write("old.csv", text)
    dvc.write("old.csv.dvc", f"outs:\n- md5: {oid}\n  size: {len(text)}\n  path: old.csv\n")
    dvc.write(".gitignore", "/old.csv\n")
    assert "up to date" in dvc("status")
    dvc.commit("As it was in 2022")
    charkh("import", "dvc", dvc.root)
    charkh("dataset", "checkout", "old.csv", "out")
    assert (charkh.folder / "out/old.csv").read_bytes() == text


def test_a_stage_s_outputs_come_from_the_lock(dvc: Repository, charkh: Charkh) -> None:
    dvc.write("params.yaml", "places: [work]\n")
    dvc.write(
        "sub/dvc.yaml",
        "vars: [../params.yaml]\nstages:\n  make:\n    foreach: ${places}\n    do:\n      wdir: ${item}\n"
        "      cmd: mkdir -p o && echo one > o/a.txt && echo 3 > m-${item}.json\n"
        "      outs: [o]\n      metrics:\n      - m-${item}.json: {cache: false}\n",
    )
    (dvc.root / "sub/work").mkdir()
    dvc("repro", "-q", "sub/dvc.yaml")
    dvc.commit("Make it")
    report = charkh.json("import", "dvc", dvc.root)
    assert [(each["ref"], each["path"]) for each in report["versions"]] == [("sub/work/o@1", "sub/work/o")]
    assert report["failed"] == []


def test_a_repository_without_git_is_its_working_copy(dvc: Repository, charkh: Charkh) -> None:
    dvc.write("Größe 1.txt", "hello")
    dvc("add", "-q", "Größe 1.txt")
    shutil.rmtree(dvc.root / ".git")
    report = charkh.json("import", "dvc", dvc.root, "--prefix", "old")
    assert report["names"] == [["Größe 1.txt", "old/Größe_1.txt"]]
    assert charkh.json("import", "dvc", dvc.root, "--prefix", "old")["there"] == 1


def test_a_folder_list_of_ours_is_the_one_that_dvc_wrote(dvc: Repository) -> None:
    for name in ("ü/ä.txt", "a b.txt", "a/b.txt", "a.txt", 'q"uote.txt'):
        dvc.write(f"d/{name}", name)
    dvc("add", "-q", "d")
    (written,) = (dvc.root / ".dvc/cache/files/md5").rglob("*.dir")
    oid = written.parent.name + written.name
    assert directory_oid(parse_directory(written.read_bytes(), oid)) == oid


def test_what_is_no_repository_is_told(charkh: Charkh, tmp_path: Path) -> None:
    assert "no DVC repository" in charkh.fails(13, "import", "dvc", tmp_path)


def test_adopted_bytes_go_to_a_colleague(history: Repository, charkh: Charkh, tmp_path: Path) -> None:
    charkh("import", "dvc", history.root)
    charkh("sync", tmp_path / "shared")
    colleague = Charkh(tmp_path / "colleague")
    colleague.folder.mkdir()
    colleague("init")
    colleague("sync", tmp_path / "shared")
    shutil.rmtree(history.root / ".dvc/cache")
    colleague("dataset", "checkout", "data/flights.csv@1", "out")
    assert (colleague.folder / "out/flights.csv").read_text() == rows(20_000)
