"""Register a model: save it, judge it, ask it about the example, and make a version of it."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, cast

import msgspec

from charkh.core.canon import canonical_json
from charkh.core.digests import digest_of
from charkh.core.errors import Bug, Denied, Invalid, NotFound
from charkh.core.events import Fact
from charkh.core.files import TreeEntry, TreeRef
from charkh.models.decisions import RegisterModel
from charkh.models.example import example_bytes, example_tensors, input_specs, output_specs
from charkh.models.index import ModelByContent
from charkh.models.model import ModelVersion, VersionMade, checked_metrics
from charkh.models.registered import parse_model_name
from charkh.models.texts import put_text
from charkh.ports.runtimes import ApartRuntime, ModelRuntime, Safety, Signature, Tensors
from charkh.ports.store import Store


class Judged(NamedTuple):
    """A model's files, the runtime that loads them, and what loading them could do."""

    runtime: ModelRuntime
    files: Mapping[str, bytes]
    safety: Safety


def register(
    store: Store,
    name: str,
    model: object,
    *,
    runtimes: Sequence[ModelRuntime],
    example: object = None,
    signature: Signature | None = None,
    nullable: Collection[str] = (),
    runtime: str = "",
    run: str = "",
    datasets: Sequence[str] = (),
    metrics: Mapping[str, Fact] | None = None,
    description: str = "",
) -> ModelVersion:
    """Make a version of a model; saying exactly the same again gives the version that is there.

    Args:
        store: where it goes.
        name: of the model; the number is decided.
        model: an estimator that one of the runtimes accepts, or its files: bytes by file name.
        runtimes: what can save and load models.
        example: a few rows as the model takes them; the signature is read from it and from the model's answer.
        signature: in place of what the example says; needed for files that may not be loaded.
        nullable: inputs that may be missing although the example has no gaps in them.
        runtime: which runtime to use; without it the first that accepts the estimator.
        run: id of the run that made it.
        datasets: ids of the dataset versions that it was trained on.
        metrics: numbers about it, published as facts.
        description: what a person should know about it; kept as erasable bytes.

    Raises:
        Invalid: there is neither example nor signature, or they do not fit the model.
        NotFound: no runtime accepts it.
        Denied: the files would run code and no signature was given, so they would have to be loaded to know it.
    """
    facts = checked_metrics(metrics or {})
    judged = judge_model(model, runtimes, runtime)
    tensors = None if example is None else example_tensors(example)
    signed = signature
    if signed is None:
        if tensors is None:
            raise Invalid(
                "a model is registered with an example of its inputs",
                code="model.no_example",
                hint="Pass `example=` with a few rows, such as `data.train.X[:5]`.",
            )
        signed = _sign(judged, Signature(inputs=input_specs(tensors, nullable), outputs=()), tensors)
    tree = _put_tree(store, judged.files)
    kept = None if tensors is None else store.vault.put_bytes(example_bytes(tensors, input_specs(tensors)), "x.json")
    made = VersionMade(
        name=parse_model_name(name),
        version="",
        number=0,
        content="",
        tree=tree,
        runtime=judged.runtime.name,
        libraries=dict(judged.runtime.libraries),
        signature=signed,
        safety=judged.safety,
        example=kept,
        description=put_text(store, description),
        run=run,
        datasets=tuple(sorted(set(datasets))),
    )
    store.vault.flush()
    return _decide(store, made, facts)


def judge_model(model: object, runtimes: Sequence[ModelRuntime], wanted: str = "") -> Judged:
    """Save a model by the runtime that accepts it, or take files as they are, and judge their safety.

    Args:
        model: an estimator, or files by name.
        runtimes: what can save and load models.
        wanted: name of the runtime to use; without it the first that accepts the estimator, or that finds nothing in
            the files that would run code.

    Raises:
        NotFound: no runtime accepts it.
    """
    if isinstance(model, Mapping):
        files = dict(cast(Mapping[str, bytes], model))
        chosen = _choose(runtimes, wanted) if wanted else _reader(runtimes, files)
    else:
        chosen = _choose(runtimes, wanted, model)
        files = chosen.save(model)
    return Judged(chosen, files, chosen.inspect(files))


def _reader(runtimes: Sequence[ModelRuntime], files: Mapping[str, bytes]) -> ModelRuntime:
    """The runtime whose format the files are of; where none finds them safe, the one that says why."""
    safe = (each for each in runtimes if not each.inspect(files).runs_code)
    apart = (each for each in runtimes if isinstance(each, ApartRuntime) and each.takes(files))
    found = next(safe, None) or next(apart, None) or next(iter(runtimes), None)
    return _choose(runtimes, "") if found is None else found


def _choose(runtimes: Sequence[ModelRuntime], wanted: str, estimator: object = None) -> ModelRuntime:
    for runtime in runtimes:
        if runtime.name == wanted or (not wanted and estimator is not None and runtime.accepts(estimator)):
            return runtime
    names = ", ".join(runtime.name for runtime in runtimes) or "none"
    what = f"runtime {wanted!r}" if wanted else f"runtime for {type(estimator).__name__}"
    raise NotFound(
        f"there is no {what}",
        code="model.no_runtime",
        hint=f"Installed runtimes: {names}; `pip install charkh[sklearn]` adds scikit-learn's.",
    )


def _sign(judged: Judged, inputs: Signature, tensors: Tensors) -> Signature:
    if judged.safety.runs_code:
        raise Denied(
            f"these files would run code, so they are not asked: {'; '.join(judged.safety.reasons)}",
            code="model.code",
            hint="Register the estimator itself, or pass `signature=` to record the files without loading them.",
            facts={"reasons": list(judged.safety.reasons)},
        )
    answers = judged.runtime.load(judged.files, inputs).predict(tensors)
    return Signature(inputs=inputs.inputs, outputs=output_specs(answers))


def _put_tree(store: Store, files: Mapping[str, bytes]) -> TreeRef:
    if not files:
        raise Invalid("a model without files", code="model.no_files")
    return store.vault.put_tree([TreeEntry(path, store.vault.put_bytes(data, path)) for path, data in files.items()])


def _decide(store: Store, made: VersionMade, metrics: dict[str, Fact]) -> ModelVersion:
    # The versions of the libraries are circumstances, not content: upgrading one makes no new version.
    said = [made.name, made.tree, made.runtime, made.signature, made.example, made.description, made.run]
    content = digest_of(canonical_json([*said, made.datasets, metrics]))
    made = msgspec.structs.replace(made, content=content)
    store.commands.decide(RegisterModel(made=made, metrics=metrics))
    version = store.queries.ask(ModelByContent(name=made.name, content=content))
    if version is None:
        raise Bug(f"the version of {made.name!r} that was just made cannot be found")
    return version
