"""TensorBoard, both ways: event files into runs, runs into event files, and the writer that records a run.

The one name here is what scripts import, `from charkh.bridges.tensorboard import SummaryWriter`, as from the writers
that it stands in for; it is loaded when it is asked for, because commands that read event files need no writer.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charkh.bridges.tensorboard.writer import SummaryWriter as SummaryWriter


def __getattr__(name: str) -> Any:
    if name != "SummaryWriter":
        raise AttributeError(f"charkh.bridges.tensorboard has no {name!r}: import it from the module that defines it")
    from charkh.bridges.tensorboard.writer import SummaryWriter

    return SummaryWriter
