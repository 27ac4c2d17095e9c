"""What can be pinned, and the pin of each: versions, what runs used, what pipelines used and made."""

from collections.abc import Callable, Sequence

from charkh.core.errors import Conflict, Invalid, NotFound
from charkh.core.lock import Pin
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.find import find as find_dataset
from charkh.lineage.index import EdgesFrom
from charkh.models.find import find as find_model
from charkh.models.model import ModelVersion
from charkh.pipelines.index import Executions, StepById
from charkh.ports.store import Store
from charkh.runs.find import find as find_run


def pins_of(store: Store, ref: str) -> Sequence[Pin]:
    """What a reference pins: a version, or what a run used, or what a pipeline's newest execution used and made.

    Raises:
        NotFound: it means nothing.
        Conflict: it means several.
        Invalid: it means something that cannot be pinned.
    """
    if ref.startswith("pipeline:"):
        return _pins_of_pipeline(store, ref.removeprefix("pipeline:"))
    if ref.startswith("run:"):
        return _pins_of_run(store, find_run(store, ref).id)
    return [_pin_of_ref(store, ref)]


def _pin_of_ref(store: Store, ref: str) -> Pin:
    """The pin of `flights@3`, `dataset:flights@3`, `dataset:ID` or the same of a model."""
    noun, colon, rest = ref.partition(":")
    if colon and noun not in _FINDERS:
        raise Invalid(
            f"{ref} is neither a dataset nor a model",
            code="lock.cannot_pin",
            hint="Pin a version such as flights@3, or what run:ID or pipeline:NAME used.",
        )
    found: dict[str, Pin] = {}
    refused: list[NotFound] = []
    for kind in (noun,) if colon else _FINDERS:
        try:
            found[kind] = _FINDERS[kind](store, rest if colon else ref, _alias(ref))
        except NotFound as error:
            refused.append(error)
    if len(found) > 1:
        raise Conflict(
            f"{ref} is a dataset and a model",
            code="lock.two_kinds",
            hint=f"Say which: charkh lock add dataset:{ref}, or model:{ref}.",
        )
    if not found:
        deleted = next((error for error in refused if error.code.endswith(".deleted")), None)
        raise deleted or NotFound(
            f"there is no dataset or model {ref}",
            code="lock.not_found",
            hint="`charkh dataset list` and `charkh model list` show them.",
        )
    return next(iter(found.values()))


def _alias(ref: str) -> str:
    selector = ref.partition("@")[2].partition("~")[0]
    return "" if selector in {"", "latest"} or selector.isdecimal() else selector


def _pin_of_subject(store: Store, subject: str) -> Pin | None:
    """The pin of a dataset's or model's subject; None for any other noun."""
    finder = _FINDERS.get(subject.partition(":")[0])
    return finder(store, subject, "") if finder is not None else None


def _pins_of_run(store: Store, run: str) -> list[Pin]:
    """What a run was made from."""
    edges = store.queries.ask(EdgesFrom(subject=f"run:{run}"))
    pins, several = pins_of_subjects(store, [edge.target for edge in edges])
    if several:
        raise Invalid(
            f"run:{run} used several versions of {several[0]}, and a lock pins one of a name",
            code="lock.two_versions",
            hint=f"Pin the one that the code names without a number: charkh lock add {several[0]}@…",
        )
    return list(pins)


def pins_of_subjects(store: Store, subjects: Sequence[str]) -> tuple[tuple[Pin, ...], tuple[str, ...]]:
    """The pins of the datasets and models among some subjects, and the names that have several versions there.

    Raises:
        NotFound: a version has been deleted.
    """
    by_key: dict[tuple[str, str, int], set[Pin]] = {}
    for subject in subjects:
        pin = _pin_of_subject(store, subject)
        if pin is not None:
            by_key.setdefault(pin.key, set()).add(pin)
    alone = tuple(min(pins) for pins in by_key.values() if len(pins) == 1)
    return alone, tuple(sorted(key[1] for key, pins in by_key.items() if len(pins) > 1))


def _pins_of_pipeline(store: Store, name: str) -> list[Pin]:
    """What the newest finished execution used, and what its cached steps gave."""
    found = store.queries.ask(Executions(pipeline=name))
    ended = next((each.ended for each in found if each.status == "finished" and each.ended is not None), None)
    if ended is None:
        raise NotFound(
            f"the pipeline {name} has not been run to its end here",
            code="lock.no_execution",
            hint=f"Run it: charkh pipeline run {name}",
        )
    steps: list[Pin] = []
    calls: dict[str, int] = {}
    for report in ended.steps:
        calls[report.name] = calls.get(report.name, 0) + 1
        record = store.queries.ask(StepById(step=report.step)) if report.step else None
        if record is not None:
            output = record.done.output
            steps.append(
                Pin(
                    kind="step",
                    name=f"{name}/{report.name}",
                    number=calls[report.name],
                    id=report.step,
                    root=output.root,
                    size=output.size,
                )
            )
    return [*_pins_of_run(store, ended.run), *steps]


def newest(store: Store, pin: Pin) -> Pin:
    """The pin of the newest version of a dataset or model, or of what the alias means that it follows."""
    if pin.kind == "model":
        return _model_pin(find_model(store, f"{pin.name}@{pin.follows or 'latest'}"), pin.follows)
    return dataset_pin(find_dataset(store, f"{pin.name}@latest"))


def dataset_pin(version: DatasetVersion, path: str = "") -> Pin:
    """The pin of a dataset's version."""
    made = version.made
    return Pin(
        kind="dataset",
        name=made.name,
        number=made.number,
        id=made.version,
        root=made.tree.root,
        size=made.tree.size,
        path=path,
    )


def _model_pin(version: ModelVersion, follows: str) -> Pin:
    made = version.made
    return Pin(
        kind="model",
        name=made.name,
        number=made.number,
        id=made.version,
        root=made.tree.root,
        size=made.tree.size,
        follows=follows,
    )


def _find_dataset_pin(store: Store, ref: str, follows: str) -> Pin:
    if follows:
        raise NotFound(f"datasets have no aliases: {ref}", code="dataset.not_found", hint="Name a number.")
    return dataset_pin(find_dataset(store, ref))


def _find_model_pin(store: Store, ref: str, follows: str) -> Pin:
    return _model_pin(find_model(store, ref), follows)


_FINDERS: dict[str, Callable[[Store, str, str], Pin]] = {"dataset": _find_dataset_pin, "model": _find_model_pin}
