"""The paths of the Open Inference Protocol on REST, with those of Triton and KServe that their clients ask for."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from charkh.core.errors import Invalid
from charkh.endpoints.answer import MAX_ID, ask
from charkh.endpoints.csv_records import MEDIA, read_csv, write_csv
from charkh.endpoints.inference_server import InferenceServer
from charkh.endpoints.openapi import document
from charkh.endpoints.outputs import ALL_BINARY, LENGTH, OCTETS, Told, encode_outputs
from charkh.endpoints.reader import InferHead, read_raw, reader_of
from charkh.endpoints.records import read_records
from charkh.endpoints.repository import load, offered, unload
from charkh.endpoints.route import Act, Asking, Reply, Request, Route
from charkh.endpoints.servable import Servable
from charkh.endpoints.statistics import statistics
from charkh.endpoints.wire import InferRequest, Parameters, cells
from charkh.ports.runtimes import TensorSpec, row_count

EXTENSIONS = (
    "binary_tensor_data",
    "model_repository",
    "model_repository(unload_dependents)",
    "model_configuration",
    "statistics",
    "parameters",
)
IDS = "prediction_ids"
FEW_ROWS = 16
"""Rows up to which every row's id stands in the answer: a hundred ids cost more than a hundred predictions."""
_RAW = InferRequest(inputs=(), parameters={ALL_BINARY: True})
_encode = msgspec.json.Encoder().encode


def routes(offer: Sequence[Servable], application: InferenceServer) -> dict[str, Route]:
    """Every path that is answered for these models. Of several of one name, the first answers without a version."""
    found = _paths_of_the_server(offer, application)
    single = dict.fromkeys(each.name for each in offer)
    for each in offer:
        versions = [other.version for other in offer if other.name == each.name]
        base = f"/v2/models/{each.name}"
        for path in (base, f"{base}/versions/{each.version}"):
            for rest, route in _paths_of(each, versions, application).items():
                found.setdefault(f"{path}{rest}", route)
        found.setdefault(f"/predict/{each.name}", Route(("POST",), servable=each, work=predict))
    if len(single) == 1:
        found.setdefault("/predict", Route(("POST",), servable=offer[0], work=predict))
    return found


def infer(servable: Servable, request: Request) -> Asking[bytes | Reply]:
    """Answer `POST /v2/models/NAME/infer`; `parameters` of the answer carry the id of the first row's prediction.

    Of few rows, or where the request's parameters say `"prediction_ids": true`, they carry every row's; others are
    named `ID.ROW`.

    Raises:
        Invalid: the request is malformed or does not fit the signature, or the model refuses its rows.
    """
    length = request.headers.get(LENGTH, "")
    asked_for: InferHead
    if length == "0":
        asked_for, inputs = _RAW, read_raw(request.body, servable.signature)
    else:
        asked_for, inputs = reader_of(servable.signature).read(request.body, length)
    said = yield from ask(servable, inputs, asked_for.id[:MAX_ID], asked_for.outputs)
    parameters: Parameters = {}
    if said.first:
        parameters = {"prediction_id": said.first}
        if said.rows <= FEW_ROWS or asked_for.parameters.get(IDS):
            parameters[IDS] = said.ids
    answer = encode_outputs(
        Told(servable.name, servable.version, asked_for.id, parameters),
        said.outputs,
        asked_for.outputs,
        all_binary=bool(asked_for.parameters.get(ALL_BINARY)),
        declared=servable.signature.outputs,
    )
    if not answer.length:
        return answer.body
    return Reply(200, answer.body, (("content-type", OCTETS), (LENGTH, str(answer.length))))


def predict(servable: Servable, request: Request) -> Asking[bytes | Reply]:
    """Answer `POST /predict/NAME`: records in JSON or CSV in, predictions with their ids out, in the same form.

    Raises:
        Invalid: as `infer`.
    """
    is_csv = _media(request.headers.get("content-type", "")) == MEDIA
    read = read_csv if is_csv else read_records
    said = yield from ask(servable, read(request.body, servable.signature), "")
    accepted = {_media(each) for each in request.headers.get("accept", "").split(",")}
    if MEDIA in accepted or (is_csv and "application/json" not in accepted):
        return Reply(200, write_csv(said.ids, said.outputs), (("content-type", f"{MEDIA}; charset=utf-8"),))
    rows: list[dict[str, Any]] = [{"prediction_id": each} for each in said.ids]
    rows = rows or [{} for _ in range(row_count(said.outputs))]
    for name, tensor in said.outputs.items():
        for row, cell in zip(rows, cells(tensor), strict=True):
            row[name] = cell
    return _encode({"model_name": servable.name, "model_version": servable.version, "predictions": rows})


def _paths_of_the_server(offer: Sequence[Servable], application: InferenceServer) -> dict[str, Route]:
    names = list(dict.fromkeys(each.name for each in offer))
    paths = {
        "/v2": Route(("GET",), _encode({"name": "charkh", "version": "2", "extensions": EXTENSIONS})),
        "/v2/health/live": Route(("GET",), _encode({"live": True})),
        "/v2/health/ready": Route(("GET",), act=lambda _: application.readiness()),
        "/v2/models": Route(("GET",), _encode({"models": names})),
        "/v2/models/stats": Route(("GET",), act=lambda _: Reply(200, statistics(offer, application))),
        "/v2/repository/index": Route(("POST",), act=lambda request: _index(application, request)),
        "/openapi.json": Route(("GET",), act=lambda _: Reply(200, document(offer))),
    }
    for each in offered(application):
        base = f"/v2/repository/models/{each.name}"
        paths[f"{base}/load"] = Route(("POST",), act=_loading(application, each.name))
        paths[f"{base}/unload"] = Route(("POST",), act=_unloading(application, each.name))
    return paths


def _paths_of(servable: Servable, versions: Sequence[str], application: InferenceServer) -> Mapping[str, Route]:
    return {
        "": Route(("GET",), metadata(servable, versions)),
        "/ready": Route(("GET",), act=lambda _: _readiness(servable, application)),
        "/infer": Route(("POST",), servable=servable, work=infer),
        "/config": Route(("GET",), _encode(config(servable))),
        "/stats": Route(("GET",), act=lambda _: Reply(200, statistics([servable], application))),
        "/openapi.json": Route(("GET",), act=lambda _: Reply(200, document([servable]))),
    }


def metadata(servable: Servable, versions: Sequence[str]) -> bytes:
    """Answer `GET /v2/models/NAME`."""
    return _encode(
        {
            "name": servable.name,
            "versions": list(dict.fromkeys(versions)),
            "platform": servable.platform,
            "inputs": [_described(spec) for spec in servable.signature.inputs],
            "outputs": [_described(spec) for spec in servable.signature.outputs],
        }
    )


def config(servable: Servable) -> dict[str, Any]:
    """What Triton's model configuration says, as far as it means anything here."""
    return {
        "name": servable.name,
        "platform": servable.platform,
        "backend": servable.platform,
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": 0,
        "input": [_configured(spec) for spec in servable.signature.inputs],
        "output": [_configured(spec) for spec in servable.signature.outputs],
    }


def _described(spec: TensorSpec) -> dict[str, object]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": spec.shape}


def _configured(spec: TensorSpec) -> dict[str, object]:
    datatype = "TYPE_STRING" if spec.datatype == "BYTES" else f"TYPE_{spec.datatype}"
    return {"name": spec.name, "data_type": datatype, "dims": spec.shape, "optional": spec.optional}


def _index(application: InferenceServer, request: Request) -> Reply:
    only_ready = bool(_object(request).get("ready"))
    states = [_state(each, application) for each in offered(application)]
    return Reply(200, _encode([each for each in states if not only_ready or each["state"] == "READY"]))


def _state(servable: Servable, application: InferenceServer) -> dict[str, str]:
    reason = "unloaded" if servable.name in application.unloaded else servable.away
    state = "UNAVAILABLE" if reason else "READY"
    return {"name": servable.name, "version": servable.version, "state": state, "reason": reason}


def _readiness(servable: Servable, application: InferenceServer) -> Reply:
    if servable.away:
        return Reply(503, _encode({"name": servable.name, "ready": False}))
    return application.readiness(servable.name)


def _loading(application: InferenceServer, name: str) -> Act:
    return lambda request: load(application, name, _object(request))


def _unloading(application: InferenceServer, name: str) -> Act:
    return lambda request: unload(application, name, _object(request))


def _object(request: Request) -> dict[str, Any]:
    """The body as an object; an empty body is one without members.

    Raises:
        Invalid: it is something else.
    """
    try:
        return msgspec.json.decode(request.body, type=dict[str, Any]) if request.body.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(
            f"the body is no JSON object: {error}", code="endpoint.bad_request", hint="Send an object, or nothing."
        ) from error


def _media(header: str) -> str:
    return header.partition(";")[0].strip().lower()
