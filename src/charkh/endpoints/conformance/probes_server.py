"""Probes of what is around inference: health, metadata, repository, configuration, statistics. Data, no I/O."""

from collections.abc import Callable, Sequence

from charkh.endpoints.conformance.checks import (
    describes_tensors,
    has,
    has_list,
    has_text,
    is_json,
    lists_model,
    refused,
    status,
)
from charkh.endpoints.conformance.probe import JSON, Ask, Check, Probe, Step, Subject
from charkh.endpoints.conformance.tensors import infer, model_path

REPOSITORY = "model_repository"
CONFIGURATION = "model_configuration"
STATISTICS = "statistics"
_NOWHERE = "no-such-model-7f3a"

Steps = Callable[[Subject], Sequence[Step] | None]


def _get(path: str, *holds: Check) -> Sequence[Step]:
    return [Step(Ask(path=path), holds)]


def _post(path: str, body: bytes, *holds: Check) -> Sequence[Step]:
    headers = {"content-type": JSON} if body else {}
    return [Step(Ask(path=path, method="POST", body=body, headers=headers), holds)]


def _of(rest: str, *holds: Check) -> Steps:
    return lambda subject: _get(model_path(subject, rest), *holds)


def _of_version(rest: str, *holds: Check) -> Steps:
    return lambda subject: _get(model_path(subject, rest, version=subject.version), *holds) if subject.version else None


def _quoted(subject: Subject) -> Sequence[Step]:
    every = "".join(f"%{byte:02X}" for byte in subject.name.encode())
    return _get(f"/v2/models/{every}/ready", status(200))


def _unload_and_load(subject: Subject) -> Sequence[Step]:
    path = f"/v2/repository{model_path(subject).removeprefix('/v2')}"
    return [
        *_post(f"{path}/unload", b'{"parameters":{"unload_dependents":false}}', status(200)),
        Step(infer(subject), refused(400, 404, 503)),
        *_post(f"{path}/load", b"{}", status(200)),
        Step(infer(subject), [status(200)]),
    ]


SERVER_PROBES: tuple[Probe, ...] = (
    Probe("health.live", "GET /v2/health/live answers 200", lambda _: _get("/v2/health/live", status(200))),
    Probe(
        "health.live_body",
        'the body is {"live": true}, which kserve\'s client reads',
        lambda _: _get("/v2/health/live", status(200), has("live", True), is_json),
    ),
    Probe("health.ready", "GET /v2/health/ready answers 200", lambda _: _get("/v2/health/ready", status(200))),
    Probe(
        "health.ready_body",
        'the body has "ready": true, which kserve\'s client reads',
        lambda _: _get("/v2/health/ready", status(200), has("ready", True), is_json),
    ),
    Probe(
        "server.metadata",
        "GET /v2 has name, version and the list of extensions",
        lambda _: _get("/v2", status(200), has_text("name"), has_text("version"), has_list("extensions"), is_json),
    ),
    Probe(
        "server.nowhere", "a path that is none is refused with an error", lambda _: _get("/v2/nonsense", *refused(404))
    ),
    Probe(
        "server.models",
        "GET /v2/models lists the models (KServe)",
        lambda _: _get("/v2/models", status(200), has_list("models")),
        extension="kserve",
    ),
)
"""Asked once for the server."""

MODEL_PROBES: tuple[Probe, ...] = (
    Probe(
        "metadata.model",
        "GET /v2/models/NAME has name, versions, platform and the tensors in and out",
        _of("", status(200), has_text("name"), has_list("versions"), has_text("platform"), describes_tensors),
    ),
    Probe(
        "metadata.version",
        "GET /v2/models/NAME/versions/VERSION is the same for a version that it lists",
        _of_version("", status(200), has_text("name")),
    ),
    Probe(
        "metadata.unknown_model",
        "an unknown model is 404 with an error",
        lambda _: _get(f"/v2/models/{_NOWHERE}", *refused(404)),
    ),
    Probe(
        "metadata.unknown_version",
        "an unknown version is 404 with an error",
        lambda subject: _get(model_path(subject, version="987654321"), *refused(404)),
    ),
    Probe("ready.model", "GET /v2/models/NAME/ready answers 200", _of("/ready", status(200))),
    Probe(
        "ready.body",
        'the body has name and "ready": true, which kserve\'s client reads',
        _of("/ready", status(200), has("ready", True), has_text("name")),
    ),
    Probe("ready.version", "a listed version is ready", _of_version("/ready", status(200))),
    Probe(
        "ready.unknown_model",
        "an unknown model is not ready: 4xx with an error",
        lambda _: _get(f"/v2/models/{_NOWHERE}/ready", *refused(400, 404)),
    ),
    Probe("ready.quoted", "a name may come percent-encoded, as clients send it", _quoted),
    Probe(
        "repository.index",
        "POST /v2/repository/index with an empty body, as tritonclient sends it, lists name and state",
        lambda _: _post("/v2/repository/index", b"", status(200), lists_model),
        extension=REPOSITORY,
    ),
    Probe(
        "repository.index_ready",
        'POST /v2/repository/index takes {"ready": true}',
        lambda _: _post("/v2/repository/index", b'{"ready":true}', status(200), lists_model),
        extension=REPOSITORY,
    ),
    Probe(
        "repository.load_unknown",
        "loading a model that is none is refused with an error",
        lambda _: _post(f"/v2/repository/models/{_NOWHERE}/load", b"{}", *refused(400, 404)),
        extension=REPOSITORY,
    ),
    Probe(
        "repository.unload_unknown",
        "unloading a model that is none is refused with an error",
        lambda _: _post(f"/v2/repository/models/{_NOWHERE}/unload", b"{}", *refused(400, 404)),
        extension=REPOSITORY,
    ),
    Probe(
        "repository.unload_load",
        "an unloaded model refuses with an error, and answers again when it is loaded",
        _unload_and_load,
        extension=REPOSITORY,
        control=True,
    ),
    Probe(
        "config.model",
        "GET /v2/models/NAME/config has the name and the tensors",
        _of("/config", status(200), has_text("name"), has_list("input"), has_list("output")),
        extension=CONFIGURATION,
    ),
    Probe(
        "stats.model",
        "GET /v2/models/NAME/stats has a list of statistics",
        _of("/stats", status(200), has_list("model_stats")),
        extension=STATISTICS,
    ),
    Probe(
        "stats.all",
        "GET /v2/models/stats has those of every model",
        lambda _: _get("/v2/models/stats", status(200), has_list("model_stats")),
        extension=STATISTICS,
    ),
)
"""Asked for each model, beside its inference."""
