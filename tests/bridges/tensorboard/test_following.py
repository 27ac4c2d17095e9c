"""Files that grow are followed: only new bytes are read, and nothing is taken twice, whatever dies in between."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.functional.test_server import Server

from charkh.bridges.tensorboard import event_file
from charkh.bridges.tensorboard.events import SESSION_START, Event, Value
from charkh.bridges.tensorboard.follow import Follower
from charkh.bridges.tensorboard.importing import follower_of, import_logdir
from charkh.bridges.tensorboard.tensors import Image, encode_image
from charkh.core.errors import Invalid, NotFound
from charkh.runs.delete import delete_run
from charkh.runs.find import by_id
from charkh.runs.history import metric_histories, metric_history
from charkh.runs.index import SealedOf
from charkh.runs.media import list_media
from charkh.runs.seal import seal_ended
from charkh.runs.search import search
from charkh.workspace.workspace import Workspace, open_workspace

EventFile = event_file.EventFile
NAME = "events.out.tfevents.1700000000.host.1.0"


@pytest.fixture(autouse=True)
def _closed_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what a test left open, as the end of a training does."""
    opened: list[event_file.EventFile] = []

    def begin(file: event_file.EventFile, path: Path, created: float) -> None:
        real(file, path, created)
        opened.append(file)

    real = event_file.EventFile.__init__
    monkeypatch.setattr(event_file.EventFile, "__init__", begin)
    yield
    for each in opened:
        each.close()


@pytest.fixture
def logdir(tmp_path: Path) -> Path:
    folder = tmp_path / "logs" / "a"
    folder.mkdir(parents=True)
    return folder.parent


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "workspace", create=True) as opened:
        yield opened


def scalar(step: int, value: float | None = None, tag: str = "loss") -> Event:
    return Event(time=1.7e9 + step, step=step, values=(Value(tag=tag, simple=float(step if value is None else value)),))


def picture(step: int) -> Event:
    image = encode_image(Image(height=1, width=1, channels=3, encoded=b"\x89PNG" + bytes([step])))
    return Event(time=1.7e9 + step, step=step, values=(Value(tag="picture", image=image),))


def steps_of(workspace: Workspace, run: str) -> list[int]:
    return metric_history(workspace.store, run, "loss").steps.tolist()


def all_points(workspace: Workspace, run: str) -> int:
    """Points as they are stored, equal ones counted as often as they are there."""
    seal_ended(workspace.store)
    return sum(each.points for each in workspace.store.queries.ask(SealedOf(run=run)))


def test_only_new_bytes_are_read(workspace: Workspace, logdir: Path) -> None:
    file = EventFile(logdir / "a" / NAME, 1.7e9)
    for step in range(10):
        file.add(scalar(step))
    follower = follower_of(workspace, logdir)
    (first,) = follower.round()
    size = (logdir / "a" / NAME).stat().st_size
    assert (first.points, first.read, first.new) == (10, size, True)
    assert follower.round() == []
    assert by_id(workspace.store, first.run).status == "running"
    for step in range(10, 15):
        file.add(scalar(step))
    (second,) = follower.round()
    assert (second.points, second.new) == (5, False)
    assert second.read == (logdir / "a" / NAME).stat().st_size - size
    assert steps_of(workspace, first.run) == list(range(15))
    file.add(picture(15))
    file.add(scalar(16))
    (third,) = follower.round()
    assert (third.points, third.media) == (1, 1)
    follower.close()
    assert steps_of(workspace, first.run) == [*range(15), 16]
    assert all_points(workspace, first.run) == 16


def test_a_torn_record_waits_for_its_rest(workspace: Workspace, logdir: Path) -> None:
    whole = logdir / "whole"
    file = EventFile(whole, 1.7e9)
    for step in range(5):
        file.add(scalar(step))
    content = whole.read_bytes()
    whole.unlink()
    target = logdir / "a" / NAME
    follower = follower_of(workspace, logdir)
    counts: list[int] = []
    for cut in (5, 30, len(content) - 60, len(content) - 1, len(content)):
        target.write_bytes(content[:cut])
        reports = follower.round()
        assert [each.trouble for each in reports if each.trouble] == []
        counts.append(sum(each.points for each in reports))
    assert sum(counts) == 5
    assert counts[0] == 0
    assert counts[-1] == 1
    follower.close()


def test_a_run_is_over_when_its_files_are_quiet(workspace: Workspace, logdir: Path) -> None:
    file = EventFile(logdir / "a" / NAME, 1.7e9)
    file.add(scalar(0))
    follower = follower_of(workspace, logdir, idle=0.0)
    (report,) = follower.round()
    assert by_id(workspace.store, report.run).status == "finished"
    file.add(scalar(1))
    follower.round()
    follower.close()
    run = by_id(workspace.store, report.run)
    assert (run.status, run.ended) == ("finished", 1.7e9 + 1)
    assert steps_of(workspace, report.run) == [0, 1]


def stopped(workspace: Workspace, logdir: Path, how: str) -> Follower:
    """A follower as the next process has it, after the one before ended somehow."""
    if how == "no cache":
        for path in (workspace.store_folder / "cache" / "tensorboard").glob("*.msgpack"):
            path.unlink()
    return follower_of(workspace, logdir)


@pytest.mark.parametrize("how", ["cache", "no cache"])
def test_a_new_process_goes_on_where_the_last_one_was(workspace: Workspace, logdir: Path, how: str) -> None:
    file = EventFile(logdir / "a" / NAME, 1.7e9)
    run = ""
    for begin in (0, 20, 40):
        follower = stopped(workspace, logdir, how)
        for step in range(begin, begin + 10):
            file.add(scalar(step))
        (report,) = follower.round()
        for step in range(begin + 10, begin + 20):
            file.add(scalar(step))
        file.add(picture(begin))
        follower.round()
        follower.close()
        run = report.run
    assert steps_of(workspace, run) == list(range(60))
    assert all_points(workspace, run) == 60
    assert len(list_media(workspace.store, run)) == 3


KILLED = """
import os, signal, sys
from pathlib import Path
import charkh.bridges.tensorboard.folder as folder
import charkh.bridges.tensorboard.pending as pending
from charkh.bridges.tensorboard.importing import follower_of
from charkh.workspace.workspace import open_workspace
place, live, module, name, count = sys.argv[3], sys.argv[4] == "live", *sys.argv[5].split("."), int(sys.argv[6])
owner = {"Pending": pending.Pending, "Folder": folder.Folder}[module]
real, calls = getattr(owner, name), 0
def dying(*given, **named):
    global calls
    calls += 1
    if calls == count and place == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    found = real(*given, **named)
    if calls == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return found
setattr(owner, name, dying)
folder.FIRST_BYTES, folder.MOST_BYTES = 400, 1600
with open_workspace(Path(sys.argv[1]), create=True) as workspace:
    follower = follower_of(workspace, Path(sys.argv[2]), live=live)
    for _ in range(3):
        follower.round()
    follower.close()
"""


@pytest.mark.parametrize(
    ("place", "live", "where", "count"),
    [
        ("before", "once", "Pending.commit", 1),
        ("after", "once", "Pending.commit", 1),
        ("before", "live", "Pending.commit", 2),
        ("after", "live", "Pending.commit", 3),
        ("after", "live", "Folder._append", 1),
        ("after", "live", "Folder._record", 2),
    ],
)
def test_an_import_that_was_killed_is_completed_without_doubles(
    tmp_path: Path, logdir: Path, place: str, live: str, where: str, count: int
) -> None:
    file = EventFile(logdir / "a" / NAME, 1.7e9)
    for step in range(200):
        file.add(scalar(step))
        if step % 50 == 0:
            file.add(picture(step))
    folder = tmp_path / "workspace"
    command = [sys.executable, "-c", KILLED, folder, logdir, place, live, where, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with open_workspace(folder, create=True) as workspace:
        follower = follower_of(workspace, logdir, live=live == "live")
        follower.round()
        follower.close()
        (path,) = {each.state.run for each in follower.followed}
        assert steps_of(workspace, path) == list(range(200))
        assert all_points(workspace, path) == 200
        assert len(list_media(workspace.store, path)) == 4


def test_a_writer_that_goes_on_from_a_checkpoint_shows_what_it_logged_again(workspace: Workspace, logdir: Path) -> None:
    file = EventFile(logdir / "a" / NAME, 1.7e9)
    for step in range(10):
        file.add(scalar(step, 1.0))
    file.add(Event(time=1.8e9, step=7, session=SESSION_START))
    for step in range(7, 12):
        file.add(scalar(step, 2.0))
    second = EventFile(logdir / "a" / "events.out.tfevents.1900000000.host.1.0", 1.9e9)
    second.add(scalar(11, 3.0))
    report = import_logdir(workspace, logdir)
    run = report.runs[0].run
    curve = metric_history(workspace.store, run, "loss")
    assert curve.values.tolist() == [1.0] * 7 + [2.0] * 4 + [3.0]
    (everything,) = metric_histories(workspace.store, run, "loss")
    assert len(everything) == 16


def change(logdir: Path, how: str) -> None:
    target = logdir / "a" / NAME
    if how == "shorter":
        os.truncate(target, 60)
    else:
        target.unlink()
        EventFile(target, 1.71e9).add(scalar(100))


@pytest.mark.parametrize(("how", "said"), [("shorter", "is shorter than"), ("another", "is another file than before")])
def test_a_file_that_was_changed_is_noticed(workspace: Workspace, logdir: Path, how: str, said: str) -> None:
    file = EventFile(logdir / "a" / NAME, 1.7e9)
    for step in range(5):
        file.add(scalar(step))
    follower = follower_of(workspace, logdir)
    (first,) = follower.round()
    change(logdir, how)
    (report,) = follower.round()
    assert said in report.trouble[0]
    follower.close()
    expected = list(range(5)) if how == "shorter" else [*range(5), 100]
    assert steps_of(workspace, first.run) == expected


def test_a_deleted_run_stays_deleted(workspace: Workspace, logdir: Path) -> None:
    file = EventFile(logdir / "a" / NAME, 1.7e9)
    file.add(scalar(0))
    (first,) = import_logdir(workspace, logdir).runs
    delete_run(workspace.store, first.run)
    file.add(scalar(1))
    (report,) = import_logdir(workspace, logdir).runs
    assert "was deleted" in report.trouble[0]
    assert report.points == 0


def test_two_processes_do_not_take_one_folder(workspace: Workspace, logdir: Path) -> None:
    file = EventFile(logdir / "a" / NAME, 1.7e9)
    file.add(scalar(0))
    first = follower_of(workspace, logdir)
    first.round()
    file.add(scalar(1))
    (report,) = import_logdir(workspace, logdir / "a").runs
    assert report.trouble == ["another process takes its news"]
    first.round()
    first.close()
    assert steps_of(workspace, report.run) == [0, 1]


@pytest.mark.parametrize(("name", "error"), [("nothing", NotFound), (f"a/{NAME}", Invalid)])
def test_what_is_no_folder_is_refused(workspace: Workspace, logdir: Path, name: str, error: type[Exception]) -> None:
    EventFile(logdir / "a" / NAME, 1.7e9)
    with pytest.raises(error):
        import_logdir(workspace, logdir / name)


def test_a_server_follows_what_its_settings_name(tmp_path: Path, logdir: Path) -> None:
    folder = tmp_path / "served"
    open_workspace(folder, create=True).close()
    (folder / "charkh.toml").write_text(f'[tensorboard]\nfollow = ["{logdir}"]\nevery = "50ms"\n')
    server = Server(folder, "up", "--every", "0s")
    try:
        file = EventFile(logdir / "a" / NAME, 1.7e9)
        for count in (5, 10):
            for step in range(count - 5, count):
                file.add(scalar(step))
            end = time.monotonic() + 30
            points: list[object] = []
            while len(points) < count and time.monotonic() < end:
                _, runs = server.ask("/api/runs")
                if runs:
                    status, points = server.ask(f"/api/runs/history?ref={runs[0]['started']['run']}&key=loss")
                    points = points if status == 200 else []
                time.sleep(0.05)
            assert len(points) == count
    finally:
        code, said = server.stop()
    assert (code, "Traceback" in said) == (0, False)
    with open_workspace(folder) as workspace:
        (run,) = search(workspace.store, "")
        assert all_points(workspace, run.id) == 10
