"""Run the conformance suite against a server's gRPC port: find its models, make every call, give the verdicts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from charkh.core.errors import NotFound, Unavailable
from charkh.endpoints.conformance.probe import Report, Subject, Verdict
from charkh.endpoints.conformance.probes_grpc import GRPC_PROBES, GrpcHeard, GrpcProbe
from charkh.endpoints.conformance.tensors import ITEM_BYTES, sample
from charkh.ports.runtimes import TensorSpec

SCHEME = "grpc://"
_SERVER = Subject("", "", (), (), {}, {})


def examine_grpc(
    url: str, *, models: Sequence[str] = (), headers: Mapping[str, str] = {}, timeout: float = 30.0
) -> Report:
    """Ask a server everything over gRPC; nothing that it answers raises.

    Args:
        url: `grpc://HOST:PORT`, without TLS.
        models: to be asked; all that the server's index lists by default.
        headers: sent as metadata of every call.
        timeout: seconds that an answer may take.

    Raises:
        Unavailable: nobody answers there, or gRPC is not installed.
        NotFound: the server lists no model, and none is named.
    """
    from charkh.endpoints.grpc.listen import require

    require()
    import grpc

    with grpc.insecure_channel(url.removeprefix(SCHEME).rstrip("/")) as channel:
        client = _Client(channel, headers, timeout)
        heard = client.call("ServerMetadata", {})
        if heard.code == "UNAVAILABLE":
            raise Unavailable(
                f"{url} does not answer: {heard.details}",
                code="conformance.unavailable",
                hint="Is a server running there?",
            )
        server = f"{heard.message.name} {heard.message.version}".strip() if heard.code == "OK" else "unknown"
        names = tuple(models) or _listed(client)
        if not names:
            raise NotFound(
                f"{url} lists no model",
                code="conformance.no_model",
                hint="Name one with --model; a token may be missing.",
            )
        subjects = [_subject(client, name) for name in names]
        verdicts = tuple(verdict for probe in GRPC_PROBES for verdict in _verdicts(client, probe, subjects))
    return Report(url=url, server=server, models=names, verdicts=verdicts)


class _Client:
    """Calls of a channel by their names."""

    def __init__(self, channel: Any, headers: Mapping[str, str], timeout: float) -> None:
        self._channel = channel
        self._metadata = tuple(headers.items())
        self._timeout = timeout

    def call(self, name: str, fields: Any) -> GrpcHeard:
        """What a call came to; `fields` are those of its request, or its bytes."""
        import grpc

        from charkh.endpoints.grpc.schema import INFERENCE, SERVICES, message

        service = f"{INFERENCE}.GRPCInferenceService"
        asked, answered, is_stream, _ = SERVICES[service][name]
        raw = fields if isinstance(fields, bytes) else message(INFERENCE, asked)(**fields).SerializeToString()
        options: dict[str, Any] = {"metadata": self._metadata, "timeout": self._timeout}
        try:
            if is_stream:
                answer = next(iter(self._channel.stream_stream(f"/{service}/{name}")(iter([raw]), **options)))
            else:
                answer = self._channel.unary_unary(f"/{service}/{name}")(raw, **options)
        except grpc.RpcError as error:
            failed: Any = error
            return GrpcHeard(failed.code().name, details=failed.details() or "")
        except StopIteration:
            return GrpcHeard("OK", details="the stream ended without an answer")
        return GrpcHeard("OK", message(INFERENCE, answered).FromString(answer))


def _verdicts(client: _Client, probe: GrpcProbe, subjects: Iterable[Subject]) -> Iterator[Verdict]:
    for subject in [_SERVER] if probe.of_server else subjects:
        outcome, why = _outcome(client, probe, subject)
        yield Verdict(
            probe=probe.name,
            says=probe.says,
            extension=probe.extension,
            model=subject.name,
            outcome=outcome,
            why=why,
        )


def _outcome(client: _Client, probe: GrpcProbe, subject: Subject) -> tuple[str, str]:
    if probe.call in {"ModelInfer", "ModelStreamInfer"} and not probe.of_server and not subject.inputs:
        return "skip", "the metadata describe no inputs"
    fields = probe.fields(subject)
    if fields is None:
        return "skip", "this model gives no occasion"
    heard = client.call(probe.call, fields)
    wrong = next((wrong for check in probe.holds if (wrong := check(subject, heard))), "")
    return ("fail", wrong) if wrong else ("pass", "")


def _listed(client: _Client) -> tuple[str, ...]:
    heard = client.call("RepositoryIndex", {})
    return tuple(dict.fromkeys(each.name for each in heard.message.models)) if heard.code == "OK" else ()


def _subject(client: _Client, name: str) -> Subject:
    heard = client.call("ModelMetadata", {"name": name})
    if heard.code != "OK":
        return _SERVER._replace(name=name)
    inputs, outputs = _specs(heard.message.inputs), _specs(heard.message.outputs)
    inputs = tuple(spec for spec in inputs if spec.datatype in ITEM_BYTES or spec.datatype in {"BYTES", "BF16"})
    version = heard.message.versions[0] if heard.message.versions else ""
    return Subject(name, version, inputs, outputs, {spec.name: sample(spec) for spec in inputs}, {})


def _specs(tensors: Iterable[Any]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name=each.name, datatype=each.datatype, shape=tuple(each.shape)) for each in tensors)
