"""Run the stages of a DVC repository under charkh's step cache; the lock that it writes is one that DVC calls clean.

A stage that ran is a run with its params and metrics, and a step of the cache: what it made is found again by what it
was made of, whichever branch or copy asks. A failure keeps the locks of the stages before it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from charkh.bridges.dvc.params import numbers, parse_params
from charkh.bridges.dvc.pointers import PIPELINE
from charkh.bridges.dvc.repository import DvcRepository, open_repository
from charkh.bridges.dvc.stage_outputs import StageOutputs, remove
from charkh.bridges.dvc.stage_state import StageState, lock_entry, reasons_to_run, state_of, write_lock
from charkh.bridges.dvc.stages import Stage, in_order, read_stages, upstream
from charkh.core.errors import CharkhError, Incomplete, Invalid, NotFound
from charkh.runs.start import ActiveRun, start
from charkh.workspace.workspace import Workspace


class StageDone(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a stage.

    Attributes:
        stage: its address.
        outcome: `unchanged`, `frozen`, `executed`, `reused` (what it makes was in a cache), `failed`, `skipped`
            (something that it needs failed), or with `dry` `would run`.
        reasons: why it was not left alone.
        seconds: how long it took.
        run: id of its run, where it was executed.
        error: why it failed.
    """

    stage: str
    outcome: str
    reasons: tuple[str, ...] = ()
    seconds: float = 0.0
    run: str = ""
    error: str = ""


def stages_of(repository: DvcRepository) -> tuple[Stage, ...]:
    """The stages of a repository's working copy.

    Raises:
        Invalid: a file or an expression cannot be read, or `.dvcignore` leaves something out, which this bridge
            does not follow.
    """
    _refuse_ignored(repository.root)
    return read_stages(_Texts(repository.root), repository.config.get("parsing", {}))


def reproduce(
    workspace: Workspace,
    path: Path,
    targets: Sequence[str] = (),
    *,
    alone: bool = False,
    force: bool = False,
    dry: bool = False,
    keep_going: bool = False,
    notify: Callable[[StageDone], None] | None = None,
) -> tuple[StageDone, ...]:
    """Bring stages up to date, each after those that make what it needs.

    Args:
        workspace: has the step cache, and gets the runs.
        path: of the repository, or inside of it.
        targets: stages, groups or files; all by default.
        alone: the targets themselves, nothing that they need.
        force: run them although nothing changed, and look into no cache.
        dry: only say what would run.
        keep_going: after a failure, go on with the stages that do not need the failed one.
        notify: told of each stage when it is done.

    Raises:
        NotFound: there is no repository or no such stage.
        Invalid: `dvc.yaml` cannot be read.
        Conflict: stages need one another in a circle.
    """
    repository = open_repository(path)
    stages = stages_of(repository)
    above = upstream(stages)
    runner = _Runner(workspace, repository)
    done: dict[str, StageDone] = {}
    for stage in in_order(stages, targets, alone=alone):
        needs = [done[each] for each in above[stage.address] if each in done]
        if any(each.outcome in {"failed", "skipped"} for each in needs):
            result = StageDone(stage=stage.address, outcome="skipped", reasons=("what it needs failed",))
        elif dry:
            result = runner.foresee(stage, needs, force=force)
        else:
            result = runner.bring_up_to_date(stage, force=force)
        done[stage.address] = result
        if notify is not None:
            notify(result)
        if result.outcome == "failed" and not keep_going:
            break
    return tuple(done.values())


class _Runner:
    """Brings one stage after the other up to date."""

    def __init__(self, workspace: Workspace, repository: DvcRepository) -> None:
        self._workspace, self._root = workspace, repository.root
        self._outputs = StageOutputs(workspace, repository)

    def foresee(self, stage: Stage, needs: Sequence[StageDone], *, force: bool) -> StageDone:
        """What would become of the stage."""
        changing = [each.stage for each in needs if each.outcome == "would run"]
        if stage.frozen:
            return StageDone(stage=stage.address, outcome="frozen")
        if changing:
            return StageDone(stage=stage.address, outcome="would run", reasons=(f"{changing[0]} would run",))
        try:
            reasons = reasons_to_run(self._root, stage, state_of(self._root, stage), self._outputs.locked(stage))
        except CharkhError as error:
            return StageDone(stage=stage.address, outcome="failed", error=error.message)
        if force:
            reasons = reasons or ["it was asked for"]
        outcome = "would run" if reasons else "unchanged"
        return StageDone(stage=stage.address, outcome=outcome, reasons=tuple(reasons))

    def bring_up_to_date(self, stage: Stage, *, force: bool) -> StageDone:
        """Leave the stage alone, take what it makes from a cache, or run it."""
        began = time.perf_counter()
        if stage.frozen:
            return StageDone(stage=stage.address, outcome="frozen")
        try:
            state = state_of(self._root, stage)
            locked = self._outputs.locked(stage)
            reasons = ["it was asked for"] if force else reasons_to_run(self._root, stage, state, locked)
            if not reasons:
                self._outputs.fill_cache(stage)
                return StageDone(stage=stage.address, outcome="unchanged", seconds=time.perf_counter() - began)
            if not force and not stage.always_changed and self._outputs.restored(stage, state):
                return StageDone(
                    stage=stage.address,
                    outcome="reused",
                    reasons=tuple(reasons),
                    seconds=time.perf_counter() - began,
                )
            run = self._execute(stage, state)
        except CharkhError as error:
            return StageDone(
                stage=stage.address,
                outcome="failed",
                seconds=time.perf_counter() - began,
                run=str(error.facts.get("run", "")),
                error=error.message,
            )
        return StageDone(
            stage=stage.address,
            outcome="executed",
            reasons=tuple(reasons),
            seconds=time.perf_counter() - began,
            run=run,
        )

    def _execute(self, stage: Stage, state: StageState) -> str:
        params = {f"{path}:{key}": value for path, values in state.params.items() for key, value in values.items()}
        began = time.perf_counter()
        with start(
            self._workspace.store,
            name=stage.address,
            group=f"dvc {self._root.name}",
            params=params,
            tags={"dvc.stage": stage.address},
            folder=self._root,
        ) as run:
            try:
                self._run_commands(stage, run.id)
                outs = self._outputs.made(stage)
            except CharkhError as error:
                error.facts["run"] = run.id
                raise
            seconds = time.perf_counter() - began
            metrics = self._metrics(stage, run)
            self._outputs.record(stage, state, outs, run.id, seconds, metrics)
            write_lock(self._root / stage.lock_file, stage.name, lock_entry(stage, state, outs))
        return run.id

    def _run_commands(self, stage: Stage, run: str) -> None:
        folder = self._root / stage.folder
        if not folder.is_dir():
            raise NotFound(f"{stage.address} works in {folder}, which is not there", code="dvc.no_file")
        for output in stage.outputs:
            place = self._root / stage.place(output.path)
            if not output.persist:
                remove(place)
            place.parent.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "DVC_ROOT": str(self._root),
            "DVC_STAGE": stage.address,
            "CHARKH_RUN_ID": run,
            "CHARKH_WORKSPACE": str(self._workspace.folder),
        }
        for command in stage.commands:
            # Its words go to stderr: stdout belongs to what charkh says itself.
            done = subprocess.run(
                [*_shell(), command], cwd=folder, env=environment, stdout=sys.stderr.fileno(), check=False
            )
            if done.returncode:
                raise Incomplete(
                    f"{stage.address}: the command ended with {done.returncode}: {command.splitlines()[0][:200]}",
                    code="dvc.stage_failed",
                    hint="Mend it and run again: the stages before it are done.",
                )

    def _metrics(self, stage: Stage, run: ActiveRun) -> dict[str, float]:
        """Numbers of metrics files are metrics of the run; the files and those of plots are its artifacts."""
        found: dict[str, float] = {}
        several = sum(output.kind == "metric" for output in stage.outputs) > 1
        for output in stage.outputs:
            place = self._root / stage.place(output.path)
            if output.kind == "out":
                continue
            if place.is_file():
                run.add_artifact(output.path, place)
            if output.kind == "metric" and place.is_file():
                values = numbers(parse_params(place.read_text(encoding="utf-8"), output.path))
                prefix = f"{output.path}:" if several else ""
                found |= {f"{prefix}{key}": value for key, value in values.items()}
        if found:
            run.log(found)
        return found


class _Texts(dict[str, str]):
    """The files of a working copy as they are asked for; `dvc.yaml` files are known from the start."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root
        for folder, folders, names in os.walk(root):
            folders[:] = [each for each in folders if not each.startswith(".") and each != "node_modules"]
            if PIPELINE in names:
                path = Path(folder) / PIPELINE
                self[path.relative_to(root).as_posix()] = path.read_text(encoding="utf-8")

    def __contains__(self, path: object) -> bool:
        return super().__contains__(path) or (self._root / str(path)).is_file()

    def __missing__(self, path: str) -> str:
        return (self._root / path).read_text(encoding="utf-8")


def _shell() -> list[str]:
    """The user's shell without its settings, as DVC runs commands."""
    shell = os.environ.get("SHELL") or "/bin/sh"
    name = Path(shell).name
    options = {"bash": ["--noprofile", "--norc"], "zsh": ["--no-rcs"]}.get(name, [])
    return [shell, *options, "-c"]


def _refuse_ignored(root: Path) -> None:
    path = root / ".dvcignore"
    if not path.is_file():
        return
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    if any(line and not line.startswith("#") for line in lines):
        raise Invalid(
            ".dvcignore leaves files out, which charkh does not follow when it hashes folders",
            code="dvc.ignore",
            hint="Run these stages with `dvc repro`, or take the patterns out.",
        )
