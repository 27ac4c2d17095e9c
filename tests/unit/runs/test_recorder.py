"""Points that a server records for clients: held, let go of, sealed, and never acknowledged before they are written."""

import time
from pathlib import Path

import pytest

from charkh.core.errors import Unavailable
from charkh.core.ids import new_id
from charkh.ports.store import Store
from charkh.runs.facts import ended_draft, started_draft
from charkh.runs.find import by_id
from charkh.runs.history import metric_history
from charkh.runs.live import open_segments
from charkh.runs.recorder import OVER_SECONDS, SILENT_SECONDS, Recorder
from charkh.stores.segment_file import SegmentFile
from charkh.workspace.workspace import open_workspace


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_workspace(tmp_path, create=True).store


def begun(store: Store) -> str:
    run = new_id()
    store.record(started_draft(run, "", "", "", "", 0))
    return run


def test_points_are_read_while_they_come_and_sealed_when_the_run_ends(store: Store) -> None:
    recorder, run = Recorder(store), begun(store)
    recorder.log(run, [(1.0, 0, {"a": 1.0, "b": 2.0}), (2.0, 1, {"a": 3.0})])
    recorder.log(run, [(2.0, 1, {"a": 3.0})])
    assert by_id(store, run).metrics == {"a": 3.0, "b": 2.0}
    assert [point.value for point in metric_history(store, run, "a").points()] == [1.0, 3.0]
    drafts, drop = recorder.end(run)
    store.record(*drafts, ended_draft(run, "finished", "", 0), durable=True)
    drop()
    assert open_segments(store) == {}
    assert by_id(store, run).metrics == {"a": 3.0, "b": 2.0}
    recorder.log(run, [(9.0, 7, {"a": 9.0})])
    recorder.close()
    assert open_segments(store) == {}
    assert by_id(store, run).metrics["a"] == 9.0


def test_so_many_segments_are_open_and_no_more(store: Store) -> None:
    recorder = Recorder(store, most_open=2)
    runs = [begun(store) for _ in range(4)]
    for run in runs:
        recorder.log(run, [(1.0, 0, {"a": 1.0})])
    recorder.turn(time.time())
    assert set(open_segments(store)) == set(runs[2:])
    assert [by_id(store, run).metrics for run in runs] == [{"a": 1.0}] * 4
    recorder.log(runs[0], [(2.0, 1, {"a": 2.0})])
    assert by_id(store, runs[0]).metrics == {"a": 2.0}
    recorder.close()


def test_a_run_is_held_while_its_client_is_heard_of(store: Store) -> None:
    recorder, quiet, over = Recorder(store), begun(store), begun(store)
    recorder.touch(quiet)
    recorder.turn(time.time())
    assert [each.live for each in open_segments(store)[quiet]] == [True], "without a point"
    recorder.end(over)
    recorder.log(over, [(1.0, 0, {"a": 1.0})])
    drafts, drop = recorder.end(over)
    store.record(*drafts)
    drop()
    recorder.turn(time.time() + OVER_SECONDS + 1)
    assert set(open_segments(store)) == {quiet}
    recorder.turn(time.time() + SILENT_SECONDS + 1)
    assert open_segments(store) == {}
    recorder.close()


def test_what_the_disk_does_not_take_is_not_acknowledged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, run = Recorder(store), begun(store)
    recorder.log(run, [(1.0, 0, {"a": 1.0})])
    full = True

    def write(file: SegmentFile, data: bytes) -> int:
        if full:
            raise Unavailable("the disk is full")
        return real(file, data)

    real = SegmentFile.write
    monkeypatch.setattr(SegmentFile, "write", write)
    for _ in range(2):
        with pytest.raises(Unavailable):
            recorder.log(run, [(2.0, 1, {"a": 2.0})])
    full = False
    recorder.log(run, [(2.0, 1, {"a": 2.0})])
    assert [point.value for point in metric_history(store, run, "a").points()] == [1.0, 2.0]
    recorder.close()
