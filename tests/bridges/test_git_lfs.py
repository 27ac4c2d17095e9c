"""`charkh import git-lfs` against what the real git-lfs wrote."""

import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.functional.conftest import Charkh

from charkh.bridges.git_lfs import parse_pointer

pytestmark = pytest.mark.needs("git-lfs")


class Repository:
    """A Git repository whose `*.bin` and `*.csv` git-lfs keeps."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.git("init", "-q")
        self.git("lfs", "install", "--local", "--skip-repo")
        self.git("lfs", "track", "*.bin", "*.csv")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.root, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def write(self, name: str, content: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def commit(self, message: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repo")
    made.write("data/ü 1.bin", random.Random(1).randbytes(300_000))
    made.write("data/run.bin", b"#!/bin/sh\n").chmod(0o755)
    made.write("small.txt", b"kept by Git itself")
    made.commit("Begin")
    made.write("data/ü 1.bin", random.Random(2).randbytes(300_000))
    made.commit("Measure again")
    made.write("small.txt", b"no data at all")
    made.commit("Say more")
    return made


@pytest.fixture
def charkh(tmp_path: Path) -> Charkh:
    folder = tmp_path / "workspace"
    folder.mkdir()
    command = Charkh(folder)
    command("init")
    return command


def test_commits_become_versions_and_no_byte_is_copied(repository: Repository, charkh: Charkh) -> None:
    report = charkh.json("import", "git-lfs", repository.root, "--name", "measured", "--only", "data")
    assert [each["ref"] for each in report["versions"]] == ["measured@1", "measured@2"]
    packs = sum(path.stat().st_size for path in (charkh.folder / ".charkh/packs").rglob("*") if path.is_file())
    assert packs < 6_000
    charkh("dataset", "checkout", "measured@1", "out")
    assert (charkh.folder / "out/ü 1.bin").read_bytes() == random.Random(1).randbytes(300_000)
    assert (charkh.folder / "out/run.bin").stat().st_mode & 0o100
    again = charkh.json("import", "git-lfs", repository.root / "data", "--name", "measured", "--only", "data")
    assert (again["versions"], again["there"]) == ([], 2)


def test_pointers_are_those_that_git_lfs_writes(repository: Repository) -> None:
    listed = {line.split()[0] for line in repository.git("lfs", "ls-files", "-l").splitlines()}
    paths = repository.git("-c", "core.quotePath=false", "ls-files").splitlines()
    blobs = [repository.git("cat-file", "blob", f"HEAD:{path}").encode() + b"\n" for path in paths]
    assert {pointer.oid for blob in blobs if (pointer := parse_pointer(blob))} == listed


def test_taken_bytes_stay_when_the_storage_is_pruned(repository: Repository, charkh: Charkh) -> None:
    charkh("import", "git-lfs", repository.root)
    charkh("import", "git-lfs", repository.root, "--copy")
    shutil.rmtree(repository.root / ".git/lfs")
    charkh("dataset", "checkout", "repo@1", "out")
    assert (charkh.folder / "out/data/ü 1.bin").read_bytes() == random.Random(1).randbytes(300_000)


def test_missing_objects_are_reported(repository: Repository, charkh: Charkh) -> None:
    (lost,) = [
        line.split()[0] for line in repository.git("lfs", "ls-files", "-l", "HEAD~2").splitlines() if "1.bin" in line
    ]
    (repository.root / f".git/lfs/objects/{lost[:2]}/{lost[2:4]}/{lost}").unlink()
    done = charkh.run("import", "git-lfs", repository.root)
    assert done.returncode == 3
    assert "git lfs fetch --all" in done.stderr
    assert len(charkh.json("dataset", "list")) == 1


def test_a_table_is_one(tmp_path: Path, charkh: Charkh) -> None:
    repository = Repository(tmp_path / "repo")
    repository.write("rows.csv", b"a,b\n1,2\n")
    repository.commit("Begin")
    charkh("import", "git-lfs", repository.root, "--only", "rows.csv")
    (version,) = charkh.json("dataset", "log", "rows.csv")
    assert version["made"]["rows"] == 1


def test_what_is_no_repository_is_told(charkh: Charkh, tmp_path: Path) -> None:
    assert "git in" in charkh.fails(13, "import", "git-lfs", tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "version https://git-lfs.github.com/spec/v1\n",
        "version https://example.org\noid sha256:" + "a" * 64 + "\nsize 1\n",
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + "g" * 64 + "\nsize 1\n",
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize -1\n",
        "oid sha256:" + "a" * 64 + "\nversion https://git-lfs.github.com/spec/v1\nsize 1\n",
    ],
)
def test_what_is_no_pointer_is_none(text: str) -> None:
    assert parse_pointer(text.encode()) is None


def test_a_pointer_with_extensions_is_read() -> None:
    text = "version https://git-lfs.github.com/spec/v1\next-0-foo sha256:" + "b" * 64
    found: Any = parse_pointer(f"{text}\noid sha256:{'a' * 64}\nsize 12\n".encode())
    assert (found.oid, found.size) == ("a" * 64, 12)
