"""`SummaryWriter` in place of PyTorch's and tensorboardX's: every method records, and event files stay the same."""

import inspect
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tests.bridges.tensorboard.test_exporting import ACCUMULATE

from charkh.bridges.tensorboard import SummaryWriter
from charkh.core.errors import Invalid
from charkh.runs.find import by_id
from charkh.runs.history import metric_history
from charkh.runs.media import list_media, read_media
from charkh.runs.start import start
from charkh.workspace.ambient import use
from charkh.workspace.workspace import open_workspace
from peers import peer_program

KINDS = {
    "histogram": "histogram",
    "raw": "histogram",
    "picture": "image",
    "pictures": "image",
    "boxes": "image",
    "film": "image",
    "sound": "audio",
    "text": "text",
    "tensor": "file",
    "graph": "text",
    "points:00002": "embedding",
    "points:00002/metadata": "file",
    "points:00002/sprite": "image",
    "curve": "pr_curve",
    "counted": "pr_curve",
    "custom_scalars__config__": "file",
    "mesh_VERTEX": "mesh",
    "mesh_FACE": "mesh",
}
OF_TENSORBOARDX = """
import inspect, json
from tensorboardX import SummaryWriter
print(json.dumps({name: list(inspect.signature(each).parameters)[1:] for name, each in vars(SummaryWriter).items()
                  if name.startswith("add_") or name in ("flush", "close")}))
"""


def write(writer: SummaryWriter) -> None:
    rng = np.random.default_rng(0)
    for step in range(5):
        writer.add_scalar("loss", np.float32(1 / (step + 1)), step, walltime=1e9 + step)
        writer.add_scalars("losses", {"train": step, "val": step / 2}, step)
    writer.add_histogram("histogram", rng.normal(size=100), 3)
    writer.add_histogram_raw("raw", -1, 1, 3, 0, 2, [-0.5, 0.5, 1], [1, 1, 1], 2)
    writer.add_image("picture", rng.uniform(size=(3, 8, 9)), 1)
    writer.add_images("pictures", np.zeros((2, 8, 9, 3), np.uint8), 1, dataformats="NHWC")
    writer.add_image_with_boxes("boxes", np.zeros((3, 20, 20), np.uint8), np.array([[2, 3, 10, 12]]), 1, labels=["cat"])
    writer.add_video("film", rng.uniform(size=(1, 5, 3, 8, 8)), 1)
    writer.add_audio("sound", rng.uniform(-1, 1, (1, 800)), 1, sample_rate=8000)
    writer.add_text("text", "**bold**", 1)
    writer.add_tensor("tensor", np.arange(5.0), 1)
    writer.add_graph("a model")
    pictures = np.zeros((5, 3, 4, 4))
    writer.add_embedding(rng.uniform(size=(5, 3)), list("abcde"), pictures, global_step=2, tag="points")
    writer.add_pr_curve("curve", np.array([0, 1, 1]), np.array([0.1, 0.4, 0.9]), 1, num_thresholds=11)
    writer.add_pr_curve_raw("counted", *([[1.0, 2.0]] * 6), 1)
    writer.add_custom_scalars_multilinechart(["loss", "losses"])
    writer.add_mesh("mesh", np.zeros((1, 4, 3)), faces=np.zeros((1, 2, 3), int), global_step=1)
    writer.add_hparams({"rate": 0.1, "deep": True}, {"score": 0.5})
    writer.flush()


def test_every_method_records_into_a_run(tmp_path: Path) -> None:
    with open_workspace(tmp_path, create=True) as workspace, use(workspace):
        with SummaryWriter(comment="_first") as writer:
            write(writer)
        run = by_id(workspace.store, writer.run.id)
        assert (run.name, run.status, run.params) == ("first", "finished", {"rate": 0.1, "deep": True})
        assert run.metrics == {"loss": run.metrics["loss"], "losses[train]": 4, "losses[val]": 2, "score": 0.5}
        curve = metric_history(workspace.store, run.id, "loss")
        assert curve.times.tolist() == [1e9 + step for step in range(5)]
        items = list_media(workspace.store, run.id)
        assert {each.key: each.kind for each in items} == KINDS
        (film,) = [each for each in items if each.key == "film"]
        assert read_media(workspace.store, film).count(b"fcTL") == 5
        (precision,) = [each for each in items if each.key == "curve"]
        counted = json.loads(read_media(workspace.store, precision))
        assert counted["true_positives"][0] == 2
        assert counted["recall"][-1] == 0
        assert not list(tmp_path.glob("runs"))


@pytest.mark.needs("peer:tensorboard")
def test_event_files_are_what_other_writers_write(tmp_path: Path) -> None:
    with open_workspace(tmp_path / "workspace", create=True) as workspace, use(workspace):
        with SummaryWriter(tmp_path / "logs" / "a") as writer:
            write(writer)
        assert by_id(workspace.store, writer.run.id).name == "a"
    folders = [str(tmp_path / "logs" / "a"), str(tmp_path / "logs" / "a" / "losses_val")]
    command = [peer_program("tensorboard", "python"), "-W", "ignore", "-c", ACCUMULATE, *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    own, val = json.loads(done.stdout).values()
    assert [step for _, step, _ in own["scalars"]["loss"]] == list(range(5))
    assert [value for _, _, value in val["scalars"]["losses"]] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert set(own["tags"]["images"]) == {"picture", "pictures", "pictures/1", "boxes", "film"}
    assert set(own["tags"]["histograms"]) == {"histogram", "raw"}
    assert set(own["tags"]["audio"]) == {"sound"}
    assert {"text", "curve", "counted", "mesh_VERTEX", "custom_scalars__config__"} <= set(own["tags"]["tensors"])
    assert (tmp_path / "logs" / "a" / "projector_config.pbtxt").is_file()


@pytest.mark.needs("peer:tensorboard")
def test_every_method_of_tensorboardx_is_there_with_its_arguments() -> None:
    command = [peer_program("tensorboard", "python"), "-W", "ignore", "-c", OF_TENSORBOARDX]
    theirs = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    lacking: list[str] = []
    for name, arguments in theirs.items():
        if not hasattr(SummaryWriter, name):
            lacking.append(name)
            continue
        own = inspect.signature(getattr(SummaryWriter, name)).parameters
        takes_more = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in own.values())
        lacking += [f"{name}({each})" for each in arguments if each not in own and not takes_more]
    assert lacking == ["add_openvino_graph"]


def test_inside_a_run_it_records_into_that_run(tmp_path: Path) -> None:
    with (
        open_workspace(tmp_path, create=True) as workspace,
        use(workspace),
        start(workspace.store, name="outer") as outer,
    ):
        writer = SummaryWriter()
        writer.add_scalar("loss", 1.0)
        writer.add_scalar("loss", 2.0)
        writer.close()
        assert not outer.ended
    with open_workspace(tmp_path) as workspace:
        assert metric_history(workspace.store, outer.id, "loss").steps.tolist() == [0, 1]


def test_what_fits_no_layout_is_refused_and_a_failing_block_fails_its_run(tmp_path: Path) -> None:
    with open_workspace(tmp_path, create=True) as workspace, use(workspace):
        with pytest.raises(Invalid), SummaryWriter() as writer:
            writer.add_image("picture", np.zeros((2, 2)), dataformats="CHW")
        run = by_id(workspace.store, writer.run.id)
        assert (run.status, "has no layout" in run.error) == ("failed", True)
