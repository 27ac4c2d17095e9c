"""A sync that is killed or finds a full disk, and several that push at once: a later sync ends whole."""

import json
import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from charkh.assets.reach import reach
from charkh.datasets.add import add_files
from charkh.datasets.index import Datasets, DatasetVersions
from charkh.lineage.index import HeldDigests
from charkh.workspace.syncing import sync
from charkh.workspace.workspace import Workspace, open_workspace

DIE = """
import itertools, os, signal, sys
from pathlib import Path
from charkh.assets import transfer
from charkh.stores.blobs_folder import FolderBlobs
from charkh.workspace.syncing import sync
from charkh.workspace.workspace import open_workspace

folder, remote, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
transfer.LEAST_WHOLE, transfer.PACK_SIZE = 1 << 40, 40_000
put, puts = FolderBlobs.put, itertools.count(1)

def dying(self, key, parts):
    mine = next(puts)
    if mine == number:
        # In the middle of a write: the bytes are there and have no name.
        os.makedirs(f"{self._root}/.writing", exist_ok=True)
        Path(f"{self._root}/.writing/{os.getpid()}").write_bytes(b"".join(parts)[:100])
        os.kill(os.getpid(), signal.SIGKILL)
    put(self, key, parts)
    if mine == -number:
        os.kill(os.getpid(), signal.SIGKILL)

with open_workspace(folder) as workspace:
    FolderBlobs.put = dying
    sync(workspace, remote)
"""


def colleague(folder: Path) -> Workspace:
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CHARKH_ACTOR", f"{folder.name}@laptop")
        return open_workspace(folder, create=True)


def fill(workspace: Workspace, names: str) -> None:
    for name in names:
        for number in range(6):
            path = workspace.folder / f"{name}{number}.bin"
            path.write_bytes(os.urandom(60_000))
        add_files(workspace.store, name, sorted(workspace.folder.glob(f"{name}*.bin")))


def whole(workspace: Workspace) -> bool:
    found = reach(workspace.vault, workspace.store.queries.ask(HeldDigests()), {})
    return not found.missing and not found.unknown


def names(workspace: Workspace) -> list[str]:
    return [each.name for each in workspace.store.queries.ask(Datasets())]


def die(folder: Path, remote: Path, number: int) -> int:
    """Sync in a process that is killed at a write of any medium; how it ended."""
    command = [sys.executable, "-c", DIE, str(folder), str(remote), str(number)]
    environment = {**os.environ, "CHARKH_ACTOR": f"{folder.name}@laptop"}
    return subprocess.run(command, capture_output=True, env=environment, timeout=120).returncode


@pytest.mark.parametrize("number", [1, 2, 5, 9, -4, -14])
def test_killed_while_it_pushes(tmp_path: Path, number: int) -> None:
    team = tmp_path / "team"
    with colleague(tmp_path / "ann") as ann:
        fill(ann, "ab")
    assert die(tmp_path / "ann", team, number) == -signal.SIGKILL
    with colleague(tmp_path / "bob") as bob:
        # What came as far as the facts is whole; what did not is not seen.
        assert sync(bob, str(team)).complete
        assert whole(bob)
    with colleague(tmp_path / "ann") as ann, colleague(tmp_path / "bob") as bob:
        assert sync(ann, str(team)).complete
        assert sync(bob, str(team)).complete
        assert names(bob) == ["a", "b"]
        assert whole(bob)


@pytest.mark.parametrize("number", [1, 4, 9, -14])
def test_killed_while_it_pulls(tmp_path: Path, number: int) -> None:
    team = tmp_path / "team"
    with colleague(tmp_path / "ann") as ann:
        fill(ann, "ab")
        assert sync(ann, str(team)).complete
    with colleague(tmp_path / "bob"):
        pass
    assert die(tmp_path / "bob", team, number) == -signal.SIGKILL
    with colleague(tmp_path / "bob") as bob:
        assert whole(bob), "no fact came before its bytes"
        assert sync(bob, str(team)).complete
        assert names(bob) == ["a", "b"]
        assert whole(bob)


def test_a_killed_push_goes_on_where_it_was(tmp_path: Path) -> None:
    team = tmp_path / "team"
    with colleague(tmp_path / "ann") as ann:
        fill(ann, "abc")
    die(tmp_path / "ann", team, 6)
    there = sum(path.stat().st_size for path in (team / "pack").iterdir())
    assert there > 100_000
    with colleague(tmp_path / "ann") as ann:
        report = sync(ann, str(team))
        assert report.complete
        assert report.bytes_sent < 3 * 6 * 60_000 + 50_000 - there


def test_a_full_disk_at_the_receiver(tmp_path: Path) -> None:
    team = tmp_path / "team"
    with colleague(tmp_path / "ann") as ann:
        fill(ann, "ab")
        assert sync(ann, str(team)).complete
    with colleague(tmp_path / "bob"):
        pass
    # A limit on a file's size refuses a write as a full disk does: in the middle of it.
    command = [sys.executable, "-m", "charkh", "sync", str(team), "--json"]
    refused = subprocess.run(
        command,
        cwd=tmp_path / "bob",
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000)),
    )
    assert refused.returncode == 16, refused.stderr
    assert json.loads(refused.stderr)["code"] == "blobs.unavailable"
    with colleague(tmp_path / "bob") as bob:
        assert names(bob) == []
        assert sync(bob, str(team)).complete
        assert names(bob) == ["a", "b"]
        assert whole(bob)


def test_two_machines_that_push_at_once(tmp_path: Path) -> None:
    team = tmp_path / "team"
    people = ("ann", "bob", "cy")
    for name in people:
        with colleague(tmp_path / name) as workspace:
            fill(workspace, "ab")

    def push(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "charkh", "sync", str(team), "--push"]
        return subprocess.run(command, cwd=tmp_path / name, capture_output=True, text=True, timeout=120)

    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(push, people))
    assert [each.returncode for each in ended] == [0, 0, 0], [each.stderr for each in ended]
    for name in people:
        with colleague(tmp_path / name) as workspace:
            assert sync(workspace, str(team)).complete
            found = workspace.store.queries.ask(DatasetVersions(name="a"))
            assert {each.actor for each in found} == {"ann@laptop", "bob@laptop", "cy@laptop"}
            assert whole(workspace)
