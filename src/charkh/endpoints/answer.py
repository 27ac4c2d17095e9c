"""Ask a model, and log what it said. No I/O but the log's."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charkh.core.errors import Bug
from charkh.endpoints.instruments import note
from charkh.endpoints.outputs import choose
from charkh.endpoints.prediction import PredictionId, row_ids
from charkh.endpoints.servable import Servable
from charkh.endpoints.wire import InferOutput, datatype_of
from charkh.ports.runtimes import Tensors, row_count

MAX_ID = 200


class Asked(NamedTuple):
    """What a model said, and the id of each row's prediction; no ids where nothing is logged."""

    outputs: Mapping[str, npt.NDArray[Any]]
    ids: list[str]


def ask(servable: Servable, inputs: Tensors, request: str, wanted: Sequence[InferOutput] = ()) -> Asked:
    """Ask a model and log what it said.

    Args:
        servable: the model.
        inputs: that fit its signature.
        request: id that the client gave.
        wanted: outputs that the client asks for.

    Raises:
        Invalid: the model gives no such output, or refuses the rows.
    """
    if wanted and servable.signature.outputs:
        # Before the model is asked: a request that is refused has no prediction in the log.
        choose(wanted, {spec.name: np.empty(0) for spec in servable.signature.outputs})
    started = time.perf_counter()
    answers = servable.predict(inputs)
    latency = time.perf_counter() - started
    outputs = {name: np.asarray(tensor) for name, tensor in answers.items()}
    rows = row_count(inputs)
    for name, tensor in outputs.items():
        if not tensor.ndim or len(tensor) != rows:
            raise Bug(f"{servable.name} gave an output {name!r} of shape {tensor.shape} for {rows} rows")
        datatype_of(tensor)
    if servable.log is None:
        note("", rows, latency)
        return Asked(outputs, [])
    first: PredictionId = servable.log.record(inputs, outputs, rows, request=request, latency=latency)
    ids = row_ids(first, rows)
    note(ids[0] if ids else "", rows, latency)
    return Asked(outputs, ids)
