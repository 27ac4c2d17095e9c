"""Rung one of the SDK: record a run and log to it, in any script."""

from collections.abc import Mapping
from pathlib import Path

from charkh.core.canon import Json
from charkh.runs.active import current
from charkh.runs.projects import ensure_project
from charkh.runs.start import ActiveRun, start
from charkh.workspace.ambient import workspace


def run(
    name: str = "",
    *,
    params: Mapping[str, Json] | None = None,
    tags: Mapping[str, str] | None = None,
    group: str = "",
    parent: str = "",
    project: str = "",
) -> ActiveRun:
    """Start a run: a context manager that ends it, `failed` when the block raises.

    Args:
        name: for people; runs may share it.
        params: what was chosen, of any JSON type and depth.
        tags: short labels.
        group: what belongs together, such as the seeds of one experiment.
        parent: id of the run that this one is a part of; the run around this one by default.
        project: name of the project that it belongs to, `/` between folders; made where there is none. By default
            that of the run around this one, or the default project.

    Raises:
        Conflict: the project is in the trash.
    """
    around = current()
    opened = workspace()
    store = opened.recording
    inherited = around.project if around is not None else ""
    active = start(
        store,
        name=name,
        params=params,
        tags=tags,
        group=group,
        parent=parent or (around.id if around is not None else ""),
        folder=Path.cwd(),
        project=ensure_project(store, project).id if project else inherited,
    )
    active.when_ended = opened.run_ended
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
