"""Where the code came from: git's answers, what is kept of them, and what is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from charkh.runs import patch
from charkh.runs.machine import allowed_variables, environment_lock, this_machine
from charkh.runs.provenance import collect, provenance_draft, redacted_command
from charkh.runs.run import RunProvenance
from charkh.runs.working_tree import read_code
from charkh.testing.stores import memory_store

SECRET = "hunter2hunter2"


def in_git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    in_git(tmp_path, "init", "-q")
    (tmp_path / "train.py").write_text("rate = 0.1\n")
    in_git(tmp_path, "add", ".")
    in_git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_a_clean_tree(tree: Path) -> None:
    in_git(tree, "remote", "add", "origin", f"https://ann:{SECRET}@example.org/ann/flights.git")
    (tree / "deep").mkdir()
    state = read_code(tree / "deep")
    assert state is not None
    assert state.commit == in_git(tree, "rev-parse", "HEAD")
    assert (state.branch, state.dirty, state.patch, state.folder) == ("main", False, b"", "deep")
    assert state.remote == "https://[redacted]@example.org/ann/flights.git"


def test_a_patch_makes_the_tree_again(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (tree / "train.py").write_text("rate = 0.2\n")
    (tree / "new file.py").write_text("x = 1\nno newline at the end")
    (tree / "empty.txt").write_text("")
    (tree / "words").mkdir()
    (tree / "words" / "فارسی.txt").write_text("سلام\n")
    state = read_code(tree)
    assert state is not None
    assert state.dirty
    assert not state.patch_cut
    clone = tmp_path_factory.mktemp("clone")
    in_git(clone, "clone", "-q", str(tree), ".")
    patch = clone.parent / "it.patch"
    patch.write_bytes(state.patch)
    in_git(clone, "apply", str(patch))
    for name in ("train.py", "new file.py", "empty.txt", "words/فارسی.txt"):
        assert (clone / name).read_bytes() == (tree / name).read_bytes()


def test_secrets_binaries_and_giants_are_no_part_of_a_patch(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch, "MAX_NEW_FILE_BYTES", 100)
    (tree / ".env").write_text("WORD=plainly-said\n")
    (tree / "id_rsa").write_text("plainly-said\n")
    (tree / "picture.bin").write_bytes(b"\0plainly-said")
    (tree / "giant.txt").write_text("plainly-said" * 20)
    (tree / "link").symlink_to("train.py")
    (tree / "settings.py").write_text(f'password = "{SECRET}"\n')
    (tree / "train.py").write_text(f'api_key = "{SECRET}"\n')
    state = read_code(tree)
    assert state is not None
    assert b"plainly-said" not in state.patch
    assert SECRET.encode() not in state.patch
    assert state.patch.count(b"[redacted]") == 2
    assert state.patch_cut
    monkeypatch.setattr(patch, "MAX_PATCH_BYTES", 50)
    cut = read_code(tree)
    assert cut is not None
    assert len(cut.patch) == 50
    assert cut.patch_cut


def test_a_tree_without_a_commit(tmp_path: Path) -> None:
    in_git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("a = 1\n")
    state = read_code(tmp_path)
    assert state is not None
    assert (state.commit, state.branch, state.dirty) == ("", "main", True)
    assert b"+a = 1" in state.patch


def test_without_git_or_a_tree_nothing_is_known(
    tree: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path_factory.mktemp("bare")
    assert read_code(bare) is None
    monkeypatch.setenv("PATH", str(bare))
    state = read_code(tree)
    assert state is not None
    assert (state.commit, state.dirty) == ("", None)
    assert collect(tree).code == state


def test_a_command_line_loses_its_credentials() -> None:
    command = ["python", "train.py", "--password", SECRET, f"--token={SECRET}", "--rate", "0.1", f"API_KEY={SECRET}"]
    kept = redacted_command(command)
    assert kept[:3] == ("python", "train.py", "--password")
    assert kept[5:7] == ("--rate", "0.1")
    assert SECRET not in " ".join(kept)
    assert redacted_command(["python", "-m", "train", "--max-tokens", "512"])[-1] == "512"


def test_the_machine_and_its_distributions() -> None:
    machine = this_machine()
    assert machine.cpus == os.cpu_count()
    assert machine.memory > 0
    assert machine.python == ".".join(map(str, sys.version_info[:3]))
    lines = environment_lock().splitlines()
    names = [line.partition("==")[0].lower() for line in lines]
    assert names == sorted(names)
    assert any(line.startswith("numpy==") for line in lines)


def test_only_listed_variables_are_recorded() -> None:
    environment = {
        "OMP_NUM_THREADS": "2",
        "HOME": "/home/ann",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "XLA_FLAGS": f"--token={SECRET}",
    }
    assert allowed_variables(environment) == {"OMP_NUM_THREADS": "2", "XLA_FLAGS": "--token=[redacted]"}


def test_the_fact_holds_every_byte_it_names(tree: Path) -> None:
    store = memory_store()
    (tree / "train.py").write_text("rate = 0.2\n")
    draft = provenance_draft(store, "r" * 32, collect(tree))
    body = draft.body
    assert isinstance(body, RunProvenance)
    files = [file for file in (body.patch, body.command, body.environment, body.script, body.variables) if file]
    assert set(draft.holds) == {file.held for file in files}
    assert body.patch is not None
    assert b"+rate = 0.2" in b"".join(store.vault.read(body.patch))


def test_a_script_outside_every_tree_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "go.py"
    script.write_text(f'rate = 1\npassword = "{SECRET}"\n')
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
    found = collect(tmp_path)
    assert found.code is None
    assert found.script == "rate = 1\npassword = '[redacted]'\n"
    script.unlink()
    assert collect(tmp_path).script == ""
