"""The functions of the module `wandb`: one run of a process at a time, and what is asked of it without naming it."""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from charkh.bridges.wandb.artifact import Artifact
from charkh.bridges.wandb.run_record import Run
from charkh.core.errors import Conflict, Invalid
from charkh.runs.history import metric_names
from charkh.runs.index import RunsByIds
from charkh.runs.membership import shared_id
from charkh.workspace.ambient import workspace
from charkh.workspace.recording import run as start_run

_HOMES = {
    "Artifact": "artifact",
    "Run": "run_record",
    **dict.fromkeys(("Audio", "Histogram", "Html", "Image", "Plotly", "Table", "Video"), "values"),
    **dict.fromkeys(
        (
            *("Settings", "alert", "define_metric", "finish", "init", "log", "log_artifact", "login"),
            *("save", "setup", "unwatch", "use_artifact", "watch"),
        ),
        "session",
    ),
}
_INSTEAD = {
    "sweep": "charkh.tune(…), or `charkh study`",
    "agent": "charkh.tune(…), or `charkh study`",
    "Api": "`charkh run search`, or charkh.runs.search.search(store, where)",
    "plot": "log_figure of a run, or wandb.Plotly(figure)",
    "Object3D": "log_media(key, 'mesh', …) of a run",
    "Molecule": "add_artifact of a run",
    "link_artifact": "charkh.register(…), or `charkh model`",
    "link_model": "charkh.register(…), or `charkh model`",
}
"""By name that is not carried, what does the same here."""


class _Session:
    """What this process records."""

    run: Run | None = None


class Settings:
    """Settings as scripts make them; none is needed, and all are taken.

    Args:
        values: by name; they are kept as attributes.
    """

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def init(
    entity: str | None = None,
    project: str | None = None,
    dir: str | Path | None = None,
    id: str | None = None,
    name: str | None = None,
    notes: str | None = None,
    tags: Sequence[str] | None = None,
    config: Any = None,
    group: str | None = None,
    job_type: str | None = None,
    mode: str | None = None,
    reinit: Any = None,
    resume: Any = None,
    settings: Any = None,
    **_more: Any,
) -> Run:
    """Start a run, or give the one that this process records already.

    The environment variables of wandb that name a run are heard: `WANDB_PROJECT`, `WANDB_NAME`, `WANDB_RUN_ID`,
    `WANDB_RUN_GROUP`, `WANDB_JOB_TYPE`, `WANDB_NOTES`, `WANDB_TAGS`, `WANDB_RESUME`, `WANDB_MODE`, `WANDB_DISABLED`.
    No key, no account and no server is asked for.

    Args:
        entity: kept as a tag.
        project: name of the project.
        dir: taken for the sake of scripts; the workspace says where the store is.
        id: of the run, or a word that one is made from.
        name: for people.
        notes: a remark, Markdown.
        tags: labels.
        config: params, a mapping or the namespace of an argument parser.
        group: what belongs together, such as the seeds of one experiment.
        job_type: kept as a tag.
        mode: `disabled` records nothing; every other one records into the workspace.
        reinit: finish the run before and start another one.
        resume: `allow` or `auto`: the run of this id goes on, where it was begun; `must`: it has to have been;
            `never`: it must not have been.
        settings: taken for the sake of scripts.

    Raises:
        NotFound: `resume="must"`, and there is no such run.
        Conflict: `resume="never"`, and there is one.
    """
    del dir, settings
    if _Session.run is not None and not _Session.run.finished:
        if reinit in (None, False, "default", "return_previous"):
            if config is not None:
                _Session.run.config.update(config, allow_val_change=True)
            return _Session.run
        _Session.run.finish()
    said = _Said(project, name, id, group, job_type, notes, mode, resume)
    if said.disabled:
        _Session.run = Run(None, name=said.name, project=said.project, group=said.group, job_type=said.job_type)
    else:
        _Session.run = _started(said, entity, tags)
    if config is not None:
        _Session.run.config.update(config)
    return _Session.run


class _Said:
    """What the arguments say, and the environment where they say nothing."""

    def __init__(
        self,
        project: str | None,
        name: str | None,
        id: str | None,
        group: str | None,
        job_type: str | None,
        notes: str | None,
        mode: str | None,
        resume: Any,
    ) -> None:
        heard = os.environ.get
        self.project = project or heard("WANDB_PROJECT", "")
        self.name = name or heard("WANDB_NAME", "")
        self.id = id or heard("WANDB_RUN_ID", "")
        self.group = group or heard("WANDB_RUN_GROUP", "")
        self.job_type = job_type or heard("WANDB_JOB_TYPE", "")
        self.notes = notes or heard("WANDB_NOTES", "")
        self.resume = str(resume if resume is not None else heard("WANDB_RESUME", "")).lower()
        off = heard("WANDB_DISABLED", "").lower() in {"1", "true", "yes"}
        self.disabled = (mode or heard("WANDB_MODE", "")) == "disabled" or off


def _started(said: _Said, entity: str | None, tags: Sequence[str] | None) -> Run:
    labels = {str(each): "" for each in tags or [each for each in os.environ.get("WANDB_TAGS", "").split(",") if each]}
    labels |= {f"wandb.{key}": value for key, value in (("entity", entity), ("job_type", said.job_type)) if value}
    resume = ""
    if said.resume == "must":
        resume = shared_id(said.id)
    elif said.resume in {"allow", "auto", "true"} and said.id:
        resume = "auto"
    elif said.resume == "never" and said.id and _is_known(shared_id(said.id)):
        raise Conflict(
            f"the run {said.id!r} was begun before",
            code="wandb.run_exists",
            hint='Give another id, or say resume="allow" to go on with it.',
        )
    active = start_run(
        said.name,
        project=said.project,
        group=said.group,
        notes=said.notes,
        tags=labels,
        id="" if said.resume == "must" else said.id,
        resume=resume,
    )
    active.__enter__()
    name = said.name or active.id[:8]
    begin = _next_step(active.id) if resume else 0
    return Run(active, name=name, project=said.project, group=said.group, job_type=said.job_type, step=begin)


def _is_known(identifier: str) -> bool:
    return bool(workspace().store.queries.ask(RunsByIds(runs=(identifier,), now=0.0)))


def _next_step(identifier: str) -> int:
    """Behind the last step that a run has."""
    return max((each.last_step + 1 for each in metric_names(workspace().store, identifier)), default=0)


def log(data: Mapping[str, Any], step: int | None = None, commit: bool | None = None, **more: Any) -> None:
    """See `charkh.bridges.wandb.run_record.Run.log`."""
    _current().log(data, step=step, commit=commit, **more)


def finish(exit_code: int | None = None, quiet: bool | None = None) -> None:
    """End the run, where there is one."""
    if _Session.run is not None:
        _Session.run.finish(exit_code, quiet)
        _Session.run = None


def define_metric(name: str, **options: Any) -> None:
    """See `charkh.bridges.wandb.run_record.Run.define_metric`."""
    _current().define_metric(name, **options)


def save(glob_str: str | Path | None = None, base_path: str | Path | None = None, **more: Any) -> list[str]:
    """See `charkh.bridges.wandb.run_record.Run.save`."""
    return _current().save(glob_str, base_path, **more)


def log_artifact(artifact_or_path: Artifact | str | Path, *given: Any, **options: Any) -> Artifact:
    """See `charkh.bridges.wandb.run_record.Run.log_artifact`."""
    return _current().log_artifact(artifact_or_path, *given, **options)


def use_artifact(artifact_or_name: Any, *given: Any, **options: Any) -> Any:
    """See `charkh.bridges.wandb.run_record.Run.use_artifact`."""
    return _current().use_artifact(artifact_or_name, *given, **options)


def alert(title: str, text: str = "", **options: Any) -> None:
    """See `charkh.bridges.wandb.run_record.Run.alert`."""
    _current().alert(title, text, **options)


def watch(*models: Any, **options: Any) -> None:
    """See `charkh.bridges.wandb.run_record.Run.watch`."""
    _current().watch(*models, **options)


def unwatch(*models: Any) -> None:
    """See `charkh.bridges.wandb.run_record.Run.watch`."""
    _current().unwatch(*models)


def login(*_given: Any, **_options: Any) -> bool:
    """True: there is nothing to sign in to."""
    return True


def setup(*_given: Any, **_options: Any) -> None:
    """Nothing: there is nothing to set up."""


def lookup(name: str) -> Any:
    """What the module has under a name.

    Raises:
        AttributeError: it is not carried; the error says what to use.
    """
    if name in {"run", "config", "summary"}:
        active = _Session.run
        return active if name == "run" or active is None else getattr(active, name)
    if name in _HOMES:
        return getattr(importlib.import_module(f"charkh.bridges.wandb.{_HOMES[name]}"), name)
    near = difflib.get_close_matches(name, [*_HOMES, "run", "config", "summary"], n=1)
    instead = _INSTEAD.get(name) or (f"wandb.{near[0]}" if near else "")
    told = f"use {instead}" if instead else "docs/bridges/wandb.md says what is, and what to use instead"
    # Python's own error, because libraries ask a module for names that it may not have.
    raise AttributeError(f"wandb.{name} is not carried by charkh.bridges.wandb: {told}")


def _current() -> Run:
    if _Session.run is None:
        raise Invalid("there is no run", code="wandb.no_run", hint="Call wandb.init() first, as with Weights & Biases.")
    return _Session.run
