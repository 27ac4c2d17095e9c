"""Programs that other people's writers run in their own environment: event files as they make them."""

import subprocess
from pathlib import Path

from peers import peer_program

TENSORBOARDX = """
import sys, numpy as np
from tensorboardX import SummaryWriter
rng = np.random.default_rng(0)
with SummaryWriter(sys.argv[1], filename_suffix=".x") as writer:
    for step in range(200):
        writer.add_scalar("loss", 1 / (step + 1), step, walltime=1.7e9 + step)
        writer.add_scalars("losses", {"train": step / 2, "val": step / 4}, step)
    for step in range(3):
        writer.add_histogram("weights", rng.normal(size=100), step)
        writer.add_image("picture", np.full((3, 4, 5), step * 40, np.uint8), step)
        writer.add_audio("sound", rng.uniform(-1, 1, 800), step, sample_rate=8000)
        writer.add_text("note", f"**step** {step}", step)
        writer.add_pr_curve("curve", rng.integers(0, 2, 50), rng.uniform(size=50), step, num_thresholds=11)
    writer.add_mesh("mesh", np.zeros((1, 4, 3), np.float32), faces=np.zeros((1, 2, 3), np.int32), global_step=1)
    writer.add_embedding(np.arange(6.0).reshape(2, 3), metadata=["a", "b"], global_step=7, tag="points")
    writer.add_custom_scalars({"all": {"losses": ["Multiline", ["loss"]]}})
    writer.add_hparams({"rate": 0.1, "layers": 3, "name": "small", "dropout": True}, {"score": 0.9}, name="trial")
"""

TENSORFLOW = """
import sys, time
import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.audio import summary as audio
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util

writer = EventFileWriter(sys.argv[1])
def write(summary, step):
    writer.add_event(Event(wall_time=1.7e9 + step, step=step, summary=summary))
for step in range(100):
    summary = scalar_pb("accuracy", step / 100, description="of the validation")
    if step and step % 2:
        summary.value[0].ClearField("metadata")
    write(summary, step)
for step in range(3):
    write(histogram_pb("weights", np.arange(10.0) * step), step)
    write(text_pb("note", f"step {step}"), step)
    write(text_pb("rows", np.array([["a", "b"], ["c", str(step)]])), step)
    metadata = image_metadata.create_summary_metadata(display_name="", description="")
    png = b"\\x89PNG\\r\\n\\x1a\\n" + bytes([step])
    tensor = tensor_util.make_tensor_proto([b"4", b"5", png, png + b"2"])
    write(Summary(value=[Summary.Value(tag="pictures", metadata=metadata, tensor=tensor)]), step)
metadata = image_metadata.create_summary_metadata(display_name="", description="")
metadata.plugin_data.plugin_name = "unheard_of"
unknown = Summary.Value(tag="strange", metadata=metadata, tensor=tensor_util.make_tensor_proto(np.arange(3.0)))
write(Summary(value=[unknown]), 1)
write(hparams.hparams_pb({"units": 16, "optimizer": "adam"}), 0)
writer.flush()
writer.close()
"""


def write_with(script: str, folder: Path, *arguments: str) -> None:
    """Run one of these with the folder that it is to write into."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [peer_program("tensorboard", "python"), "-W", "ignore", "-c", script, folder, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
