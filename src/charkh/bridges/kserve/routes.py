"""The paths of KServe's first protocol, beside those of the Open Inference Protocol."""

from collections.abc import Mapping, Sequence

import msgspec

from charkh.bridges.kserve.first_protocol import read_instances, write_predictions
from charkh.endpoints.answer import ask
from charkh.endpoints.inference_server import InferenceServer
from charkh.endpoints.route import Act, Asking, Reply, Request, Route
from charkh.endpoints.servable import Servable

_encode = msgspec.json.Encoder().encode


def routes(offer: Sequence[Servable], application: InferenceServer) -> Mapping[str, Route]:
    """`/v1/models`, and of each model whether it is ready and `:predict`."""
    names = list(dict.fromkeys(each.name for each in offer))
    paths = {"/v1/models": Route(("GET",), _encode({"models": names}))} if names else {}
    for each in offer:
        paths.setdefault(f"/v1/models/{each.name}", Route(("GET",), act=_ready(application, each.name)))
        paths.setdefault(f"/v1/models/{each.name}:predict", Route(("POST",), servable=each, work=predict))
    return paths


def predict(servable: Servable, request: Request) -> Asking[bytes]:
    """Answer `POST /v1/models/NAME:predict`.

    Raises:
        Invalid: the request is malformed or does not fit the signature, or the model refuses its rows.
    """
    said = yield from ask(servable, read_instances(request.body, servable.signature), "")
    return write_predictions(said.outputs, model=servable.name, version=servable.version)


def _ready(application: InferenceServer, name: str) -> Act:
    def act(_request: Request) -> Reply:
        status = application.readiness(name).status
        # KServe's own servers say the word as text.
        return Reply(status, _encode({"name": name, "ready": "True" if status == 200 else "False"}))

    return act
