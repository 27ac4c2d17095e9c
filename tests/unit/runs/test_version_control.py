"""Git, Mercurial and Subversion say the same things of the same tree, and give it back."""

from pathlib import Path

import pytest
from tests.unit.runs.working_trees import SYSTEMS, USER, WorkingTree

from charkh.core.errors import Conflict, NotFound, Unavailable
from charkh.runs.version_control import Revision, VersionControl
from charkh.runs.working_tree import find_system, read_code, system_named

SECRET = "hunter2hunter2"


@pytest.fixture(params=SYSTEMS)
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> WorkingTree:
    made = WorkingTree(request.param, tmp_path / "tree")
    made.write("train.py", "rate = 0.1\n\n\n\nepochs = 3\n")
    made.write("deep/model.py", "layers = 2\n")
    made.commit("train.py", "deep/model.py")
    return made


def system_of(tree: WorkingTree) -> VersionControl:
    found = system_named(tree.system)
    assert found is not None
    return found


def files(folder: Path) -> dict[str, bytes]:
    hidden = {".git", ".hg", ".svn"}
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not hidden & {*path.relative_to(folder).parts}
    }


def test_a_clean_tree(tree: WorkingTree) -> None:
    tree.write(".charkh/.gitignore", "*\n")
    tree.write(".charkh/format.json", "{}\n")
    state = read_code(tree.folder / "deep")
    assert state is not None
    assert (state.system, state.commit, state.dirty) == (tree.system, tree.revision(), False)
    assert state.branch == {"git": "main", "hg": "default", "svn": "trunk"}[tree.system]
    assert (state.root, state.folder, state.patch, state.patch_cut) == (str(tree.folder), "deep", b"", False)


def test_commit_and_patch_are_the_tree_again(tree: WorkingTree, tmp_path: Path) -> None:
    tree.write("train.py", "rate = 0.2\n\n\n\nepochs = 4\n")
    tree.write("new file.py", "x = 1\nno newline at the end")
    tree.write("empty.txt", "")
    tree.write("words/فارسی.txt", "سلام\n")
    tree.write("latin.txt", "caf\xe9\n".encode("latin-1"))
    state = read_code(tree.folder)
    assert state is not None
    assert state.dirty
    assert not state.patch_cut
    again = tmp_path / "again"
    again.mkdir()
    system_of(tree).check_out(tree.folder, Revision(state.commit, state.branch), again)
    assert files(again) == {"train.py": b"rate = 0.1\n\n\n\nepochs = 3\n", "deep/model.py": b"layers = 2\n"}
    system_of(tree).apply(again, state.patch)
    assert files(again) == files(tree.folder)
    anew = read_code(again)
    assert anew is not None
    assert (anew.commit, anew.dirty) == (state.commit, True)


def test_an_older_commit_is_checked_out_and_the_tree_stays(tree: WorkingTree, tmp_path: Path) -> None:
    first = tree.revision()
    tree.write("train.py", "rate = 0.9\n")
    tree.commit("train.py")
    before = files(tree.folder)
    again = tmp_path / "again"
    again.mkdir()
    system_of(tree).check_out(tree.folder, Revision(first), again)
    assert (again / "train.py").read_text().startswith("rate = 0.1")
    assert files(tree.folder) == before


def test_a_commit_that_is_lost_is_named(tree: WorkingTree, tmp_path: Path) -> None:
    lost = "4711" if tree.system == "svn" else "5" * 40
    again = tmp_path / "again"
    again.mkdir()
    with pytest.raises(NotFound) as caught:
        system_of(tree).check_out(tree.folder, Revision(lost, remote="https://example.org/flights"), again)
    assert caught.value.code == "replay.commit_missing"
    assert lost in caught.value.message
    assert "--repository" in caught.value.hint


def test_a_patch_that_does_not_fit_is_refused(tree: WorkingTree, tmp_path: Path) -> None:
    tree.write("train.py", "rate = 0.2\n\n\n\nepochs = 3\n")
    state = read_code(tree.folder)
    assert state is not None
    again = tmp_path / "again"
    again.mkdir()
    system_of(tree).check_out(tree.folder, Revision(state.commit), again)
    (again / "train.py").write_text("nothing\nof\nthe\nkind\n")
    with pytest.raises(Conflict) as caught:
        system_of(tree).apply(again, state.patch)
    assert caught.value.code == "replay.patch"


def test_credentials_and_binaries_are_no_part_of_a_patch(tree: WorkingTree) -> None:
    tree.write("picture.bin", b"\0\1\2")
    tree.commit("picture.bin")
    tree.write("picture.bin", b"\0\1\3")
    tree.write(".env", "WORD=plainly-said\n")
    tree.write("train.py", f'api_key = "{SECRET}"\n')
    state = read_code(tree.folder)
    assert state is not None
    assert b"plainly-said" not in state.patch
    assert SECRET.encode() not in state.patch
    assert b"[redacted]" in state.patch
    assert state.patch_cut, "the picture differs, and no text says how"


def test_a_tree_without_a_commit(tmp_path: Path) -> None:
    for system in ("git", "hg"):
        made = WorkingTree(system, tmp_path / system)
        made.write("a.py", "a = 1\n")
        state = read_code(made.folder)
        assert state is not None
        assert (state.commit, state.dirty) == ("", True)
        assert state.branch == {"git": "main", "hg": "default"}[system]
        assert b"+a = 1" in state.patch


test_a_tree_without_a_commit = pytest.mark.needs("mercurial")(test_a_tree_without_a_commit)


def test_a_missing_program_says_nothing_and_breaks_nothing(
    tree: WorkingTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    state = read_code(tree.folder)
    assert state is not None
    assert (state.system, state.commit, state.dirty, state.patch) == (tree.system, "", None, b"")
    with pytest.raises(Unavailable):
        system_of(tree).check_out(tree.folder, Revision("1"), tmp_path)


def test_the_nearest_system_counts(tree: WorkingTree, tmp_path: Path) -> None:
    inner = WorkingTree("git", tree.folder / "vendored")
    found = find_system(inner.folder)
    assert found is not None
    assert (found[0].name, found[1]) == ("git", inner.folder)
    assert find_system(tmp_path) is None


def test_git_in_a_worktree_a_submodule_and_detached(tmp_path: Path) -> None:
    main = WorkingTree("git", tmp_path / "main")
    main.write("train.py", "rate = 1\n")
    main.commit("train.py")
    main("git", "worktree", "add", "-q", "-b", "side", "../side")
    side = read_code(tmp_path / "side")
    assert side is not None
    assert (side.branch, side.commit, side.root) == ("side", main.revision(), str(tmp_path / "side"))
    outer = WorkingTree("git", tmp_path / "outer")
    outer("git", "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../main", "code")
    code = read_code(outer.folder / "code")
    assert code is not None
    assert (code.commit, code.root) == (main.revision(), str(outer.folder / "code"))
    main("git", "checkout", "-q", "--detach")
    detached = read_code(main.folder)
    assert detached is not None
    assert (detached.branch, detached.commit) == ("", main.revision())
    again = tmp_path / "again"
    again.mkdir()
    system = system_named("git")
    assert system is not None
    system.check_out(tmp_path / "side", Revision(side.commit), again)
    assert files(again) == {"train.py": b"rate = 1\n"}


def test_no_hook_of_git_runs_and_a_hooks_own_variables_do_not_mislead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = WorkingTree("git", tmp_path / "tree")
    tree.write("train.py", "rate = 1\n")
    tree.commit("train.py")
    hook = tree.write(".git/hooks/post-checkout", f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    tree("git", "config", "core.fsmonitor", str(hook))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    again = tmp_path / "again"
    again.mkdir()
    state = read_code(tree.folder)
    assert state is not None
    assert len(state.commit) == 40
    system = system_named("git")
    assert system is not None
    system.check_out(tree.folder, Revision(state.commit), again)
    assert not (tmp_path / "ran").exists()


@pytest.mark.needs("mercurial")
def test_no_hook_of_mercurial_runs(tmp_path: Path) -> None:
    tree = WorkingTree("hg", tmp_path / "tree")
    tree.write("train.py", "rate = 1\n")
    tree("hg", "add", "-q", "train.py")
    tree("hg", "commit", "-qm", "first", "-u", USER)
    hooks = ("update", "preupdate.mine", "outgoing.mine", "post-update")
    tree.write(".hg/hgrc", "[hooks]\n" + "".join(f"{name} = touch {tmp_path}/ran\n" for name in hooks))
    again = tmp_path / "again"
    again.mkdir()
    system = system_named("hg")
    assert system is not None
    system.check_out(tree.folder, Revision(tree.revision()), again)
    assert files(again) == {"train.py": b"rate = 1\n"}
    assert not (tmp_path / "ran").exists()


@pytest.mark.needs("subversion")
def test_a_working_copy_at_several_revisions_is_given_back_as_it_was(tmp_path: Path) -> None:
    tree = WorkingTree("svn", tmp_path / "tree")
    for name in ("a.txt", "b.txt"):
        tree.write(name, "1\n")
    tree.commit("a.txt", "b.txt")
    tree("svn", "update", "-q")
    for name in ("a.txt", "b.txt"):
        tree.write(name, "2\n")
        tree("svn", "commit", "-qm", "two", name)
    tree("svn", "update", "-q", "-r", "2", "a.txt")
    assert ":" in tree("svnversion", "-n")
    state = read_code(tree.folder)
    assert state is not None
    assert state.commit == tree.revision()
    again = tmp_path / "again"
    again.mkdir()
    system = system_named("svn")
    assert system is not None
    system.check_out(tree.folder, Revision(state.commit), again)
    system.apply(again, state.patch)
    assert files(again) == files(tree.folder)
    assert not state.patch_cut


@pytest.mark.needs("subversion")
def test_a_switched_working_copy_names_its_branch(tmp_path: Path) -> None:
    tree = WorkingTree("svn", tmp_path / "tree")
    tree("svn", "switch", "-q", "--ignore-ancestry", "^/other")
    state = read_code(tree.folder)
    assert state is not None
    assert (state.branch, state.commit, state.dirty) == ("other", "1", False)
    assert state.remote.endswith("/repository/other")
