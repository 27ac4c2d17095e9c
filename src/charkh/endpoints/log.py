"""The prediction log: one record a request in a data segment, written by the process that answers.

It never fails a request and never waits for a disk: what cannot be recorded is answered all the same, with an
id that traces to its deployment, and the trouble is reported once. Requests that failed are recorded with the reason,
whatever share of the others is. Masks are applied before anything is encoded.
"""

import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from charkh.core.errors import CharkhError
from charkh.core.ids import new_id
from charkh.core.redact import redact
from charkh.endpoints.log_segments import LogSegments
from charkh.endpoints.losses import Losses
from charkh.endpoints.prediction import PredictionId, new_unlogged
from charkh.ports.journal import DataHeader, DataWriter, Journal
from charkh.ports.runtimes import Tensors

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CONTENT = "predictions"
FORMAT = 1
ROTATE_BYTES = 64 * 1024 * 1024
ROTATE_SECONDS = 3600.0
_log = logging.getLogger("charkh")

Cell = bytes | list[Any]


class LoggedTensor(msgspec.Struct, frozen=True, array_like=True):
    """One tensor of a record.

    Attributes:
        name: of the input or output.
        dtype: NumPy's name of the element type; `object` for texts and bytes.
        shape: of one row; empty for a column.
        data: little-endian bytes, row after row; for `object` a list of texts, bytes and None.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: Cell


class LoggedRequest(msgspec.Struct, frozen=True, array_like=True):
    """One record: a request and its answer.

    Attributes:
        format: 1.
        time: seconds since the epoch when it was answered, to the microsecond.
        latency: seconds that the model took.
        request: the id that the client gave, or empty.
        rows: how many.
        inputs: as they were sent, after validation.
        outputs: everything the model said, whichever outputs were asked for.
        error: why there is no answer, `CODE: MESSAGE`; empty where there is one. Of a request that could not be read
            there are no rows and no inputs.
    """

    format: int
    time: float
    latency: float
    request: str
    rows: int
    inputs: tuple[LoggedTensor, ...]
    outputs: tuple[LoggedTensor, ...]
    error: str = ""


MAX_ERROR = 500
MANY = 4096
"""Bytes of a tensor from which on they are encoded where they are."""
Masking = Callable[[Tensors], Tensors]
"""What may be recorded of some tensors (`charkh.endpoints.masks`)."""
_encode = msgspec.msgpack.Encoder().encode


class PredictionLog:
    """Records requests of one deployment; shared between the threads of one process.

    Args:
        journal: where data segments are opened.
        endpoint: name of the endpoint.
        deployment: id of the deployment that answers.
        model: subject of the model version, `model:ID`.
        version: of the model.
        capture: share of the requests that are recorded, from 0 to 1; those that failed are recorded always.
        masks: what may be recorded of inputs and outputs; None for all.
        rotate_bytes: a segment with more bytes is closed.
        rotate_seconds: a segment that is older is closed with the next request.
        apart: whether what comes quickly is written by a thread of its own (`charkh.endpoints.log_segments`).

    Attributes:
        losses: requests that were to be recorded, and are not.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        endpoint: str,
        deployment: str,
        model: str,
        version: str = "",
        capture: float = 1.0,
        masks: Masking | None = None,
        rotate_bytes: int = ROTATE_BYTES,
        rotate_seconds: float = ROTATE_SECONDS,
        apart: bool = False,
    ) -> None:
        self.deployment = deployment
        self.losses = Losses(f"endpoint:{endpoint}")
        self._subject = f"endpoint:{endpoint}"
        self._capture = capture
        self._masks = masks
        self._reported = False
        labels = {"deployment": deployment, "model": model, "version": version}

        def begin() -> DataWriter:
            header = DataHeader(segment=new_id(), content=CONTENT, subject=self._subject, labels=labels)
            return journal.open_data(header)

        self._segments = LogSegments(
            begin, rotate_bytes=rotate_bytes, rotate_seconds=rotate_seconds, apart=apart, losses=self.losses
        )

    def record(
        self, inputs: Tensors, outputs: Tensors, rows: int, *, request: str = "", latency: float = 0.0
    ) -> PredictionId:
        """Record one request where sampling takes it; the id of its first row. Never raises."""
        if self._capture < 1.0 and random.random() >= self._capture:  # noqa: S311 (sampling keeps no secret)
            return new_unlogged(self.deployment)
        try:
            # As a list: it has the bytes of a `LoggedRequest`, in half the time.
            now = time.time_ns() // 1000 / 1e6
            if self._masks is not None:
                inputs, outputs = self._masks(inputs), self._masks(outputs)
            payload = _encode([FORMAT, now, latency, request, rows, _logged(inputs), _logged(outputs)])
            return self._append(payload)
        except (CharkhError, ValueError) as error:  # a ValueError is a text that is no Unicode
            return self._unlogged(error)

    def failed(
        self, error: BaseException, inputs: "Tensors | None" = None, rows: int = 0, *, request: str = ""
    ) -> PredictionId | None:
        """Record a request that got no answer, and why; once for one `error`, whoever tells of it first. Never raises.

        Args:
            error: that the client was told; its message, which may repeat what was sent, is left out under masks.
            inputs: where they could be read.
            rows: of the inputs.
            request: the id that the client gave.
        """
        if _TOLD in vars(error):
            return None
        vars(error)[_TOLD] = True
        known = isinstance(error, CharkhError)
        why = error.code if known else type(error).__name__
        sent = inputs or {}
        try:
            now = time.time_ns() // 1000 / 1e6
            if self._masks is not None:
                sent = self._masks(sent)
            else:
                why = f"{why}: {redact(error.message if known else str(error))}"[:MAX_ERROR]
            payload = _encode([FORMAT, now, 0.0, request, rows, _logged(sent), [], why])
            return self._append(payload)
        except (CharkhError, ValueError) as trouble:
            return self._unlogged(trouble)

    def flush(self) -> None:
        """Write what waits: whoever reads the log afterwards sees every request so far."""
        self._segments.flush()

    def close(self) -> None:
        """Let go of the segment, ready to be sealed; requests that still come are answered and not logged."""
        self._segments.close()

    def _append(self, payload: bytes) -> PredictionId:
        place = self._segments.append(payload)
        if place is None:
            return new_unlogged(self.deployment)
        return PredictionId(deployment=self.deployment, segment=place.segment, ordinal=place.ordinal)

    def _unlogged(self, error: Exception) -> PredictionId:
        if not self._reported:
            _log.warning("predictions of %s are not logged: %s", self._subject, error)
        self._reported = True
        self.losses.add()
        return new_unlogged(self.deployment)


def _logged(tensors: Tensors) -> list[list[Any]]:
    return [_tensor(name, tensor) for name, tensor in tensors.items()]


def _tensor(name: str, tensor: "npt.NDArray[Any]") -> list[Any]:
    """The fields of a `LoggedTensor`."""
    kind = _names.get(tensor.dtype)
    if kind is None:
        kind = _named(tensor.dtype)
    if kind == OBJECT:
        cells: Sequence[Any] = tensor.ravel().tolist()
        return [name, kind, tensor.shape[1:], [_cell(cell) for cell in cells]]
    if tensor.dtype.byteorder == ">":
        tensor = tensor.astype(tensor.dtype.newbyteorder("<"))
    if tensor.nbytes >= MANY and tensor.flags.c_contiguous:
        return [name, kind, tensor.shape[1:], tensor.data.cast("B")]
    return [name, kind, tensor.shape[1:], tensor.tobytes()]


_TOLD = "_charkh_logged"
"""Marks an error that was recorded: the edge of the process meets what the model raised once more."""
OBJECT = "object"
_names: "dict[np.dtype[Any], str]" = {}
"""NumPy's name of each element type that was met: it takes a microsecond to ask for one."""


def _named(dtype: "np.dtype[Any]") -> str:
    found = _names[dtype] = OBJECT if dtype.kind in "OUST" else dtype.name
    return found


def _cell(cell: object) -> object:
    return cell if cell is None or isinstance(cell, str | bytes) else str(cell)
