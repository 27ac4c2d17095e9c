"""Run a step's body, wherever an executor runs it, and see what it read and logged."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from charkh.pipelines.active import enter_step
from charkh.pipelines.execution import MAX_METRICS
from charkh.pipelines.reading import read_digests, watching
from charkh.pipelines.step import Step
from charkh.runs.listening import listening


class Invoked(NamedTuple):
    """What a step's body gave.

    Attributes:
        value: what it returned.
        reads: digests, by path, of the files of the workspace that it read.
        metrics: the last value of each metric that it logged.
        seconds: how long it took.
    """

    value: Any
    reads: dict[str, str]
    metrics: dict[str, float]
    seconds: float


def invoke(
    step: "Step[..., Any]",
    arguments: Sequence[Any],
    named: Mapping[str, Any],
    folder: Path,
    ignore: Sequence[Path],
) -> Invoked:
    """Call the plain function; steps that it calls are plain functions too.

    Args:
        step: what is called.
        arguments: by position.
        named: by name.
        folder: the workspace, whose files are inputs when they are read.
        ignore: folders inside it that hold no inputs.

    Raises:
        Exception: whatever the function raises.
    """
    metrics = dict[str, float]()

    def hear(values: Mapping[str, float], _step: int | None, context: str) -> None:
        for name, value in values.items():
            key = f"{name}[{context}]" if context else name
            if key in metrics or len(metrics) < MAX_METRICS:
                metrics[key] = float(value)

    began = time.perf_counter()
    with enter_step(step.name), watching() as watch, listening(hear):
        value = step.function(*arguments, **named)
    seconds = time.perf_counter() - began
    return Invoked(value, read_digests(watch, folder, ignore), metrics, seconds)
