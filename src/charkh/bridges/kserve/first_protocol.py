"""KServe's first protocol, which its services still speak by default: `POST /v1/models/NAME:predict`. No I/O.

Source: KServe's documentation, "V1 Inference Protocol" (that of TensorFlow Serving, rows only).
"""

from typing import Any

import msgspec

from charkh.bridges.rows import rows_of_tensor, tensors_of_rows
from charkh.endpoints.wire import bad_request
from charkh.ports.runtimes import Signature, Tensors, row_count


class PredictRequest(msgspec.Struct, frozen=True):
    """The body: rows as `instances`, or, as some clients send them, as `inputs`."""

    instances: list[Any] | None = None
    inputs: list[Any] | None = None
    signature_name: str | None = None


_decode = msgspec.json.Decoder(PredictRequest).decode
_encode = msgspec.json.Encoder().encode


def read_instances(body: bytes, signature: Signature) -> Tensors:
    """The tensors of a request.

    Raises:
        Invalid: it is no request of this protocol, or its rows do not fit the signature.
    """
    try:
        request = _decode(body)
    except msgspec.ValidationError as error:
        raise bad_request(f"the body is no prediction request: {error}", 'Send {"instances": [[…], […]]}.') from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(f"the body is not JSON: {error}", "Note that NaN is not JSON: write null.") from error
    rows = request.inputs if request.instances is None else request.instances
    if rows is None:
        raise bad_request("the request has no instances", 'Send {"instances": [[…], […]]}.')
    return tensors_of_rows(rows, (), signature)


def write_predictions(outputs: Tensors, *, model: str, version: str) -> bytes:
    """The answer: the model's first output a row; where it is named `predict`, that, as KServe's own servers do."""
    name = "predict" if "predict" in outputs else next(iter(outputs), "")
    predictions = rows_of_tensor(outputs[name]) if name else [None] * row_count(outputs)
    return _encode({"predictions": predictions, "model_name": model, "model_version": version})
