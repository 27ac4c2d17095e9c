"""Triton's statistics of what was asked, read from the counts that Prometheus sees too, over all workers."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from charkh.endpoints.inference_server import InferenceServer
from charkh.endpoints.instruments import COMPUTE, DURATION, REQUESTS
from charkh.endpoints.servable import Servable
from charkh.ports.meters import Family, Sample

_ROWS = "charkh_inference_rows"
_encode = msgspec.json.Encoder().encode


def statistics(servables: Sequence[Servable], application: InferenceServer) -> bytes:
    """Answer `GET /v2/models[/NAME]/stats`; without meters every count is 0."""
    looks = application.looks
    families = {} if looks is None else {family.name: family for family in looks.instruments.meters.read()}
    return _encode({"model_stats": [_of(each, families) for each in servables]})


def _of(servable: Servable, families: "dict[str, Family]") -> dict[str, Any]:
    requests = list(_samples(families, REQUESTS, servable))
    succeeded = sum(each.value for each in requests if each.labels.get("code") == "200")
    failed = sum(each.value for each in requests) - succeeded
    taken = _sum(families, DURATION, servable)
    computed = _sum(families, COMPUTE, servable)
    executions = sum(each.value for each in _samples(families, COMPUTE, servable) if each.suffix == "_count")
    nothing = {"count": 0, "ns": 0}
    return {
        "name": servable.name,
        "version": servable.version,
        "last_inference": 0,
        "inference_count": int(sum(each.value for each in _samples(families, _ROWS, servable))),
        "execution_count": int(executions),
        "inference_stats": {
            "success": {"count": int(succeeded), "ns": int(taken * 1e9)},
            "fail": {"count": int(failed), "ns": 0},
            "queue": nothing,
            "compute_input": nothing,
            "compute_infer": {"count": int(executions), "ns": int(computed * 1e9)},
            "compute_output": nothing,
            "cache_hit": nothing,
            "cache_miss": nothing,
        },
        "batch_stats": [],
    }


def _sum(families: "dict[str, Family]", name: str, servable: Servable) -> float:
    return sum(each.value for each in _samples(families, name, servable) if each.suffix == "_sum")


def _samples(families: "dict[str, Family]", name: str, servable: Servable) -> Iterable[Sample]:
    family = families.get(name)
    for each in () if family is None else family.samples:
        if each.labels.get("model") == servable.name and each.labels.get("version") == servable.version:
            yield each
