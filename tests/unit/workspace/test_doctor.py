"""The doctor names what is wrong and what to do; each trouble here is a real one."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from charkh.core.clock import COUNTER_BITS, Clock
from charkh.core.config import Settings, StoreSettings
from charkh.core.errors import Unavailable
from charkh.core.events import Draft, stamp_draft
from charkh.datasets.add import add_table
from charkh.datasets.dataset import VERSION_KIND
from charkh.ports.journal import DataHeader
from charkh.workspace import doctor, filesystems
from charkh.workspace.doctor import Finding, examine
from charkh.workspace.filesystems import filesystem_of, is_shared
from charkh.workspace.workspace import Workspace, open_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path, create=True) as opened:
        add_table(opened.store, "rows", pl.DataFrame({"x": [1, 2]}))
        yield opened


def look(workspace: Workspace | None) -> dict[str, Finding]:
    return {each.what: each for each in examine(workspace)}


def test_a_sound_workspace_has_nothing_to_do(workspace: Workspace) -> None:
    found = look(workspace)
    assert {each.state for each in found.values()} == {"ok"}, found
    assert workspace.identifier in found["store"].detail
    assert found["segments"].detail == "1 open, 0 left behind by processes that died"
    assert {"charkh", "Python", "SQLite", "git", "charkh[postgres]", "file system", "disk", "clocks", "catalog"} <= set(
        found
    )


def test_without_a_workspace_the_programs_are_looked_at() -> None:
    found = look(None)
    assert found["workspace"].state == "warn"
    assert "charkh init" in found["workspace"].advice
    assert found["SQLite"].state == "ok"


def test_without_git_runs_know_less(monkeypatch: pytest.MonkeyPatch, workspace: Workspace, tmp_path: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path / "nothing"))
        assert (look(None)["git"].state, look(None)["git"].detail) == ("warn", "not found")
    broken = tmp_path / "bin" / "git"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(broken.parent))
    assert look(None)["git"].detail == "does not run"


def test_others_may_not_write_into_the_store_or_read_its_token(workspace: Workspace) -> None:
    folder = workspace.store_folder
    folder.chmod(0o777)
    found = look(workspace)["permissions"]
    assert (found.state, "chmod" in found.advice) == ("warn", True)
    folder.chmod(0o700)
    token = folder / "token"
    token.write_text("x")
    token.chmod(0o644)
    assert look(workspace)["permissions"].state == "fail"
    token.chmod(0o600)
    assert look(workspace)["permissions"].state == "ok"


@pytest.mark.parametrize(("free", "state"), [(100 << 20, "fail"), (900 << 20, "warn"), (9 << 30, "ok")])
def test_a_disk_that_is_nearly_full(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _folder: SimpleNamespace(total=1 << 40, free=free))
    found = look(workspace)["disk"]
    assert found.state == state
    assert bool(found.advice) is (state != "ok")


@pytest.mark.parametrize(("kind", "state"), [("nfs4", "warn"), ("fuse.sshfs", "warn"), ("ext4", "ok"), ("", "ok")])
def test_a_store_on_a_network_file_system_is_warned_of(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, kind: str, state: str
) -> None:
    monkeypatch.setattr(doctor, "filesystem_of", lambda _folder: kind)
    found = look(workspace)["file system"]
    assert found.state == state
    assert ("local disk" in found.advice) is (state == "warn")


def test_facts_from_the_future_name_their_machine(workspace: Workspace) -> None:
    ahead = Clock()
    ahead._last = ahead.now() + (3600_000 << COUNTER_BITS)  # pyright: ignore[reportPrivateUsage]
    recorded = stamp_draft(Draft(kind="thing.said/1", subject="thing:1", body={}), ahead, "eve@wrongclock")
    workspace.journal.append([recorded.payload])
    found = look(workspace)["clocks"]
    assert found.state == "warn"
    assert "facts of eve@wrongclock lie 60 minutes in the future" in found.detail


def test_a_catalog_that_cannot_be_written_fails(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise Unavailable("the database is full", hint="make room")

    monkeypatch.setattr(workspace.catalog, "catch_up", full)
    found = look(workspace)["catalog"]
    assert (found.state, found.detail, found.advice) == ("fail", "the database is full", "make room")


def test_what_nobody_could_read_is_told(workspace: Workspace) -> None:
    draft = Draft(kind=VERSION_KIND, subject="dataset:1", body={"not": "one"})
    workspace.store.record(draft)
    found = look(workspace)["events"]
    assert (found.state, found.detail) == ("warn", "1 could not be read and were put aside")


def test_many_segments_that_nobody_seals(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "WAITING", 1)
    for name in ("a", "b"):
        writer = workspace.journal.open_data(DataHeader(segment=name * 32, content="points", subject="run:1"))
        writer.append(b"x")
        writer.close()
    found = look(workspace)["points and predictions"]
    assert (found.state, found.detail) == ("warn", "0 segments being written, 2 waiting to be sealed")


def test_a_loop_without_its_gate(tmp_path: Path) -> None:
    (tmp_path / "charkh.toml").write_text('[loop.delay]\non = "every:1d"\nrun = "flights"\ngate = "strict"\n')
    with open_workspace(tmp_path) as opened:
        found = look(opened)["gate"]
    assert found.state == "fail"
    assert "[gate.strict]" in found.advice


MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:25 / /home rw - nfs4 server:/home rw
31 30 0:26 / /home/ann/my\\040data rw - fuse.sshfs ann@far: rw
32 22 0:27 / /tmp rw shared:1 master:2 - tmpfs tmpfs rw
33 22 0:28 / /tmp rw - overlay overlay rw
broken line
"""


def test_the_kernels_table_of_mounts_is_read(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    assert filesystem_of(Path("/home/ann/x"), table) == "nfs4"
    assert filesystem_of(Path("/home/ann/my data/x/y"), table) == "fuse.sshfs"
    assert filesystem_of(Path("/homer"), table) == "ext4"
    assert filesystem_of(Path("/tmp"), table) == "overlay", "the later mount hides the earlier"
    assert filesystem_of(Path("/tmp"), tmp_path / "missing") == ""
    assert filesystem_of(tmp_path) == "" or filesystem_of(tmp_path).isprintable()
    assert "nfs4" in filesystems.REMOTE
    assert [is_shared(Path(place), table) for place in ("/home/x", "/home/ann/my data/x", "/tmp")] == [
        True,
        True,
        False,
    ]


def test_the_disk_of_a_spool_and_the_versions_of_the_catalog_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    settings = Settings(store=StoreSettings(spool="always"))
    with Workspace(tmp_path, settings, create=True) as opened:
        found = look(opened)
    assert str(tmp_path / "state" / "charkh" / "open") in found["file system"].detail
    assert "run_held " in found["catalog versions"].detail
