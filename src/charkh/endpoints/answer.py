"""From a request body to an answer body: decode, check, ask the model, log, encode. No I/O but the log's."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from charkh.core.errors import Bug
from charkh.endpoints.instruments import note
from charkh.endpoints.outputs import Told, encode_outputs
from charkh.endpoints.prediction import PredictionId, row_ids
from charkh.endpoints.reader import reader_of
from charkh.endpoints.records import read_records
from charkh.endpoints.servable import Servable
from charkh.endpoints.wire import InferOutput, cells, datatype_of
from charkh.ports.runtimes import Tensors, row_count

_encode = msgspec.json.Encoder().encode
MAX_ID = 200


class _Asked(NamedTuple):
    outputs: Mapping[str, npt.NDArray[Any]]
    ids: list[str]


def infer(servable: Servable, body: bytes, length: str = "") -> bytes:
    """Answer `POST /v2/models/NAME/infer`; `parameters` of the answer carry the id of every row's prediction.

    Args:
        servable: the model.
        body: of the request.
        length: bytes of its JSON, where binary tensors follow; else empty.

    Raises:
        Invalid: the request is malformed or does not fit the signature, or the model refuses its rows.
    """
    request, inputs = reader_of(servable.signature).read(body, length)
    asked = _ask(servable, inputs, request.id[:MAX_ID])
    parameters = {"prediction_id": asked.ids[0], "prediction_ids": asked.ids} if asked.ids else {}
    told = Told(servable.name, servable.version, request.id, parameters)
    plain = [InferOutput(name=each.name) for each in request.outputs]
    return encode_outputs(told, asked.outputs, plain, declared=servable.signature.outputs).body


def predict_records(servable: Servable, body: bytes, _length: str = "") -> bytes:
    """Answer `POST /predict/NAME`: a list of records in, a list of predictions with their ids out.

    Raises:
        Invalid: as `infer`.
    """
    asked = _ask(servable, read_records(body, servable.signature), "")
    rows: list[dict[str, Any]] = [{"prediction_id": each} for each in asked.ids]
    rows = rows or [{} for _ in range(row_count(asked.outputs))]
    for name, tensor in asked.outputs.items():
        for row, cell in zip(rows, cells(tensor), strict=True):
            row[name] = cell
    return _encode({"model_name": servable.name, "model_version": servable.version, "predictions": rows})


def metadata(servable: Servable, versions: list[str]) -> bytes:
    """Answer `GET /v2/models/NAME`."""
    return _encode(
        {
            "name": servable.name,
            "versions": versions,
            "platform": servable.platform,
            "inputs": [_described(spec.name, spec.datatype, spec.shape) for spec in servable.signature.inputs],
            "outputs": [_described(spec.name, spec.datatype, spec.shape) for spec in servable.signature.outputs],
        }
    )


def _described(name: str, datatype: str, shape: tuple[int, ...]) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": shape}


def _ask(servable: Servable, inputs: Tensors, request: str) -> _Asked:
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
        return _Asked(outputs, [])
    first: PredictionId = servable.log.record(inputs, outputs, rows, request=request, latency=latency)
    ids = row_ids(first, rows)
    note(ids[0] if ids else "", rows, latency)
    return _Asked(outputs, ids)
