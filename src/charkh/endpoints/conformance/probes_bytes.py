"""Probes of what travels as bytes: the binary tensor extension, and compressed bodies. Data, no I/O."""

import gzip
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from charkh.endpoints.conformance.checks import LENGTH, all_binary, answers, answers_the_same, header, refused, status
from charkh.endpoints.conformance.probe import Ask, Check, Probe, Step, Subject
from charkh.endpoints.conformance.tensors import binary, infer, json_input, posted, raw_bytes

BINARY = "binary_tensor_data"
COMPRESSION = "compression"


def _answered(make: Callable[[Subject], Ask | None], *holds: Check) -> Callable[[Subject], Sequence[Step] | None]:
    def steps(subject: Subject) -> Sequence[Step] | None:
        ask = make(subject)
        return None if ask is None else [Step(ask, [status(200), *holds])]

    return steps


def _refused(make: Callable[[Subject], Ask | None], *wanted: int) -> Callable[[Subject], Sequence[Step] | None]:
    def steps(subject: Subject) -> Sequence[Step] | None:
        ask = make(subject)
        return None if ask is None else [Step(ask, refused(*(wanted or (400,))))]

    return steps


def _binary_of_each(subject: Subject) -> Ask:
    named = cast(Sequence[Mapping[str, Any]], subject.answer.get("outputs") or ())
    outputs = [{"name": each["name"], "parameters": {"binary_data": True}} for each in named]
    return infer(subject, outputs=outputs)


def _raw(subject: Subject) -> Ask | None:
    """The tensor alone, where the model has one input whose shape the server can tell from its bytes."""
    if len(subject.inputs) != 1 or sum(size < 0 for size in subject.inputs[0].shape) > 1:
        return None
    if subject.inputs[0].datatype == "BYTES":
        return None
    spec = subject.inputs[0]
    body = raw_bytes(spec, subject.tensors[spec.name])
    return posted(subject, body, content_type="application/octet-stream", inference_header_content_length="0")


def _packed(subject: Subject, encoding: str) -> Ask:
    plain = infer(subject).body
    body = gzip.compress(plain) if encoding == "gzip" else zlib.compress(plain)
    return posted(subject, body, content_encoding=encoding)


def _long(subject: Subject) -> Ask | None:
    """A request of so many rows that packing the answer pays, where the model takes any number."""
    if any(spec.shape[:1] != (-1,) for spec in subject.inputs):
        return None
    inputs = [json_input(spec, np.repeat(subject.tensors[spec.name], 5_000, axis=0)) for spec in subject.inputs]
    return posted(subject, infer(subject, inputs).body, accept_encoding="gzip")


def _cut(subject: Subject) -> Ask:
    return posted(subject, gzip.compress(infer(subject).body)[:-9], content_encoding="gzip")


BYTES_PROBES: tuple[Probe, ...] = (
    Probe(
        "binary.inputs",
        "inputs may come as bytes behind the JSON, as tritonclient sends them by default",
        _answered(binary, answers_the_same),
        BINARY,
    ),
    Probe(
        "binary.each_output",
        "an output with binary_data: true comes as bytes",
        _answered(_binary_of_each, header("content-type", "application/octet-stream"), all_binary, answers_the_same),
        BINARY,
    ),
    Probe(
        "binary.all_outputs",
        "binary_data_output: true makes every output come as bytes",
        _answered(lambda each: infer(each, parameters={"binary_data_output": True}), all_binary, answers_the_same),
        BINARY,
    ),
    Probe(
        "binary.both",
        "bytes in and bytes out, in one request",
        _answered(lambda each: binary(each, more={"parameters": {"binary_data_output": True}}), answers_the_same),
        BINARY,
    ),
    Probe(
        "binary.raw",
        f"{LENGTH} 0 sends the one tensor alone, and gets bytes",
        _answered(_raw, all_binary, answers_the_same),
        BINARY,
    ),
    Probe("binary.refuse_cut", "a tensor that is cut short is 400", _refused(lambda each: binary(each, cut=1)), BINARY),
    Probe(
        "binary.refuse_more",
        "bytes that belong to no tensor are 400",
        _refused(lambda each: binary(each, extra=b"\0")),
        BINARY,
    ),
    Probe(
        "binary.refuse_length",
        "a length of the JSON that is longer than the body is 400",
        _refused(lambda each: binary(each, length="99999999")),
        BINARY,
    ),
    Probe(
        "binary.refuse_no_number",
        "a length of the JSON that is no number is 400",
        _refused(lambda each: binary(each, length="-1x")),
        BINARY,
    ),
    Probe(
        "compressed.gzip",
        "a request may be gzip",
        _answered(lambda each: _packed(each, "gzip"), answers_the_same),
        COMPRESSION,
    ),
    Probe(
        "compressed.deflate",
        "a request may be deflate",
        _answered(lambda each: _packed(each, "deflate"), answers_the_same),
        COMPRESSION,
    ),
    Probe("compressed.refuse_cut", "gzip that is cut short is 4xx", _refused(_cut, 400, 415), COMPRESSION),
    Probe(
        "compressed.answer",
        "a long answer is gzip where Accept-Encoding says so",
        _answered(_long, header("content-encoding", "gzip"), answers),
        COMPRESSION,
    ),
)
"""Asked for each model, as bytes."""
