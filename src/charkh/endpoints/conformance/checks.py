"""What can be said of an answer: its status, its error, its tensors. No I/O."""

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, cast

import msgspec
import numpy as np

from charkh.endpoints.conformance.probe import JSON, Check, Heard, Subject
from charkh.endpoints.conformance.tensors import ITEM_BYTES, texts_of

LENGTH = "inference-header-content-length"


def status(*wanted: int) -> Check:
    """The status is one of these."""

    def check(_: Subject, heard: Heard) -> str:
        if heard.status in wanted:
            return ""
        return f"status {heard.status} instead of {' or '.join(map(str, wanted))}"

    return check


def refused(*wanted: int) -> tuple[Check, ...]:
    """The status is one of these, and the body says the error as clients read it."""
    return (status(*wanted), says_error)


def says_error(_: Subject, heard: Heard) -> str:
    """The body is an object with a text `error`, and of a content type that clients take for JSON."""
    said = heard.object().get("error")
    if not isinstance(said, str) or not said:
        keys = ", ".join(sorted(heard.object())) or "no JSON object"
        return f"no text under `error`: the body has {keys}"
    return is_json(_, heard)


def is_json(_: Subject, heard: Heard) -> str:
    """The content type is exactly application/json; kserve's client reads an error under no other."""
    found = heard.headers.get("content-type", "")
    return "" if found == JSON else f"content-type is {found!r} instead of {JSON!r}"


def has(key: str, value: object) -> Check:
    """The body is an object in which a key has a value."""

    def check(_: Subject, heard: Heard) -> str:
        found = heard.object().get(key)
        return "" if found == value and type(found) is type(value) else f"`{key}` is {found!r} instead of {value!r}"

    return check


def has_text(key: str) -> Check:
    """The body is an object in which a key has a text."""

    def check(_: Subject, heard: Heard) -> str:
        found = heard.object().get(key)
        return "" if isinstance(found, str) and found else f"`{key}` is {found!r} instead of a text"

    return check


def has_list(key: str) -> Check:
    """The body is an object in which a key has a list."""

    def check(_: Subject, heard: Heard) -> str:
        found = heard.object().get(key)
        return "" if isinstance(found, list) else f"`{key}` is {found!r} instead of a list"

    return check


def lists_model(subject: Subject, heard: Heard) -> str:
    """The body is a list of models with name and state, in which this one stands."""
    found = heard.json()
    if not isinstance(found, list):
        return "the body is no list"
    models = [cast(dict[str, Any], each) for each in cast(list[object], found) if isinstance(each, dict)]
    named = [each for each in models if each.get("name") == subject.name]
    if not named:
        return f"{subject.name} is not listed"
    return "" if isinstance(named[0].get("state"), str) else "its `state` is no text"


def describes_tensors(_: Subject, heard: Heard) -> str:
    """`inputs` and `outputs` are lists of name, datatype and shape, and there are some."""
    for key in ("inputs", "outputs"):
        found = heard.object().get(key)
        if not isinstance(found, list) or not found:
            return f"`{key}` is {found!r} instead of a list of tensors"
        for each in cast(list[Mapping[str, Any]], found):
            if not {"name", "datatype", "shape"} <= each.keys():
                return f"a tensor of `{key}` has {sorted(each)}"
    return ""


def answers(subject: Subject, heard: Heard) -> str:
    """The answer has the model's name and well-formed tensors whose data have as many values as the shape says."""
    body = _head(heard)
    if body.get("model_name") != subject.name:
        return f"`model_name` is {body.get('model_name')!r} instead of {subject.name!r}"
    outputs = tensors_of(heard)
    if isinstance(outputs, str):
        return outputs
    if not outputs:
        return "there are no outputs"
    described = {spec.name: spec for spec in subject.outputs}
    for name, (datatype, shape, values) in outputs.items():
        if len(values) != prod(shape):
            return f"output {name}: {len(values)} values for shape {shape}"
        if name in described and described[name].datatype != datatype:
            return f"output {name} is {datatype}, and the metadata say {described[name].datatype}"
    return ""


def answers_the_same(subject: Subject, heard: Heard) -> str:
    """The answer is the one that the plain JSON request got."""
    wrong = answers(subject, heard)
    if wrong:
        return wrong
    if not subject.answer:
        return "the plain JSON request was refused"
    plain = tensors_of(Heard(status=200, headers={}, body=_encoded(subject.answer)))
    found = tensors_of(heard)
    if isinstance(plain, str) or isinstance(found, str):
        return str(plain)
    if list(plain) != list(found):
        return f"outputs {', '.join(found)} instead of {', '.join(plain)}"
    for name, (datatype, shape, values) in found.items():
        if (datatype, shape) != plain[name][:2] or not _equal(values, plain[name][2]):
            return f"output {name} differs from the answer to the plain JSON request"
    return ""


def only_output(name: str) -> Check:
    """The answer has this output and no other."""

    def check(_: Subject, heard: Heard) -> str:
        outputs = tensors_of(heard)
        if isinstance(outputs, str):
            return outputs
        return "" if list(outputs) == [name] else f"outputs {', '.join(outputs)} instead of {name}"

    return check


def all_binary(_: Subject, heard: Heard) -> str:
    """Every output came as bytes behind the JSON."""
    if LENGTH not in heard.headers:
        return "the answer is JSON"
    outputs = cast(list[dict[str, Any]], _head(heard).get("outputs") or [])
    plain = [str(each.get("name")) for each in outputs if _size(each) is None]
    return f"output {plain[0]} is JSON" if plain else ""


def header(name: str, *wanted: str) -> Check:
    """A header of the answer has one of these values."""

    def check(_: Subject, heard: Heard) -> str:
        found = heard.headers.get(name, "")
        return "" if found in wanted else f"{name} is {found!r} instead of {' or '.join(map(repr, wanted))}"

    return check


def tensors_of(heard: Heard) -> dict[str, tuple[str, list[int], list[Any]]] | str:
    """Datatype, shape and flat values of each output of an answer, binary or not; a text says what is wrong."""
    found, tail, position = _head(heard).get("outputs"), _tail(heard), 0
    if not isinstance(found, list):
        return f"`outputs` is {found!r} instead of a list"
    outputs: dict[str, tuple[str, list[int], list[Any]]] = {}
    for each in cast(list[dict[str, Any]], found):
        name, datatype, shape = each.get("name"), each.get("datatype"), each.get("shape")
        if not isinstance(name, str) or not isinstance(datatype, str) or not isinstance(shape, list):
            return f"an output has {sorted(each)} instead of name, datatype and shape"
        size = _size(each)
        if size is None:
            values = flat(each.get("data"))
        else:
            values = _read(datatype, tail[position : position + size])
            position += size
        outputs[name] = (datatype, cast(list[int], shape), values)
    return outputs if position == len(tail) else f"{len(tail) - position} bytes behind the JSON belong to no output"


def flat(data: object) -> list[Any]:
    """Nested lists as one."""
    if not isinstance(data, list):
        return []
    items = cast(list[Any], data)
    if not any(isinstance(item, list) for item in items):
        return items
    return [value for item in items for value in flat(item)]


def _size(output: Mapping[str, Any]) -> int | None:
    """Bytes of an output behind the JSON; None where it is JSON."""
    found = cast(Mapping[str, Any], output.get("parameters") or {}).get("binary_data_size")
    return found if isinstance(found, int) else None


def _head(heard: Heard) -> dict[str, Any]:
    length = heard.headers.get(LENGTH, "")
    text = heard.body[: int(length)] if length.isdigit() else heard.body
    return Heard(status=heard.status, headers={}, body=text).object()


def _tail(heard: Heard) -> bytes:
    length = heard.headers.get(LENGTH, "")
    return heard.body[int(length) :] if length.isdigit() else b""


def _read(datatype: str, raw: bytes) -> list[Any]:
    if datatype == "BYTES":
        return texts_of(raw)
    if datatype == "BF16":
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").tolist()
    kind = ITEM_BYTES.get(datatype)
    if kind is None or len(raw) % np.dtype(kind).itemsize:
        return []
    return np.frombuffer(raw, kind).tolist()


def _equal(left: Iterable[Any], right: Iterable[Any]) -> bool:
    for one, other in zip(left, right, strict=True):
        if isinstance(one, int | float) and isinstance(other, int | float):
            if abs(one - other) > 1e-3 * max(1.0, abs(one)):
                return False
        elif one != other and not (other is None and one != one):
            return False
    return True


def _encoded(answer: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(answer)
