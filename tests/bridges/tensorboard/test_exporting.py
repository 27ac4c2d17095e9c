"""What is exported, a real TensorBoard reads: its event accumulator, and its server over HTTP."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charkh.bridges.tensorboard.exporting import export_runs
from charkh.bridges.tensorboard.importing import import_logdir
from charkh.runs.find import by_id
from charkh.runs.history import metric_history
from charkh.runs.media import list_media
from charkh.runs.start import ActiveRun, start
from charkh.workspace.ambient import use
from charkh.workspace.workspace import Workspace, open_workspace
from peers import peer_program

pytestmark = pytest.mark.needs("peer:tensorboard")
ACCUMULATE = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = {}
for folder in sys.argv[1:]:
    read = EventAccumulator(folder, size_guidance={name: 0 for name in ("scalars", "images", "histograms", "tensors")})
    read.Reload()
    found[folder] = {
        "tags": read.Tags(),
        "scalars": {tag: [[each.wall_time, each.step, each.value] for each in read.Scalars(tag)]
                    for tag in read.Tags()["scalars"]},
        "histograms": {tag: [[each.step, list(each.histogram_value.bucket), each.histogram_value.min,
                              each.histogram_value.max] for each in read.Histograms(tag)]
                       for tag in read.Tags()["histograms"]},
        "images": {tag: [len(each.encoded_image_string) for each in read.Images(tag)]
                   for tag in read.Tags()["images"]},
    }
print(json.dumps(found))
"""


def fill(run: ActiveRun) -> None:
    rng = np.random.default_rng(0)
    for step in [*range(300), 2**33, -5]:
        run.log({"loss": 1 / (abs(step) + 1), "odd": float("nan") if step == 3 else float(step)}, step=step, time=1e9)
        run.log({"loss": 2.0}, step=step, context="val")
    run.log_histogram("weights", rng.normal(size=200), step=1)
    run.log_image("picture", np.zeros((4, 5, 3), np.uint8), step=2)
    run.log_audio("sound", np.zeros(80), 8000, step=2)
    run.log_text("note", "**bold**", step=3)
    run.log_table("rows", {"a": [1, 2]}, step=3)
    run.log_media("left", "file", b"x", step=1)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return open_workspace(tmp_path_factory.mktemp("workspace"), create=True)


@pytest.fixture(scope="module")
def exported(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    runs = []
    for name, params in (("first", {"rate": 0.1}), ("second", {"rate": 0.2, "late": "only here"})):
        with start(workspace.store, name=name, params=params) as run:
            fill(run)
        runs.append(by_id(workspace.store, run.id))
    report = export_runs(workspace.store, runs, folder)
    assert [each.left for each in report] == [("left",), ("left",)]
    assert [each.points for each in report] == [906, 906]
    return folder


def test_the_accumulator_reads_every_point(exported: Path) -> None:
    folders = [str(exported / "first"), str(exported / "first" / "val")]
    command = [peer_program("tensorboard", "python"), "-W", "ignore", "-c", ACCUMULATE, *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    own, val = json.loads(done.stdout).values()
    expected = sorted([*range(300), 2**33, -5])
    assert [step for _, step, _ in own["scalars"]["loss"]] == expected
    assert own["scalars"]["loss"][1] == [1e9, 0, 1.0]
    assert np.isnan(own["scalars"]["odd"][4][2])
    assert [value for _, _, value in val["scalars"]["loss"]] == [2.0] * 302
    ((step, counts, low, high),) = own["histograms"]["weights"]
    assert (step, sum(counts)) == (1, 200)
    assert low < high
    assert set(own["tags"]["images"]) == {"picture"}
    assert set(own["tags"]["audio"]) == {"sound"}
    assert {"note", "rows", "_hparams_/experiment", "_hparams_/session_start_info"} <= set(own["tags"]["tensors"])


@pytest.fixture(scope="module")
def tensorboard(exported: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [peer_program("tensorboard", "python"), "-W", "ignore", "-m", "tensorboard.main"]
    options = ["--logdir", exported, "--port", str(port), "--reload_interval", "1"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def ask(address: str, body: object = None) -> Any:
    """The first answer that is not empty; the server reads while it answers already."""
    data = None if body is None else json.dumps(body).encode()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request) as answer:
                if found := json.load(answer):
                    return found
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.2)
    raise TimeoutError(address)


def test_a_server_shows_scalars_and_hparams(tensorboard: str) -> None:
    points = ask(f"{tensorboard}/data/plugin/scalars/scalars?run=first&tag=loss")
    assert [step for _, step, _ in points] == sorted([*range(300), 2**33, -5])
    assert ask(f"{tensorboard}/data/plugin/scalars/scalars?run=second/val&tag=loss")[0][2] == 2.0
    assert ask(f"{tensorboard}/data/plugin/images/tags")["first"]["picture"]["samples"] == 1
    text = ask(f"{tensorboard}/data/plugin/text/text?run=first&tag=note")
    assert "<strong>bold</strong>" in text[0]["text"]
    experiment = ask(f"{tensorboard}/data/plugin/hparams/experiment", {"experimentName": ""})
    assert {each["name"] for each in experiment["hparamInfos"]} == {"rate", "late"}


def test_an_export_is_imported_equal(exported: Path, tmp_path: Path, workspace: Workspace) -> None:
    with open_workspace(tmp_path, create=True) as other:
        report = import_logdir(other, exported)
        assert report.points == 1812
        (first,) = [each for each in report.runs if each.name == "first"]
        curve = metric_history(other.store, first.run, "loss")
        assert curve.steps.tolist() == sorted([*range(300), 2**33, -5])
        kinds = {each.kind for each in list_media(other.store, first.run)}
        assert kinds == {"histogram", "image", "audio", "text", "table"}
        run = by_id(other.store, first.run)
        assert run.params == {"rate": 0.1}
        assert run.status == "finished"


def test_an_export_over_an_older_one_replaces_it(exported: Path, workspace: Workspace) -> None:
    before = sorted(path.relative_to(exported) for path in exported.rglob("*"))
    sizes = [path.stat().st_size for path in sorted(exported.rglob("events*"))]
    with use(workspace):
        runs = [by_id(workspace.store, each) for each in _runs(workspace)]
        export_runs(workspace.store, runs, exported)
    assert sorted(path.relative_to(exported) for path in exported.rglob("*")) == before
    assert [path.stat().st_size for path in sorted(exported.rglob("events*"))] == sizes


def _runs(workspace: Workspace) -> list[str]:
    from charkh.runs.search import search

    return [each.id for each in reversed(search(workspace.store, ""))]
