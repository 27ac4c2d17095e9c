"""Two colleagues, one repository, one remote for bytes: under Git, Mercurial and Subversion, and under none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.functional.conftest import Charkh
from tests.unit.runs.working_trees import SYSTEMS, WorkingTree


class Team:
    """Ann and Bob, each with a clone of one repository and a store of their own."""

    def __init__(self, system: str, folder: Path) -> None:
        self.system = system
        self.remote = folder / "shared"
        self.ann = WorkingTree(system, folder / "ann")
        self.charkh = Charkh(self.ann.folder)
        self.ann.write("charkh.toml", f'[remote.team]\nurl = "{self.remote}"\n')
        self.ann.commit("charkh.toml")
        self.central = folder / "central"
        if system == "git":
            self.ann("git", "clone", "-q", "--bare", ".", str(self.central))
            self.ann("git", "remote", "add", "origin", str(self.central))
            self.ann("git", "fetch", "-q")
            self.ann("git", "branch", "-q", "--set-upstream-to=origin/main")
        elif system == "hg":
            self.ann("hg", "clone", "-q", "-U", ".", str(self.central))
            self.ann.write(".hg/hgrc", f"[paths]\ndefault = {self.central}\n")
        else:
            self.central = folder / "repository" / "trunk"

    def clone(self, name: str) -> Charkh:
        folder = self.ann.folder.with_name(name)
        source = f"file://{self.central}" if self.system == "svn" else str(self.central)
        verb = "checkout" if self.system == "svn" else "clone"
        self.ann(self.system, verb, "-q", source, str(folder))
        return Charkh(folder)

    def push(self) -> subprocess.CompletedProcess[str]:
        """Ann gives her commits away; under Subversion, they have been given with the commit."""
        command = ["true"] if self.system == "svn" else [self.system, "push", "-q"]
        return subprocess.run(command, cwd=self.ann.folder, capture_output=True, text=True, check=False)

    def update(self, folder: Path) -> None:
        commands = {
            "git": ["git", "pull", "-q", "--ff-only"],
            "hg": ["hg", "pull", "-q", "-u"],
            "svn": ["svn", "update", "-q"],
        }
        result = subprocess.run(commands[self.system], cwd=folder, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr


def problems(charkh: Charkh, *arguments: str) -> list[str]:
    result = charkh.run("lock", "verify", *arguments, "--json")
    assert result.returncode == 4, result.stderr
    return [each["problem"] for each in json.loads(result.stdout)["pins"]]


@pytest.mark.parametrize("system", SYSTEMS)
def test_code_and_data_travel_together(system: str, tmp_path: Path) -> None:
    team = Team(system, tmp_path)
    ann = team.charkh
    for name in ("a.csv", "old.csv"):
        ann.write(f"in/{name}", "value\n1\n")
    ann("dataset", "add", "flights", "in")
    ann("lock", "add", "flights", "--to", "data/flights")
    team.ann.commit("charkh.lock")
    hooked = system != "svn"
    if hooked:
        ann("hooks", "install")
        refused = team.push()
        assert refused.returncode != 0
        assert "flights@1 (missing)" in refused.stderr
    else:
        assert "svn update" in ann.fails(2, "hooks", "install")
        assert problems(team.clone("early"), "--remote", "team") == ["unknown"]
    assert problems(ann, "--remote", "team") == ["missing"]
    ann("sync")
    ann("lock", "verify", "--remote", "team")
    assert team.push().returncode == 0

    bob = team.clone("bob")
    bob("lock", "checkout")
    assert {path.name for path in (bob.folder / "data/flights").iterdir()} == {"a.csv", "old.csv"}
    if hooked:
        bob("hooks", "install", "--checkout")
    (ann.folder / "in/old.csv").unlink()
    ann.write("in/new.csv", "value\n2\n")
    ann("dataset", "add", "flights", "in")
    ann("lock", "update")
    ann("sync")
    team.ann.commit("charkh.lock")
    assert team.push().returncode == 0
    team.update(bob.folder)
    if not hooked:
        bob("lock", "checkout")
    assert {path.name for path in (bob.folder / "data/flights").iterdir()} == {"a.csv", "new.csv"}
    assert (bob.folder / "data/flights/new.csv").read_text() == "value\n2\n"


@pytest.mark.needs("subversion")
def test_the_server_of_subversion_refuses_what_nobody_pushed(tmp_path: Path) -> None:
    team = Team("svn", tmp_path)
    guide = (Path(__file__).parents[2] / "docs/guides/version-control.md").read_text()
    script = next(block for block in guide.split("```sh\n") if block.startswith("#!/bin/sh\n")).partition("```")[0]
    server = tmp_path / "server"
    (server / "bin").mkdir(parents=True)
    (server / "bin/charkh").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m charkh "$@"\n')
    (server / "bin/charkh").chmod(0o755)
    (server / "charkh.toml").write_text((team.ann.folder / "charkh.toml").read_text())
    hook = tmp_path / "repository/hooks/pre-commit"
    hook.write_text(script.replace("/srv/charkh", str(server)))
    hook.chmod(0o755)
    team.charkh.write("rows.csv", "value\n1\n")
    team.charkh("dataset", "add", "flights", "rows.csv")
    team.charkh("lock", "add", "flights")
    command = ["svn", "commit", "-qm", "Pin the data"]
    team.ann("svn", "add", "-q", "charkh.lock")
    refused = subprocess.run(command, cwd=team.ann.folder, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "flights@1 (unknown)" in refused.stderr
    team.charkh("sync")
    team.ann(*command)
    assert team.ann("svn", "status", "charkh.lock") == ""


def test_hooks_of_others_stay(tmp_path: Path) -> None:
    tree = WorkingTree("git", tmp_path / "tree")
    charkh = Charkh(tree.folder)
    charkh("init")
    theirs = '#!/bin/sh\nread line\necho "theirs: $line"\nexit 0\n'
    hook = tree.write(".git/hooks/pre-push", theirs)
    hook.chmod(0o755)
    first = charkh.json("hooks", "install", "--checkout")
    assert [(each["name"], each["installed"]) for each in first] == [
        ("pre-push", True),
        ("post-checkout", True),
        ("post-merge", True),
    ]
    text = hook.read_text()
    assert charkh.json("hooks", "install", "--checkout") == first
    assert hook.read_text() == text, "a second time changes nothing"
    ran = subprocess.run([str(hook)], cwd=tree.folder, input="refs\n", capture_output=True, text=True, check=True)
    assert ran.stdout == "theirs: refs\n", "what git says to the hook is theirs to read"
    assert [each["installed"] for each in charkh.json("hooks", "install")] == [True, False, False]
    charkh("hooks", "remove")
    assert hook.read_text() == theirs
    assert not (tree.folder / ".git/hooks/post-merge").exists()
    hook.write_text("#!/usr/bin/env python3\nprint('theirs')\n")
    assert "no shell script" in charkh.fails(14, "hooks", "install")


@pytest.mark.needs("mercurial")
def test_settings_of_a_clone_stay(tmp_path: Path) -> None:
    tree = WorkingTree("hg", tmp_path / "tree")
    charkh = Charkh(tree.folder)
    charkh("init")
    theirs = "[ui]\nusername = Ann\n[hooks]\nupdate.mine = true\n"
    settings = tree.write(".hg/hgrc", theirs)
    charkh("hooks", "install")
    text = settings.read_text()
    charkh("hooks", "install")
    assert settings.read_text() == text
    assert tree("hg", "config", "hooks.update.mine") == "true"
    assert "hooks run prove" in tree("hg", "config", "hooks.pre-push.charkh")
    charkh("hooks", "remove")
    assert settings.read_text() == theirs


def test_without_version_control_the_lock_is_enough(charkh: Charkh) -> None:
    charkh.write("rows.csv", "value\n1\n")
    charkh("dataset", "add", "flights", "rows.csv")
    for verb in ("verify", "checkout"):
        assert "there is no " in charkh.fails(13, "lock", verb), "a lock that is missing holds nothing"
    charkh("lock", "add", "flights", "--to", "data")
    assert "charkh dataset checkout flights@1 ../x" in charkh.fails(2, "lock", "checkout", "flights=../x")
    charkh("lock", "checkout")
    assert (charkh.folder / "data/rows.csv").is_file()
    charkh("lock", "verify")
    assert "no version control" in charkh.fails(13, "hooks", "install")
