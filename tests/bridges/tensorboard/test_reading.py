"""Event files of tensorboardX and of TensorFlow's summaries, imported as runs."""

import shutil
from pathlib import Path

import msgspec
import pytest
from tests.bridges.tensorboard.writers import TENSORBOARDX, TENSORFLOW, write_with

from charkh.bridges.tensorboard.importing import import_logdir
from charkh.runs.history import metric_history
from charkh.runs.index import SealedOf
from charkh.runs.media import list_media, read_media
from charkh.runs.run import Run
from charkh.runs.search import search
from charkh.workspace.workspace import Workspace, open_workspace

pytestmark = pytest.mark.needs("peer:tensorboard")


@pytest.fixture(scope="module")
def logdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    write_with(TENSORBOARDX, folder / "x")
    write_with(TENSORFLOW, folder / "tf")
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, logdir: Path) -> Workspace:
    opened = open_workspace(tmp_path_factory.mktemp("workspace"), create=True)
    report = import_logdir(opened, logdir, project="flights/delay")
    assert report.troubled == 0
    return opened


def run_of(workspace: Workspace, name: str) -> Run:
    (found,) = [each for each in search(workspace.store, "") if each.name == name]
    return found


def shown(workspace: Workspace, run: Run, key: str) -> list[bytes]:
    return [read_media(workspace.store, each) for each in list_media(workspace.store, run.id, key)]


def test_every_folder_is_a_run_of_the_project(workspace: Workspace) -> None:
    names = {each.name: each for each in search(workspace.store, "")}
    assert set(names) == {"x", "x/losses/train", "x/losses/val", "x/trial", "tf"}
    assert {each.status for each in names.values()} == {"finished"}
    assert len({each.project for each in names.values()} - {"0"}) == 1
    assert names["x/trial"].started.parent == names["x"].id


def test_scalars_come_with_step_and_time(workspace: Workspace) -> None:
    curve = metric_history(workspace.store, run_of(workspace, "x").id, "loss")
    assert curve.steps.tolist() == list(range(200))
    assert curve.times[3] == 1.7e9 + 3
    assert curve.values[1] == 0.5
    tensors = metric_history(workspace.store, run_of(workspace, "tf").id, "accuracy")
    assert tensors.steps.tolist() == list(range(100))
    assert abs(tensors.values[50] - 0.5) < 1e-6
    assert run_of(workspace, "x/losses/val").metrics["losses"] == 49.75


def test_params_of_sessions_are_params(workspace: Workspace) -> None:
    assert run_of(workspace, "x/trial").params == {"rate": 0.1, "layers": 3, "name": "small", "dropout": True}
    assert run_of(workspace, "tf").params == {"units": 16, "optimizer": "adam"}
    assert abs(run_of(workspace, "x/trial").metrics["score"] - 0.9) < 1e-6


def test_everything_else_is_shown(workspace: Workspace) -> None:
    run = run_of(workspace, "x")
    kinds = {each.key: each.kind for each in list_media(workspace.store, run.id)}
    assert kinds == {
        "weights": "histogram",
        "picture": "image",
        "sound": "audio",
        "note/text_summary": "text",
        "curve": "pr_curve",
        "mesh_1": "mesh",
        "mesh_2": "mesh",
        "points:00007": "embedding",
        "points:00007/metadata": "file",
        "custom_scalars__config__": "file",
    }
    assert shown(workspace, run, "note/text_summary")[1] == b"**step** 1"
    assert shown(workspace, run, "picture")[0].startswith(b"\x89PNG")
    assert shown(workspace, run, "sound")[0].startswith(b"RIFF")
    assert shown(workspace, run, "points:00007/metadata") == [b"a\nb\n"]
    histogram = msgspec.json.decode(shown(workspace, run, "weights")[0])
    assert sum(histogram["counts"]) == 100
    assert len(histogram["edges"]) == len(histogram["counts"]) + 1
    assert histogram["edges"] == sorted(histogram["edges"])
    curve = msgspec.json.decode(shown(workspace, run, "curve")[0])
    assert len(curve["recall"]) == len(curve["thresholds"]) == 11


def test_the_tensors_of_tensorflow_are_shown(workspace: Workspace) -> None:
    run = run_of(workspace, "tf")
    items = list_media(workspace.store, run.id)
    assert [(each.step, each.details["sample"]) for each in items if each.key == "pictures"][:3] == [
        (0, 0),
        (0, 1),
        (1, 0),
    ]
    table = msgspec.json.decode(shown(workspace, run, "rows")[2])
    assert table["data"] == [["a", "b"], ["c", "2"]]
    (strange,) = [each for each in items if each.key == "strange"]
    assert (strange.kind, strange.details["plugin"]) == ("file", "unheard_of")
    histogram = msgspec.json.decode(shown(workspace, run, "weights")[1])
    assert sum(histogram["counts"]) == 10


def test_a_second_import_adds_nothing_with_the_cache_and_without(workspace: Workspace, logdir: Path) -> None:
    runs = search(workspace.store, "")
    before = {each.id: workspace.store.queries.ask(SealedOf(run=each.id)) for each in runs}
    assert import_logdir(workspace, logdir).runs == ()
    shutil.rmtree(workspace.store_folder / "cache" / "tensorboard")
    again = import_logdir(workspace, logdir)
    assert (again.runs, again.there) == ((), 5)
    assert {each.id: workspace.store.queries.ask(SealedOf(run=each.id)) for each in runs} == before
    assert len(search(workspace.store, "")) == len(runs)


def test_a_folder_that_was_moved_is_the_same(workspace: Workspace, logdir: Path, tmp_path: Path) -> None:
    shutil.copytree(logdir, tmp_path / "elsewhere")
    moved = import_logdir(workspace, tmp_path / "elsewhere")
    assert moved.points == 0
    assert len(search(workspace.store, "")) == 5
