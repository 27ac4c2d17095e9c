"""Load a registered model: its bytes verified, by the runtime that it names; trusted code in a process of its own."""

import logging
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from charkh.core.digests import digest_of
from charkh.core.errors import CharkhError, Corrupt, Denied, Unavailable
from charkh.core.runtime_settings import how_to_have
from charkh.models.admit import NO_RULES, Rules, admit, require_signatures, require_trust
from charkh.models.compiled import CompiledOf, ModelCompiled, refuse_unusable, usable
from charkh.models.files import read_files
from charkh.models.find import find
from charkh.models.model import ModelVersion
from charkh.models.trust import refuse_distrusted
from charkh.ports.runtimes import ApartRuntime, ModelRuntime, Predictor, Safety
from charkh.ports.store import Store

Form = Literal["auto", "original", "compiled"]
"""Which form is loaded; `auto` takes the compiled one where there is one that may be served."""

_log = logging.getLogger("charkh")
_told: set[str] = set()


class LoadedModel(NamedTuple):
    """A version and the predictor made from its files; `compiled` where it was made from its compiled form."""

    version: ModelVersion
    predictor: Predictor
    compiled: bool = False

    @property
    def platform(self) -> str:
        """What answers, as people are told."""
        runtime = self.version.made.runtime
        return f"onnx (compiled from {runtime})" if self.compiled else runtime


def load(
    store: Store,
    ref: str,
    *,
    runtimes: Sequence[ModelRuntime],
    rules: Rules = NO_RULES,
    form: Form = "original",
) -> LoadedModel:
    """The model that `ref` means, ready to be asked.

    Args:
        store: where it is.
        ref: of the version.
        runtimes: what can load models.
        rules: what the registry's policy asks; judged over the very bytes that are loaded.
        form: the original, the compiled form, or that only where it answers alike; what is refused of the original is
            refused of both.

    Raises:
        Invalid: the compiled form is asked for, and there is none that may be served.
        NotFound: there is no such version, or its bytes are not here.
        Corrupt: a file is not what its digest says.
        Denied: loading would run code that nobody trusts, its bytes are distrusted, or a signature is missing; the
            verdict is taken now, whatever was recorded.
        Unavailable: its runtime is not installed.
    """
    version = find(store, ref)
    made = version.made
    runtime = next((each for each in runtimes if each.name == made.runtime), None)
    if runtime is None:
        raise Unavailable(
            f"{version.ref} needs the runtime {made.runtime!r}, which is not here",
            code="model.no_runtime",
            hint=how_to_have(made.runtime),
        )
    refuse_distrusted(store, version)
    if version.made.safety.runs_code:
        # What was code at the registration is code now: nothing is read for a refusal that comes once a second.
        require_trust(store, version, version.made.safety, rules)
    require_signatures(store, version, rules)
    files = read_files(store, version)
    admit(store, version, rules, files=files)
    safety = runtime.inspect(files)
    if not safety.runs_code:
        predictor = _compiled(store, version, runtimes, form)
        if predictor is not None:
            return LoadedModel(version, predictor, compiled=True)
        return LoadedModel(version, runtime.load(files, made.signature))
    require_trust(store, version, safety, rules)
    if form == "compiled":
        raise refuse_unusable(version, None)
    return LoadedModel(version, _apart(runtime, runtimes, files, version).load_apart(files, made.signature))


def _compiled(store: Store, version: ModelVersion, runtimes: Sequence[ModelRuntime], form: Form) -> Predictor | None:
    """The compiled form where it is wanted and may be served; None where the original is to be loaded."""
    if form == "original":
        return None
    compiled = store.queries.ask(CompiledOf(version=version.id))
    if compiled is None or not usable(version, compiled):
        if form == "compiled":
            raise refuse_unusable(version, compiled)
        return None
    try:
        return _load_compiled(store, version, compiled, runtimes)
    except CharkhError as error:
        if form == "compiled":
            raise
        if version.id not in _told:
            _told.add(version.id)
            _log.warning("%s is served as it was registered, not compiled: %s", version.ref, error.message)
        return None


def _load_compiled(
    store: Store, version: ModelVersion, compiled: ModelCompiled, runtimes: Sequence[ModelRuntime]
) -> Predictor:
    onnx = next((each for each in runtimes if each.name == "onnx"), None)
    if onnx is None or compiled.file is None:
        raise Unavailable(
            f"the compiled form of {version.ref} needs onnxruntime, which is not installed",
            code="model.no_runtime",
            hint="pip install 'charkh[onnx]'",
        )
    data = b"".join(store.vault.read(compiled.file))
    if digest_of(data) != compiled.file.digest:
        raise Corrupt(
            f"the compiled form of {version.ref} is not what its digest says",
            code="model.corrupt",
            hint=f"Make it again: `charkh model compile {version.ref}`.",
        )
    # The runtime judges the bytes anew: they may be from another store.
    return onnx.load({"model.onnx": data}, version.made.signature)


def judge(store: Store, version: ModelVersion, *, runtimes: Sequence[ModelRuntime]) -> Safety:
    """What loading a version could do, judged now; as recorded where its runtime is not installed."""
    runtime = next((each for each in runtimes if each.name == version.made.runtime), None)
    return version.made.safety if runtime is None else runtime.inspect(read_files(store, version))


def _apart(
    runtime: ModelRuntime, runtimes: Sequence[ModelRuntime], files: Mapping[str, bytes], version: ModelVersion
) -> ApartRuntime:
    """The runtime that runs code in a process of its own: the version's, or else the first that takes these files."""
    for each in (runtime, *runtimes):
        if isinstance(each, ApartRuntime) and (each is runtime or each.takes(files)):
            return each
    raise Denied(
        f"{version.ref} is trusted, and nothing here can run its code apart",
        code="model.not_apart",
        hint="A pickled estimator is one file: model.pkl, model.joblib or model.cloudpickle.",
    )
