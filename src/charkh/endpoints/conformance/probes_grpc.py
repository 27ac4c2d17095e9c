"""Probes of the protocol over gRPC: a call, what it is sent, and what must hold of the answer. Data, no I/O."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from charkh.endpoints.conformance.probe import Subject
from charkh.endpoints.conformance.tensors import ITEM_BYTES, raw_bytes
from charkh.endpoints.grpc.tensors import FIELDS

Fields = dict[str, Any]
REPOSITORY, CONFIGURATION, STATISTICS = "model_repository", "model_configuration", "statistics"
_NOWHERE = "no-such-model-7f3a"


class GrpcHeard(NamedTuple):
    """What a call came to: the name of its status, its message with `OK`, and the text of the error else."""

    code: str
    message: Any = None
    details: str = ""


GrpcCheck = Callable[[Subject, GrpcHeard], str]
"""What is wrong with an answer, in a few words; empty when nothing is."""


@dataclass(frozen=True, slots=True)
class GrpcProbe:
    """One call of a server.

    Attributes:
        name: short and stable, such as `grpc.infer_raw`.
        says: what must hold, in a sentence.
        call: such as `ModelInfer`.
        fields: of the request; bytes are sent as they are; None where the model gives no occasion to ask.
        holds: what must hold of the answer.
        extension: of the protocol that it belongs to; empty for the protocol itself.
        of_server: whether it is asked once, not for each model.
    """

    name: str
    says: str
    call: str
    fields: Callable[[Subject], Fields | bytes | None]
    holds: Sequence[GrpcCheck]
    extension: str = ""
    of_server: bool = False


def request(subject: Subject, *, typed: bool = False, **changes: Any) -> Fields:
    """The valid request, with its tensors as bytes or in typed fields; `changes` replace what it says."""
    inputs = list[Fields]()
    for spec in subject.inputs:
        array = subject.tensors[spec.name]
        made: Fields = {"name": spec.name, "datatype": spec.datatype, "shape": list(array.shape)}
        if typed:
            values = array.ravel().tolist()
            cells = [str(each).encode() for each in values] if spec.datatype == "BYTES" else values
            made["contents"] = {FIELDS[spec.datatype]: cells}
        inputs.append(made)
    raws = [] if typed else [raw_bytes(spec, subject.tensors[spec.name]) for spec in subject.inputs]
    return {"model_name": subject.name, "inputs": inputs, "raw_input_contents": raws, **changes}


def ok(_: Subject, heard: GrpcHeard) -> str:
    """The call was answered."""
    return "" if heard.code == "OK" else f"{heard.code}: {heard.details[:160]}"


def refused(*codes: str) -> tuple[GrpcCheck]:
    """The call was refused with one of these, and says why."""

    def check(_: Subject, heard: GrpcHeard) -> str:
        if heard.code not in codes:
            return f"{heard.code} instead of {' or '.join(codes)}"
        return "" if heard.details else "the error says nothing"

    return (check,)


def says(field: str, value: Any = None) -> GrpcCheck:
    """A field has a value, or any but the empty one."""

    def check(_: Subject, heard: GrpcHeard) -> str:
        found = getattr(heard.message, field)
        return "" if (found == value if value is not None else found) else f"`{field}` is {found!r}"

    return check


def _not_ready(_: Subject, heard: GrpcHeard) -> str:
    if heard.code == "NOT_FOUND" or (heard.code == "OK" and not heard.message.ready):
        return ""
    return f"{heard.code} instead of NOT_FOUND or `ready` false"


def _describes(subject: Subject, heard: GrpcHeard) -> str:
    if heard.message.name != subject.name:
        return f"`name` is {heard.message.name!r}"
    tensors = [*heard.message.inputs, *heard.message.outputs]
    if not heard.message.inputs or not heard.message.outputs:
        return "`inputs` or `outputs` are empty"
    return "" if all(each.name and each.datatype for each in tensors) else "a tensor has no name or no datatype"


def _listed(subject: Subject, heard: GrpcHeard) -> str:
    return "" if subject.name in {each.name for each in heard.message.models} else f"{subject.name} is not listed"


def _answers_raw(subject: Subject, heard: GrpcHeard) -> str:
    if heard.message.model_name != subject.name:
        return f"`model_name` is {heard.message.model_name!r}"
    outputs, raws = heard.message.outputs, heard.message.raw_output_contents
    if not outputs or len(outputs) != len(raws):
        return f"{len(outputs)} outputs and {len(raws)} raw_output_contents"
    for output, raw in zip(outputs, raws, strict=True):
        size = 2 if output.datatype == "BF16" else int(ITEM_BYTES.get(output.datatype, "<i0")[-1] or 0)
        if size and prod(output.shape) * (1 if output.datatype == "BOOL" else size) != len(raw):
            return f"output {output.name}: {len(raw)} bytes for {output.datatype} of shape {list(output.shape)}"
    return ""


def _answers_typed(_: Subject, heard: GrpcHeard) -> str:
    for output in heard.message.outputs:
        if output.datatype not in FIELDS:
            return ""
        values = len(getattr(output.contents, FIELDS[output.datatype]))
        if values != prod(output.shape) and not heard.message.raw_output_contents:
            return f"output {output.name}: {values} values for shape {list(output.shape)}"
    return "" if heard.message.outputs else "there are no outputs"


def _streamed(subject: Subject, heard: GrpcHeard) -> str:
    said = heard.message.infer_response
    if heard.message.error_message or said.model_name != subject.name:
        return heard.message.error_message or f"`model_name` is {said.model_name!r}"
    return ""


def _only_first(subject: Subject, heard: GrpcHeard) -> str:
    names = [each.name for each in heard.message.outputs]
    return "" if names == [subject.outputs[0].name] else f"outputs {', '.join(names)}"


def _changed(**changes: Any) -> Callable[[Subject], Fields]:
    return lambda subject: request(subject, **changes)


def _first(**changes: Any) -> Callable[[Subject], Fields]:
    """The valid request with its first input changed."""

    def fields(subject: Subject) -> Fields:
        asked = request(subject)
        asked["inputs"][0].update(changes)
        return asked

    return fields


def _typed(subject: Subject) -> Fields | None:
    fits = all(spec.datatype in FIELDS for spec in subject.inputs)
    return request(subject, typed=True) if fits else None


def _twice(subject: Subject) -> Fields | None:
    typed = _typed(subject)
    return None if typed is None else {**typed, "raw_input_contents": request(subject)["raw_input_contents"]}


def _cut(subject: Subject) -> Fields:
    asked = request(subject)
    asked["raw_input_contents"][0] = asked["raw_input_contents"][0][:-1]
    return asked


def _one_raw_more(subject: Subject) -> Fields:
    return request(subject, raw_input_contents=[b"", *request(subject)["raw_input_contents"]])


def _one_output(subject: Subject) -> Fields | None:
    return request(subject, outputs=[{"name": subject.outputs[0].name}]) if subject.outputs else None


def _name(subject: Subject) -> Fields:
    return {"name": subject.name}


def _nothing(_: Subject) -> Fields:
    return {}


WRONG = refused("INVALID_ARGUMENT")
MISSING = refused("NOT_FOUND")

GRPC_PROBES: tuple[GrpcProbe, ...] = (
    GrpcProbe("grpc.live", "the server is live", "ServerLive", _nothing, (ok, says("live", True)), of_server=True),
    GrpcProbe("grpc.ready", "the server is ready", "ServerReady", _nothing, (ok, says("ready", True)), of_server=True),
    GrpcProbe("grpc.server", "the server has a name", "ServerMetadata", _nothing, (ok, says("name")), of_server=True),
    GrpcProbe(
        "grpc.unknown_ready",
        "an unknown model is not ready",
        "ModelReady",
        lambda _: {"name": _NOWHERE},
        (_not_ready,),
        of_server=True,
    ),
    GrpcProbe(
        "grpc.unknown_metadata",
        "an unknown model has no metadata",
        "ModelMetadata",
        lambda _: {"name": _NOWHERE},
        MISSING,
        of_server=True,
    ),
    GrpcProbe(
        "grpc.unknown_model",
        "an unknown model cannot be asked",
        "ModelInfer",
        lambda _: {"model_name": _NOWHERE},
        MISSING,
        of_server=True,
    ),
    GrpcProbe(
        "grpc.malformed",
        "bytes that are no message are refused",
        "ModelInfer",
        lambda _: b"\xff\xff\xff",
        refused("INVALID_ARGUMENT", "INTERNAL"),
        of_server=True,
    ),
    GrpcProbe("grpc.model_ready", "the model is ready", "ModelReady", _name, (ok, says("ready", True))),
    GrpcProbe("grpc.metadata", "the metadata describe the tensors", "ModelMetadata", _name, (ok, _describes)),
    GrpcProbe("grpc.infer_raw", "tensors as bytes are answered as bytes", "ModelInfer", request, (ok, _answers_raw)),
    GrpcProbe("grpc.infer_typed", "tensors in typed fields are answered", "ModelInfer", _typed, (ok, _answers_typed)),
    GrpcProbe(
        "grpc.id", "the request's id comes back", "ModelInfer", _changed(id="probe-42"), (ok, says("id", "probe-42"))
    ),
    GrpcProbe("grpc.outputs", "only the outputs that are asked for come", "ModelInfer", _one_output, (ok, _only_first)),
    GrpcProbe(
        "grpc.unknown_version",
        "an unknown version cannot be asked",
        "ModelInfer",
        _changed(model_version="987654"),
        MISSING,
    ),
    GrpcProbe(
        "grpc.unknown_output",
        "an unknown output is refused",
        "ModelInfer",
        _changed(outputs=[{"name": _NOWHERE}]),
        WRONG,
    ),
    GrpcProbe("grpc.unknown_input", "an unknown input is refused", "ModelInfer", _first(name=_NOWHERE), WRONG),
    GrpcProbe(
        "grpc.no_inputs",
        "a request without inputs is refused",
        "ModelInfer",
        _changed(inputs=[], raw_input_contents=[]),
        WRONG,
    ),
    GrpcProbe("grpc.datatype", "an unknown datatype is refused", "ModelInfer", _first(datatype="FP11"), WRONG),
    GrpcProbe("grpc.shape", "a shape that the bytes do not fill is refused", "ModelInfer", _first(shape=[7919]), WRONG),
    GrpcProbe("grpc.negative_shape", "a negative shape is refused", "ModelInfer", _first(shape=[-1]), WRONG),
    GrpcProbe("grpc.cut", "bytes that end too early are refused", "ModelInfer", _cut, WRONG),
    GrpcProbe("grpc.raw_count", "more raw tensors than inputs are refused", "ModelInfer", _one_raw_more, WRONG),
    GrpcProbe("grpc.twice", "a tensor in both forms is refused", "ModelInfer", _twice, WRONG),
    GrpcProbe(
        "grpc.stream", "a stream of requests is answered", "ModelStreamInfer", request, (ok, _streamed), "streaming"
    ),
    GrpcProbe("grpc.index", "the index lists the model", "RepositoryIndex", _nothing, (ok, _listed), REPOSITORY),
    GrpcProbe(
        "grpc.config", "the model has a configuration", "ModelConfig", _name, (ok, says("config")), CONFIGURATION
    ),
    GrpcProbe(
        "grpc.statistics", "the model has statistics", "ModelStatistics", _name, (ok, says("model_stats")), STATISTICS
    ),
)
"""The whole suite over gRPC, in the order in which it runs."""
