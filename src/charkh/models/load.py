"""Load a registered model: its bytes verified, by the runtime that it names; trusted code in a process of its own."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from charkh.core.errors import Denied, Unavailable
from charkh.models.admit import NO_RULES, Rules, admit, require_signatures, require_trust
from charkh.models.files import read_files
from charkh.models.find import find
from charkh.models.model import ModelVersion
from charkh.models.trust import refuse_distrusted
from charkh.ports.runtimes import ApartRuntime, ModelRuntime, Predictor, Safety
from charkh.ports.store import Store


class LoadedModel(NamedTuple):
    """A version and the predictor made from its files."""

    version: ModelVersion
    predictor: Predictor


def load(store: Store, ref: str, *, runtimes: Sequence[ModelRuntime], rules: Rules = NO_RULES) -> LoadedModel:
    """The model that `ref` means, ready to be asked.

    Args:
        store: where it is.
        ref: of the version.
        runtimes: what can load models.
        rules: what the registry's policy asks; judged over the very bytes that are loaded.

    Raises:
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
            f"{version.ref} needs the runtime {made.runtime!r}, which is not installed",
            code="model.no_runtime",
            hint=f"Install it, for example `pip install charkh[{made.runtime}]`.",
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
        return LoadedModel(version, runtime.load(files, made.signature))
    require_trust(store, version, safety, rules)
    return LoadedModel(version, _apart(runtime, runtimes, files, version).load_apart(files, made.signature))


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
