"""Run the conformance suite against a server: find its models, send every probe, give the verdicts."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx
import msgspec
import numpy as np
import numpy.typing as npt

from charkh.core.errors import Invalid, NotFound, Unavailable
from charkh.endpoints.conformance.checks import flat
from charkh.endpoints.conformance.probe import Ask, Heard, Probe, Report, Subject, Verdict
from charkh.endpoints.conformance.probes_bytes import BYTES_PROBES
from charkh.endpoints.conformance.probes_infer import INFER_PROBES
from charkh.endpoints.conformance.probes_server import MODEL_PROBES, SERVER_PROBES
from charkh.endpoints.conformance.tensors import ITEM_BYTES, infer, sample
from charkh.ports.runtimes import TensorSpec

PROBES: tuple[Probe, ...] = (*SERVER_PROBES, *MODEL_PROBES, *INFER_PROBES, *BYTES_PROBES)
"""The whole suite, in the order in which it runs."""

_SERVER = Subject("", "", (), (), {}, {})


def examine(
    url: str,
    *,
    models: Sequence[str] = (),
    groups: Collection[str] = (),
    request: Path | None = None,
    token: str = "",
    headers: Mapping[str, str] = {},
    control: bool = False,
    timeout: float = 30.0,
) -> Report:
    """Ask a server everything; nothing that it answers raises.

    Args:
        url: of the server, without `/v2`; `grpc://HOST:PORT` for its gRPC, which has one group and needs no request.
        models: to be asked; all that the server lists by default.
        groups: names of groups of probes, such as `binary`; all by default.
        request: a file with a valid inference request, for a model whose metadata do not describe its inputs.
        token: bearer token.
        headers: sent with every request, or as metadata of every call.
        control: also probe what loads and unloads models.
        timeout: seconds that an answer may take.

    Raises:
        Unavailable: nobody answers there.
        NotFound: the server lists no model, and none is named.
        Invalid: a group is unknown, or the request is none.
    """
    if url.startswith("grpc://"):
        # gRPC is an extra.
        from charkh.endpoints.conformance.examine_grpc import examine_grpc

        return examine_grpc(url, models=models, headers=with_token(headers, token), timeout=timeout)
    known = {probe.group for probe in PROBES}
    if not known.issuperset(groups):
        raise Invalid(
            f"there is no group {', '.join(sorted(set(groups) - known))}",
            code="conformance.unknown_group",
            hint=f"Groups: {', '.join(sorted(known))}.",
        )
    # A server may close a connection after an error, which would fail the next probe: each gets one of its own.
    limits = httpx.Limits(max_keepalive_connections=0)
    base = url.rstrip("/")
    sent = with_token(headers, token)
    with httpx.Client(base_url=base, headers=sent, timeout=timeout, limits=limits, trust_env=False) as client:
        server = _server_name(client, url)
        names = tuple(models) or _listed(client)
        if not names:
            raise NotFound(
                f"{url} lists no model",
                code="conformance.no_model",
                hint="Name one with --model; a token may be missing.",
            )
        subjects = [_subject(client, name, request) for name in names]
        verdicts = [
            verdict
            for probe in PROBES
            if not groups or probe.group in groups
            for verdict in _verdicts(client, probe, subjects, control=control)
        ]
    return Report(url=url, server=server, models=names, verdicts=tuple(verdicts))


def _verdicts(client: httpx.Client, probe: Probe, subjects: Iterable[Subject], *, control: bool) -> Iterable[Verdict]:
    for subject in [_SERVER] if probe in SERVER_PROBES else subjects:
        outcome, why = _outcome(client, probe, subject, control=control)
        yield Verdict(
            probe=probe.name,
            says=probe.says,
            extension=probe.extension,
            model=subject.name,
            outcome=outcome,
            why=why,
        )


def _outcome(client: httpx.Client, probe: Probe, subject: Subject, *, control: bool) -> tuple[str, str]:
    if probe.control and not control:
        return "skip", "it changes what is loaded: ask for it with --control"
    if subject.name and not subject.inputs and probe.group in {"infer", "refuse", "binary", "compressed"}:
        return "skip", "the metadata describe no inputs: give a valid request with --request"
    steps = probe.steps(subject)
    if steps is None:
        return "skip", "this model gives no occasion"
    for ask, holds in steps:
        heard = _send(client, ask)
        if isinstance(heard, str):
            return "fail", heard
        wrong = next((wrong for check in holds if (wrong := check(subject, heard))), "")
        if wrong:
            return "fail", wrong
    return "pass", ""


def _send(client: httpx.Client, ask: Ask) -> Heard | str:
    """The answer; a text where there is none."""
    headers = {"accept-encoding": "identity", **ask.headers}
    try:
        answer = client.request(ask.method, ask.path, content=ask.body or None, headers=headers)
    except httpx.TimeoutException:
        return "no answer in time"
    except httpx.HTTPError as error:
        return f"no answer: {error or type(error).__name__}"
    named = {name.lower(): value for name, value in answer.headers.items()}
    return Heard(status=answer.status_code, headers=named, body=answer.content)


def _server_name(client: httpx.Client, url: str) -> str:
    heard = _send(client, Ask(path="/v2"))
    if isinstance(heard, str):
        raise Unavailable(
            f"{url} does not answer: {heard}", code="conformance.unavailable", hint="Is a server running there?"
        )
    found = heard.object()
    return f"{found.get('name', 'unknown')} {found.get('version', '')}".strip()


def _listed(client: httpx.Client) -> tuple[str, ...]:
    """The models that the server says that it has, by its index or by KServe's list."""
    index = Ask(path="/v2/repository/index", method="POST", body=b"{}", headers={"content-type": "application/json"})
    heard = _send(client, index)
    found = heard.json() if isinstance(heard, Heard) else None
    if isinstance(found, list):
        models = [cast(Mapping[str, Any], each) for each in cast(list[object], found) if isinstance(each, dict)]
        return tuple(dict.fromkeys(str(each["name"]) for each in models if each.get("name")))
    heard = _send(client, Ask(path="/v2/models"))
    names = heard.object().get("models") if isinstance(heard, Heard) else None
    return tuple(str(each) for each in cast(list[object], names)) if isinstance(names, list) else ()


def _subject(client: httpx.Client, name: str, request: Path | None) -> Subject:
    heard = _send(client, Ask(path=f"/v2/models/{quote(name, safe='')}"))
    described = heard.object() if isinstance(heard, Heard) else {}
    inputs, outputs = _specs(described.get("inputs")), _specs(described.get("outputs"))
    if request is not None:
        inputs, tensors = _given(request)
    else:
        inputs = tuple(spec for spec in inputs if spec.datatype in ITEM_BYTES or spec.datatype in {"BYTES", "BF16"})
        tensors = {spec.name: sample(spec) for spec in inputs}
    versions = described.get("versions")
    version = str(cast(list[object], versions)[0]) if isinstance(versions, list) and versions else ""
    subject = Subject(name, version, inputs, outputs, tensors, {})
    if not inputs:
        return subject
    heard = _send(client, infer(subject))
    answer = heard.object() if isinstance(heard, Heard) and heard.status == 200 else {}
    return subject._replace(answer=answer)


def _specs(described: object) -> tuple[TensorSpec, ...]:
    specs = list[TensorSpec]()
    for each in cast(list[object], described) if isinstance(described, list) else []:
        try:
            specs.append(msgspec.convert(each, TensorSpec))
        except msgspec.ValidationError:
            return ()
    return tuple(specs)


def _given(request: Path) -> tuple[tuple[TensorSpec, ...], dict[str, "npt.NDArray[Any]"]]:
    try:
        inputs = msgspec.json.decode(request.read_bytes())["inputs"]
        specs = tuple(TensorSpec(name=each["name"], datatype=each["datatype"], shape=each["shape"]) for each in inputs)
        tensors = {each["name"]: np.array(flat(each["data"])).reshape(each["shape"]) for each in inputs}
    except (OSError, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise Invalid(
            f"{request} holds no inference request: {error}",
            code="conformance.request",
            hint='Write {"inputs": [{"name": …, "shape": …, "datatype": …, "data": […]}]}.',
        ) from error
    return specs, tensors


def with_token(headers: Mapping[str, str], token: str) -> dict[str, str]:
    """The headers with the token in them; one that they name themselves goes first."""
    known = {name.lower(): value for name, value in headers.items()}
    return {"authorization": f"Bearer {token}", **known} if token else known
