"""Probes of inference in JSON: what must be answered, and what must be refused with a sentence. Data, no I/O."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from charkh.endpoints.conformance.checks import (
    answers,
    answers_the_same,
    has,
    is_json,
    only_output,
    refused,
    says_error,
    status,
)
from charkh.endpoints.conformance.probe import Ask, Check, Heard, Probe, Step, Subject
from charkh.endpoints.conformance.tensors import infer, json_inputs, model_path, posted

Steps = Callable[[Subject], Sequence[Step] | None]
_ID = "charkh-conformance-42"


def _answered(make: Callable[[Subject], Ask | None], *holds: Check) -> Steps:
    def steps(subject: Subject) -> Sequence[Step] | None:
        ask = make(subject)
        return None if ask is None else [Step(ask, [status(200), *holds])]

    return steps


def _refused(make: Callable[[Subject], Ask | None], *wanted: int) -> Steps:
    def steps(subject: Subject) -> Sequence[Step] | None:
        ask = make(subject)
        return None if ask is None else [Step(ask, refused(*(wanted or (400,))))]

    return steps


def _changed(**more: Any) -> Callable[[Subject], Ask]:
    """The valid request with its first input changed."""

    def make(subject: Subject) -> Ask:
        first, *rest = json_inputs(subject)
        return infer(subject, [{**first, **more}, *rest])

    return make


def _nested(subject: Subject) -> Ask:
    inputs = json_inputs(subject)
    for each in inputs:
        each["data"] = subject.tensors[each["name"]].tolist()
    return infer(subject, inputs)


def _first_output(subject: Subject) -> str:
    outputs: Sequence[Mapping[str, Any]] = subject.answer.get("outputs") or []
    return str(outputs[0].get("name")) if outputs else ""


def _one_output(subject: Subject) -> Sequence[Step] | None:
    name = _first_output(subject)
    if not name:
        return None
    return [Step(infer(subject, outputs=[{"name": name}]), [status(200), answers, only_output(name)])]


def _other_values(subject: Subject) -> Ask | None:
    """A text where numbers are declared, a number where texts are."""
    spec = subject.inputs[0]
    wrong = 1 if spec.datatype == "BYTES" else "nonsense"
    return _changed(data=[wrong] * subject.tensors[spec.name].size)(subject)


def _other_datatype(subject: Subject) -> Ask:
    datatype = "FP32" if subject.inputs[0].datatype == "BYTES" else "BYTES"
    values: list[Any] = subject.tensors[subject.inputs[0].name].ravel().tolist()
    data = [0.5 for _ in values] if datatype == "FP32" else [str(each) for each in values]
    return _changed(datatype=datatype, data=data)(subject)


def _more_axes(subject: Subject) -> Ask:
    shape = list(subject.tensors[subject.inputs[0].name].shape)
    return _changed(shape=[*shape, 1, 1])(subject)


def _one_column_more(subject: Subject) -> Ask | None:
    """As many columns as no model of a fixed width takes."""
    spec = subject.inputs[0]
    if len(spec.shape) < 2 or spec.shape[-1] < 1:
        return None
    array = subject.tensors[spec.name]
    shape = [*array.shape[:-1], array.shape[-1] + 1]
    size = array.size // array.shape[-1] * shape[-1]
    return _changed(shape=shape, data=[array.ravel().tolist()[0]] * size)(subject)


def _one_value_less(subject: Subject) -> Ask:
    return _changed(data=subject.tensors[subject.inputs[0].name].ravel().tolist()[:-1])(subject)


def _negative(subject: Subject) -> Ask:
    shape = list(subject.tensors[subject.inputs[0].name].shape)
    return _changed(shape=[-abs(shape[0]), *shape[1:]])(subject)


def _huge(subject: Subject) -> Ask:
    shape = list(subject.tensors[subject.inputs[0].name].shape)
    return _changed(shape=[2**40, *shape[1:]])(subject)


def _missing(subject: Subject) -> Ask | None:
    if len(subject.inputs) < 2 or subject.inputs[-1].optional:
        return None
    return infer(subject, json_inputs(subject)[:-1])


def _twice(subject: Subject) -> Ask:
    inputs = json_inputs(subject)
    return infer(subject, [inputs[0], *inputs])


def _not_a_number(subject: Subject) -> Ask | None:
    if subject.inputs[0].datatype not in {"FP32", "FP64"}:
        return None
    text = infer(subject).body
    at = text.index(b'"data":[') + len(b'"data":[')
    end = min(position for position in (text.find(b",", at), text.find(b"]", at)) if position > 0)
    return posted(subject, text[:at] + b"NaN" + text[end:])


def _to_version(subject: Subject) -> Ask | None:
    if not subject.version:
        return None
    plain = infer(subject)
    return Ask(
        method="POST",
        path=model_path(subject, "/infer", version=subject.version),
        body=plain.body,
        headers=plain.headers,
    )


def _to(path: Callable[[Subject], str]) -> Callable[[Subject], Ask]:
    def make(subject: Subject) -> Ask:
        plain = infer(subject)
        return Ask(method="POST", path=path(subject), body=plain.body, headers=plain.headers)

    return make


def _echoes(subject: Subject, heard: Heard) -> str:
    return has("id", _ID)(subject, heard)


INFER_PROBES: tuple[Probe, ...] = (
    Probe("infer.json", "a valid request is answered with well-formed tensors", _answered(infer, answers, is_json)),
    Probe("infer.id", "the answer has the request's id", _answered(lambda each: infer(each, id=_ID), _echoes)),
    Probe("infer.nested", "data may be nested", _answered(_nested, answers_the_same)),
    Probe(
        "infer.version",
        "a listed version answers under /versions/VERSION/infer",
        _answered(_to_version, answers_the_same),
    ),
    Probe("infer.outputs", "the outputs that are asked for come, and no other", _one_output),
    Probe(
        "infer.parameters",
        "parameters that are unknown are passed over",
        _answered(lambda each: infer(each, parameters={"a": "text", "b": 1, "c": True, "d": 0.5}), answers_the_same),
    ),
    Probe(
        "refuse.unknown_model",
        "an unknown model is 404 with an error",
        _refused(_to(lambda _: "/v2/models/no-such-model-7f3a/infer"), 404),
    ),
    Probe(
        "refuse.unknown_version",
        "an unknown version is 404 with an error",
        _refused(_to(lambda each: model_path(each, "/infer", version="987654321")), 404),
    ),
    Probe(
        "refuse.method",
        "GET of infer is refused with an error",
        lambda each: [Step(Ask(path=f"/v2/models/{quote(each.name, safe='')}/infer"), refused(404, 405))],
    ),
    Probe("refuse.not_json", "a body that is not JSON is 400", _refused(lambda each: posted(each, b'{"inputs": ['))),
    Probe("refuse.empty", "an empty body is 400", _refused(lambda each: posted(each, b""))),
    Probe("refuse.no_object", "a body that is a list is 400", _refused(lambda each: posted(each, b"[]"))),
    Probe("refuse.no_inputs", "a request without inputs is 400", _refused(lambda each: infer(each, []))),
    Probe("refuse.unknown_input", "an input that the model does not take is 400", _refused(_changed(name="nonsense"))),
    Probe("refuse.missing_input", "a required input that does not come is 400", _refused(_missing)),
    Probe("refuse.input_twice", "an input that stands twice is 400", _refused(_twice)),
    Probe(
        "refuse.unknown_output",
        "an output that the model does not give is 400",
        _refused(lambda each: infer(each, outputs=[{"name": "nonsense"}])),
    ),
    Probe("refuse.fewer_values", "fewer values than the shape says are 400", _refused(_one_value_less)),
    Probe("refuse.huge_shape", "a shape far above the data is 400, at once", _refused(_huge)),
    Probe("refuse.negative_shape", "a negative size is 400", _refused(_negative)),
    Probe("refuse.more_axes", "a shape with more axes than declared is 400", _refused(_more_axes)),
    Probe("refuse.width", "a row that is wider than declared is 400", _refused(_one_column_more)),
    Probe("refuse.unknown_datatype", "a datatype that is none is 400", _refused(_changed(datatype="FP12"))),
    Probe("refuse.other_datatype", "a datatype that the model does not take is 400", _refused(_other_datatype)),
    Probe("refuse.other_values", "values that are not of the datatype are 400", _refused(_other_values)),
    Probe("refuse.no_data", "an input without data is 400", _refused(_changed(data=None))),
    Probe("refuse.nan", "NaN, which is no JSON, is 400", _refused(_not_a_number)),
    Probe(
        "refuse.shape_of_text",
        "a shape that is a text is 400",
        lambda each: [Step(_changed(shape="2")(each), [status(400), says_error])],
    ),
)
"""Asked for each model, as JSON."""
