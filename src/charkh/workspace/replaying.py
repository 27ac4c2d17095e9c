"""Replay a run: its code, environment and data built again, its command run again, and the two compared.

The replay is a run of its own in the same store, with an edge `replays` to the first. Names without a number mean, in
the replay, the versions that the first run used: they are pinned for it.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from charkh.core.errors import CharkhError, Conflict, Incomplete, Invalid, NotFound
from charkh.core.events import Draft, Edge
from charkh.core.ids import new_id
from charkh.core.lock import Lock
from charkh.datasets.find import find as find_dataset
from charkh.lineage.index import EdgesFrom, EdgesTo
from charkh.models.find import find as find_model
from charkh.ports.store import Store
from charkh.runs.find import by_id, find
from charkh.runs.membership import shared_id
from charkh.runs.replayed import Difference, compare_outcomes, differing
from charkh.runs.run import LINKED_KIND, Run, RunLinked, RunProvenance
from charkh.workspace.lock_checkout import check_out
from charkh.workspace.locking import read_lock
from charkh.workspace.pinning import pins_of_subjects
from charkh.workspace.replay_code import Code, build_code, read_bytes
from charkh.workspace.replay_command import execute, here, recorded_command, with_secrets, without_secrets
from charkh.workspace.replay_environment import (
    Changed,
    How,
    build_environment,
    environment_changes,
    installed_in,
    interpreter_at_hand,
)
from charkh.workspace.settings import FILE
from charkh.workspace.workspace import Workspace

REPLAYS = "replays"


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a replay.

    Attributes:
        first: id of the run that was replayed.
        second: id of the run that the replay is.
        equal: nothing differs but the environment.
        differences: in inputs, status, params, metrics, files and outputs.
        compared: how many of each sort were compared.
        environment: distributions that are not what they were.
        command: what was run, without credentials.
        exit_code: how the command ended.
        folder: where the code stands, empty where it was removed again.
        notes: what could not be had again, in words.
    """

    first: str
    second: str
    equal: bool
    differences: tuple[Difference, ...]
    compared: dict[str, int]
    environment: tuple[Changed, ...]
    command: tuple[str, ...]
    exit_code: int
    folder: str
    notes: tuple[str, ...]


def replay(
    workspace: Workspace,
    ref: str,
    *,
    into: Path | None = None,
    how: How = "reuse",
    repository: Path | None = None,
    secrets: Sequence[str] = (),
    tolerance: float = 0.0,
    notify: Callable[[str], None] = lambda _line: None,
) -> Replay:
    """Run again what a run was, and say whether it comes to the same.

    Args:
        workspace: whose store has the run.
        ref: the run.
        into: an empty folder for the code, kept afterwards; a temporary one by default.
        how: run in the environment at hand, or let uv build the recorded one.
        repository: a working tree of the run's repository, where the workspace is not in it.
        secrets: names of environment variables with the credentials that were left out of the command line, in order.
        tolerance: how far two metrics may be apart, as a share of the greater.
        notify: called with a line for each thing that is begun.

    Raises:
        NotFound: there is no such run, repository or revision.
        Invalid: the run cannot be run again: too little is on record, or a credential is missing.
        Conflict: the recorded changes do not fit, or `into` is not empty.
        Incomplete: the command recorded no run.
        Unavailable: version control or uv is missing, or fails.
    """
    run = find(workspace.store, ref)
    known = _replayable(run)
    arguments = with_secrets(recorded_command(workspace.store, known, run), secrets)
    folder = _empty(into) if into is not None else Path(tempfile.mkdtemp(prefix="charkh-replay-"))
    try:
        notify(f"code: {known.system or 'script'} {known.commit[:12]} in {folder}")
        code = build_code(workspace, run, folder, repository)
        notes = [*code.notes, *_settings(workspace, code)]
        interpreter, changes = _environment(workspace.store, known, how, folder, notify)
        lock, lock_notes = _pins(workspace, run, code)
        notes += lock_notes
        # The folders that the code's own lock names hold the data that they held.
        check_out(workspace, lock, code.workspace)
        command = here(arguments, known, code, interpreter)
        identifier = new_id()
        notify(f"command: {' '.join(without_secrets(command, secrets))}")
        exit_code = execute(workspace, known, identifier, code, command, lock)
        second = _recorded(workspace.store, run, identifier, exit_code, command)
        notes += _reused(workspace.store, second)
        if exit_code and second.status == "finished":
            notes.append(f"the command ended with exit code {exit_code}, after its run had finished")
        differences, compared = _compared(workspace.store, run, second, tolerance)
        _record(workspace.store, run, second, equal=not differences)
        return Replay(
            first=run.id,
            second=second.id,
            equal=not differences,
            differences=differences,
            compared=compared,
            environment=changes,
            command=without_secrets(command, secrets),
            exit_code=exit_code,
            folder=str(folder) if into is not None else "",
            notes=tuple(notes),
        )
    finally:
        if into is None:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(folder.with_name(f"{folder.name}-env"), ignore_errors=True)


def _replayable(run: Run) -> RunProvenance:
    if run.started.parent:
        raise Invalid(
            f"{run.subject} is a part of run:{run.started.parent}",
            code="replay.part",
            hint=f"Replay the whole: charkh run replay run:{run.started.parent}",
        )
    if run.provenance is None or run.provenance.command is None:
        raise Invalid(
            f"nothing is on record of where {run.subject} came from",
            code="replay.no_provenance",
            hint="Runs that charkh.run() or a pipeline starts record it; those of other tools may not.",
        )
    return run.provenance


def _empty(folder: Path) -> Path:
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(f"{folder} is not empty", code="replay.folder", hint="Name a folder that is not there yet.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _settings(workspace: Workspace, code: Code) -> list[str]:
    """Make the workspace of the built code one, so that no other is found above it."""
    path = code.workspace / FILE
    if path.exists() or "charkh" in _text(code.workspace / "pyproject.toml"):
        return []
    source = workspace.folder / FILE
    path.write_text(_text(source), encoding="utf-8")
    if _text(source).strip():
        return [f"{FILE} is not under version control: the one of this workspace was used"]
    return []


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _environment(
    store: Store, known: RunProvenance, how: How, folder: Path, notify: Callable[[str], None]
) -> tuple[Path, tuple[Changed, ...]]:
    recorded = read_bytes(store, known.environment).decode()
    interpreter = interpreter_at_hand()
    if how == "uv":
        notify("environment: uv builds the recorded one")
        interpreter = build_environment(folder.with_name(f"{folder.name}-env"), recorded, known.python)
    now, version = installed_in(interpreter)
    return interpreter, environment_changes(recorded, now, (known.python, version))


def _pins(workspace: Workspace, run: Run, code: Code) -> tuple[Lock, list[str]]:
    """What names mean in the replay: what the first run used, and what the code's own lock pins beside it."""
    notes: list[str] = []
    try:
        lock = read_lock(code.workspace)
    except CharkhError as error:
        notes.append(f"the lock of that revision cannot be used: {error.message}")
        lock = Lock()
    used, several = pins_of_subjects(
        workspace.store, [edge.target for edge in workspace.store.queries.ask(EdgesFrom(subject=run.subject))]
    )
    notes += [f"the run used several versions of {name}: the code has to name their numbers" for name in several]
    places = {pin.key: pin.path for pin in lock.pins}
    return lock.having([msgspec.structs.replace(pin, path=places.get(pin.key, "")) for pin in used]), notes


def _recorded(store: Store, first: Run, identifier: str, exit_code: int, command: Sequence[str]) -> Run:
    """The run of the replay that stands for the first: of several that the command made, the one most like it."""
    made: list[Run] = []
    with contextlib.suppress(NotFound):
        while True:
            made.append(by_id(store, shared_id(identifier, len(made))))
    if not made:
        raise Incomplete(
            f"the command recorded no run and ended with exit code {exit_code}",
            code="replay.no_run",
            hint="What it printed above says why; with --into FOLDER the code stays there to be looked at.",
            facts={"exit_code": exit_code, "program": command[0]},
        )
    return max(made, key=lambda run: (run.name == first.name, run.params == first.params))


def _compared(store: Store, first: Run, second: Run, tolerance: float) -> tuple[tuple[Difference, ...], dict[str, int]]:
    """In what two runs differ, what they used and made included; and how many things of each sort there were."""
    outcome = compare_outcomes(store, first, second, tolerance=tolerance)
    used = [store.queries.ask(EdgesFrom(subject=run.subject)) for run in (first, second)]
    made = [store.queries.ask(EdgesTo(subject=run.subject)) for run in (first, second)]
    inputs = [_contents(store, [edge.target for edge in edges]) for edges in used]
    outputs = [_contents(store, [edge.source for edge in edges]) for edges in made]
    differences = (*differing("input", *inputs), *outcome.differences, *differing("output", *outputs))
    return differences, {"input": len(inputs[0]), **outcome.compared, "output": len(outputs[0])}


def _record(store: Store, first: Run, second: Run, *, equal: bool) -> None:
    """Say that the second replays the first, and as a fact about the first whether it came to the same."""
    edge = Edge(second.subject, REPLAYS, first.subject)
    body = RunLinked(run=second.id)
    facts = {"replay.equal": equal}
    draft = Draft(kind=LINKED_KIND, subject=second.subject, body=body, edges=(edge,), facts=facts, about=first.subject)
    store.record(draft, durable=True)


def _contents(store: Store, subjects: Sequence[str]) -> dict[str, str]:
    """By name of a dataset or model among the subjects, the digests of its files."""
    found: dict[str, set[str]] = {}
    for subject in subjects:
        noun = subject.partition(":")[0]
        finder = {"dataset": find_dataset, "model": find_model}.get(noun)
        if finder is None:
            continue
        try:
            made = finder(store, subject).made
        except CharkhError:
            found.setdefault(subject, set()).add("deleted")
            continue
        found.setdefault(f"{noun} {made.name}", set()).add(made.tree.root)
    return {name: ", ".join(sorted(roots)) for name, roots in found.items()}


def _reused(store: Store, run: Run) -> list[str]:
    reused = [edge for edge in store.queries.ask(EdgesFrom(subject=run.subject)) if edge.relation == "reused"]
    return [f"{len(reused)} outputs of cached steps were reused, not made again"] if reused else []
