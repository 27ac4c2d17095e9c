"""The message of Seldon's first protocol: rows, texts or JSON, and what is said about them. No I/O.

Source: the field names of Seldon Core's `prediction.proto` as its documentation prints them.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, Literal, NamedTuple, cast

import msgspec

from charkh.bridges.rows import rows_of_tensor, tensors_of_rows
from charkh.endpoints.wire import bad_request
from charkh.ports.runtimes import Signature, Tensors

Form = Literal["ndarray", "tensor", "jsonData", "strData"]


class DenseTensor(msgspec.Struct, frozen=True):
    """Rows one after another, and their shape."""

    shape: tuple[int, ...]
    values: list[Any]


class Data(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rows in one of two forms; `tftensor` is refused by name."""

    names: tuple[str, ...] = ()
    ndarray: list[Any] | None = None
    tensor: DenseTensor | None = None
    tftensor: Any = None


class Meta(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is said about a message.

    Attributes:
        puid: id of the request.
        tags: words about the answer, such as what made it.
        routing: by router, the branch that was taken; -1 for all.
        requestPath: by node, what answered there.
        metrics: of custom components; passed on.
    """

    puid: str = ""
    tags: dict[str, Any] = {}
    routing: dict[str, int] = {}
    requestPath: dict[str, str] = {}  # noqa: N815 (the protocol's own name)
    metrics: list[Any] = []


class SeldonMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request or an answer."""

    meta: Meta = Meta()
    data: Data | None = None
    jsonData: Any = None  # noqa: N815 (the protocol's own name)
    strData: str | None = None  # noqa: N815 (the protocol's own name)
    binData: str | None = None  # noqa: N815 (the protocol's own name)


class Feedback(msgspec.Struct, frozen=True):
    """What a client learned later about an answer: the reward, the truth, or both."""

    response: SeldonMessage = SeldonMessage()
    request: SeldonMessage = SeldonMessage()
    reward: float | None = None
    truth: SeldonMessage | None = None

    @property
    def prediction_id(self) -> str:
        """Of the answer that it is about; as its tag says, for `puid` is the client's own where it gave one."""
        return str(self.response.meta.tags.get("prediction_id") or self.response.meta.puid)


class Asked(NamedTuple):
    """A request, read: its tensors, the form in which the answer is expected, and the id that the client gave."""

    tensors: Tensors
    form: Form
    puid: str


_decode = msgspec.json.Decoder(SeldonMessage).decode
_decode_feedback = msgspec.json.Decoder(Feedback).decode
_encode = msgspec.json.Encoder().encode


def read_message(body: bytes, signature: Signature) -> Asked:
    """The request in a body.

    Raises:
        Invalid: it is no message, holds rows in a form that is not taken, or they do not fit the signature.
    """
    message = _decoded(_decode, body)
    if message.data is not None:
        rows, form = _rows(message.data)
        return Asked(tensors_of_rows(rows, message.data.names, signature), form, message.meta.puid)
    if message.jsonData is not None:
        found: Any = message.jsonData
        rows = cast(list[object], found) if isinstance(found, list) else [found]
        return Asked(tensors_of_rows(rows, (), signature), "jsonData", message.meta.puid)
    if message.strData is not None:
        return Asked(tensors_of_rows([[message.strData]], (), signature), "strData", message.meta.puid)
    if message.binData is not None:
        raise bad_request("binData is not taken", "Send data.ndarray, data.tensor, jsonData or strData.")
    raise bad_request("the message holds no data", 'Send {"data": {"ndarray": [[…], […]]}}.')


def read_feedback(body: bytes) -> Feedback:
    """The feedback in a body.

    Raises:
        Invalid: it is none, or its reward is no finite number.
    """
    return _decoded(_decode_feedback, body)


def true_value(said: Feedback) -> float | int | bool | str | None:
    """The one value that should have been answered, or None where it is not told.

    Raises:
        Invalid: there are several, or it is no number and no text.
    """
    message = said.truth
    if message is None:
        return None
    found: Any = message.strData if message.strData is not None else message.jsonData
    if message.data is not None:
        found, _ = _rows(message.data)
    while isinstance(found, list | tuple) and len(cast(Sequence[Any], found)) == 1:
        found = cast(Sequence[Any], found)[0]
    if not isinstance(found, float | int | str):
        raise bad_request("the truth is not one value", 'Send {"truth": {"data": {"ndarray": [1]}}} for one row.')
    return found


def write_message(outputs: Tensors, form: Form, meta: Meta) -> bytes:
    """The answer in the form of its request.

    A model that gives probabilities answers with them, as Seldon's own servers do; else with its first output.
    """
    name = next((each for each in ("predict_proba", "predict") if each in outputs), next(iter(outputs)))
    rows = rows_of_tensor(outputs[name])
    names = _names(rows)
    if form == "jsonData":
        return _encode(SeldonMessage(meta=meta, jsonData=rows))
    if form == "strData":
        return _encode(SeldonMessage(meta=meta, strData=_encode(rows[0] if len(rows) == 1 else rows).decode()))
    if form == "ndarray":
        return _encode(SeldonMessage(meta=meta, data=Data(names=names, ndarray=rows)))
    shape = (len(rows), *((len(names),) if names else ()))
    flat = [value for row in rows for value in row] if names else rows
    return _encode(SeldonMessage(meta=meta, data=Data(names=names, tensor=DenseTensor(shape=shape, values=flat))))


def _rows(data: Data) -> tuple[Sequence[Any], Form]:
    if data.tftensor is not None:
        raise bad_request("data.tftensor is not taken", "Send data.ndarray or data.tensor.")
    if data.ndarray is not None:
        return data.ndarray, "ndarray"
    if data.tensor is None:
        raise bad_request("data has neither ndarray nor tensor")
    shape, values = data.tensor.shape, data.tensor.values
    if not shape or min(shape) < 0 or prod(shape) != len(values):
        raise bad_request(f"data.tensor: {len(values)} values for shape {list(shape)}")
    if len(shape) == 1:
        return values, "tensor"
    return _nested(values, shape), "tensor"


def _nested(values: Sequence[Any], shape: Sequence[int]) -> list[Any]:
    if len(shape) == 1:
        return list(values)
    step = prod(shape[1:])
    return [_nested(values[at : at + step], shape[1:]) for at in range(0, len(values), step)] if step else []


def _names(rows: Sequence[Any]) -> tuple[str, ...]:
    first = rows[0] if rows else None
    return tuple(f"t:{place}" for place in range(len(cast(list[object], first)))) if isinstance(first, list) else ()


def _decoded(decode: Any, body: bytes) -> Any:
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise bad_request(f"the body is no message of Seldon's protocol: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(f"the body is not JSON: {error}", "Note that NaN is not JSON: write null.") from error
