"""Ask a model, and log what it said. No I/O but the log's."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from charkh.core.errors import Bug
from charkh.endpoints.instruments import note
from charkh.endpoints.outputs import choose
from charkh.endpoints.prediction import PredictionId, row_ids
from charkh.endpoints.route import Asking
from charkh.endpoints.servable import Servable
from charkh.endpoints.wire import DATATYPES, InferOutput, datatype_of
from charkh.ports.runtimes import Tensors, row_count

MAX_ID = 200
KNOWN = frozenset(DATATYPES.values())
"""Element types that an answer can carry as they are."""


class Asked(NamedTuple):
    """What a model said, and where it was logged.

    Attributes:
        outputs: by name.
        rows: how many.
        first: the text id of the first row's prediction; empty where nothing is logged.
        place: where it lies.
    """

    outputs: Mapping[str, npt.NDArray[Any]]
    rows: int
    first: str = ""
    place: PredictionId | None = None

    @property
    def ids(self) -> list[str]:
        """The text id of each row's prediction; none where nothing is logged."""
        if self.place is None:
            return []
        return [self.first] if self.rows == 1 else row_ids(self.place, self.rows)


def ask(servable: Servable, inputs: Tensors, request: str, wanted: Sequence[InferOutput] = ()) -> Asking[Asked]:
    """Have a model asked, and log what it said.

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
    rows = row_count(inputs)
    try:
        outputs, latency = yield inputs
    except Exception as error:
        if servable.log is not None:
            servable.log.failed(error, inputs, rows, request=request)
        raise
    for tensor in outputs.values():
        if type(tensor) is not np.ndarray or tensor.dtype not in KNOWN or len(tensor) != rows:
            outputs = _checked(servable, outputs, rows)
            break
    if servable.log is None:
        note("", rows, latency)
        return Asked(outputs, rows)
    place = servable.log.record(inputs, outputs, rows, request=request, latency=latency)
    first = str(place)
    note(first, rows, latency)
    return Asked(outputs, rows, first, place)


def _checked(servable: Servable, answers: Tensors, rows: int) -> dict[str, npt.NDArray[Any]]:
    outputs = {name: np.asarray(tensor) for name, tensor in answers.items()}
    for name, tensor in outputs.items():
        if not tensor.ndim or len(tensor) != rows:
            raise Bug(f"{servable.name} gave an output {name!r} of shape {tensor.shape} for {rows} rows")
        datatype_of(tensor)
    return outputs
