"""PyTorch's own `SummaryWriter`: scalars that a training writes for TensorBoard are logged too.

Plain PyTorch has no callbacks; its loops call `charkh.log`. See
https://docs.pytorch.org/docs/stable/tensorboard.html.
"""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from charkh.bridges.autolog.patching import put_around
from charkh.bridges.autolog.recording import Options, keep_metrics
from charkh.runs.active import current


def enable(_options: Options) -> Callable[[], None]:
    """Log what `SummaryWriter.add_scalar` writes from now on; the answer undoes it."""
    if importlib.util.find_spec("tensorboard") is None:
        return lambda: None  # PyTorch's writer cannot be imported without it, so that nobody uses it
    writer: Any = importlib.import_module("torch.utils.tensorboard.writer").SummaryWriter

    def around(add_scalar: Any, this: Any, tag: str, value: Any, step: Any = None, *more: Any, **named: Any) -> Any:
        active = current()
        if active is not None:
            chosen = named.get("global_step", step)
            keep_metrics(active, {tag: float(value)}, step=None if chosen is None else int(chosen))
        if "global_step" in named:
            return add_scalar(this, tag, value, *more, **named)
        return add_scalar(this, tag, value, step, *more, **named)

    return put_around(writer, "add_scalar", around)
