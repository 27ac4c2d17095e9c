"""The paths of Seldon's first protocol, beside those of the Open Inference Protocol."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from charkh.bridges.seldon.messages import Feedback, Meta, read_feedback, read_message, write_message
from charkh.endpoints.answer import ask
from charkh.endpoints.inference_server import InferenceServer
from charkh.endpoints.route import Act, Asking, Reply, Request, Route
from charkh.endpoints.servable import Servable

VERSIONS = ("v1.0", "v0.1")
MAX_PUID = 200

TakeFeedback = Callable[[str, Feedback], None]
"""Keeps what a client learned of an answer of the endpoint of that name."""


def routes_with(take: TakeFeedback) -> Callable[[Sequence[Servable], InferenceServer], Mapping[str, Route]]:
    """The paths of every endpoint below `/seldon/NAMESPACE`, and of a single one at the top as well.

    Args:
        take: keeps feedback.
    """

    def routes(offer: Sequence[Servable], application: InferenceServer) -> Mapping[str, Route]:
        names = list(dict.fromkeys(each.name for each in offer))
        paths: dict[str, Route] = {}
        for each in offer:
            for base in (f"/seldon/default/{each.name}", *(("",) if len(names) == 1 else ())):
                for version in VERSIONS:
                    paths.setdefault(f"{base}/api/{version}/predictions", Route(("POST",), servable=each, work=predict))
                    paths.setdefault(f"{base}/api/{version}/feedback", Route(("POST",), act=_keeping(take, each.name)))
                    for word in ("status", "ping"):
                        health = f"{base}/api/{version}/health/{word}"
                        paths.setdefault(health, Route(("GET",), act=lambda _request: application.readiness()))
        return paths

    return routes


def predict(servable: Servable, request: Request) -> Asking[bytes]:
    """Answer `POST /api/v1.0/predictions`; `puid` of the answer is the client's, and the tag `prediction_id` names it.

    Raises:
        Invalid: the request is malformed or does not fit the signature, or the model refuses its rows.
    """
    asked = read_message(request.body, servable.signature)
    said = yield from ask(servable, asked.tensors, asked.puid[:MAX_PUID])
    first = said.first
    tags = {"version": servable.version, **({"prediction_id": first} if first else {})}
    meta = Meta(puid=asked.puid or first, tags=tags, requestPath={servable.name: f"charkh:{servable.version}"})
    return write_message(said.outputs, asked.form, meta)


def _keeping(take: TakeFeedback, name: str) -> Act:
    def keep(body: bytes) -> Reply:
        take(name, read_feedback(body))
        return Reply(200, b'{"data":{},"meta":{}}')

    # What is kept waits for its disk; nobody else does.
    return lambda request: asyncio.to_thread(keep, request.body)
