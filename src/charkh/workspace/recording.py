"""Rung one of the SDK: record a run and log to it, in any script."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from charkh.core.canon import Json
from charkh.core.errors import Conflict, Denied, Invalid, NotFound
from charkh.core.quantities import parse_duration
from charkh.ports.store import Store
from charkh.runs.active import current
from charkh.runs.deferred import TROUBLES
from charkh.runs.membership import RUN_VARIABLE, STARTER_VARIABLE, joined_folder, shared_id
from charkh.runs.project import project_id, project_name
from charkh.runs.projects import ensure_project
from charkh.runs.resume import Resumed, resumed, resumed_if_there
from charkh.runs.start import ActiveRun, start
from charkh.workspace.ambient import joined_workspace
from charkh.workspace.aside import aside_workspace, nearest_folder
from charkh.workspace.workspace import Workspace

AUTO = "auto"
_MISTAKES = (Invalid, NotFound, Conflict, Denied)
"""What the caller has to mend; everything else is the store's trouble, and a training goes on without it."""

_log = logging.getLogger("charkh")


def run(
    name: str = "",
    *,
    params: Mapping[str, Json] | None = None,
    tags: Mapping[str, str] | None = None,
    group: str = "",
    parent: str = "",
    project: str = "",
    goals: Mapping[str, str] | None = None,
    notes: str = "",
    resume: str = "",
    id: str = "",
    console: bool | Literal["fd"] | None = None,
    system: bool | None = None,
    strict: bool = False,
) -> ActiveRun:
    """Start a run: a context manager that ends it, `failed` when the block raises.

    Nothing that becomes of the store stops a training: where it cannot be written, that is reported once, the run is
    recorded beside it on this machine, and the workspace takes it in when it is opened again.

    Args:
        name: for people; runs may share it.
        params: what was chosen, of any JSON type and depth.
        tags: labels.
        group: what belongs together, such as the seeds of one experiment.
        parent: id of the run that this one is a part of; the run around this one by default.
        project: name of the project that it belongs to, `/` between folders; made where there is none. By default
            that of the run around this one, or the default project.
        goals: by metric, `max` or `min`: which of its values is the best, for `best(metrics.auc)` in a search.
        notes: a remark about it, Markdown.
        resume: a run to take up again, such as `run:1f3a`: its curves go on. `auto`: the one that `id` or
            `CHARKH_RUN_ID` names, if it was begun before, and otherwise a new one of that id.
        id: the run's id, 32 hex digits, or a word that one is made from.
        console: keep what is printed, `"fd"` with what libraries in C and child processes write; `[run] console` by
            default, and not for a run inside another.
        system: measure the machine; `[run] system` by default, and not for a run inside another.
        strict: raise where the store cannot be written.

    Raises:
        Invalid: a param has no JSON form, or a text is too long.
        NotFound: there is no run to resume.
        Conflict: the project is in the trash, or `resume` means several runs.
        Unavailable: the store cannot be written, with `strict`.
    """
    around = current()
    opened = _opened(strict=strict)
    store = opened.recording
    going_on, identifier = _resumed(opened, resume, id, strict=strict)
    owner, made = _owner(store, project, strict=strict)
    if not project and around is not None:
        owner = around.project
    inner = parent or (around.id if around is not None and around.id != identifier else "")
    active = start(
        store,
        name=name,
        params=params,
        tags=tags,
        group=group,
        parent="" if going_on is not None else inner,
        folder=Path.cwd(),
        project=owner,
        goals=goals,
        identifier=identifier,
        resumed=going_on,
        strict=strict,
    )
    if not made:
        active.when_possible(lambda: ensure_project(store, project))
    active.when_ended = opened.run_ended
    active.folder = str(opened.folder)
    if not strict:
        folder = opened.folder
        active.aside = lambda: aside_workspace(folder).store
    _observe(active, opened, console, system, alone=around is None)
    if notes:
        active.note(notes)
    return active


def log(values: Mapping[str, float] | None = None, /, *, step: int | None = None, **metrics: float) -> None:
    """Log metrics to the current run: `log(loss=0.3, step=10)` or `log({"loss/train": 0.3}, step=10)`.

    Without a run around it, one is started that ends with the script. It never blocks and never raises for
    a full or failing disk.

    Raises:
        Invalid: a value is no number.
    """
    active = current()
    if active is None:
        active = _start_implicit()
    active.log(metrics if values is None else {**values, **metrics}, step=step)


def _start_implicit() -> ActiveRun:
    active = run()
    active.__enter__()
    return active


def _opened(*, strict: bool) -> Workspace:
    try:
        opened = joined_workspace(joined_folder(os.environ))
        if strict or opened.settings.store.journal or os.access(opened.store_folder, os.W_OK):
            return opened
        trouble, folder = f"{opened.store_folder} cannot be written", opened.folder
    except _MISTAKES:
        raise
    except TROUBLES as error:
        if strict:
            raise
        trouble, folder = str(error), nearest_folder()
    _log.warning("%s; the run is recorded beside it and taken in when the workspace is opened again", trouble)
    return aside_workspace(folder)


def _resumed(opened: Workspace, resume: str, named: str, *, strict: bool) -> tuple[Resumed | None, str]:
    """The run to go on, and the id that a new one has; empty where nothing says."""
    if resume and resume != AUTO:
        return resumed(opened.store, resume), ""
    launched = os.environ.get(RUN_VARIABLE, "") if STARTER_VARIABLE not in os.environ else ""
    word = named or (launched if resume else "")
    if not word:
        return None, ""
    try:
        return (resumed_if_there(opened.store, word) if resume else None), shared_id(word)
    except _MISTAKES:
        raise
    except TROUBLES as error:
        if strict:
            raise
        # Its curve begins anew; of steps that both attempts logged, the later one shows.
        _log.warning("whether run %s was begun before cannot be found out: %s", word, error)
        return None, shared_id(word)


def _owner(store: Store, project: str, *, strict: bool) -> tuple[str, bool]:
    """The id of a project, and whether it is there; the id alone where the store cannot be asked."""
    if not project:
        return "", True
    try:
        return ensure_project(store, project).id, True
    except _MISTAKES:
        raise
    except TROUBLES:
        if strict:
            raise
        return project_id(project_name(project)), False


def _observe(
    active: ActiveRun,
    opened: Workspace,
    console: bool | Literal["fd"] | None,
    system: bool | None,
    *,
    alone: bool,
) -> None:
    settings = opened.settings.run
    interval = parse_duration(settings.system)
    if console is None:
        console = settings.console if alone else False
    if system is None:
        # The machine is measured once, whoever else writes the run on it.
        system = interval > 0 and alone and os.environ.get("LOCAL_RANK", "0") == "0"
    if console:
        active.listen_to_console(descriptors=console == "fd")
    if system:
        active.watch_system(interval or parse_duration("10s"), opened.folder)
