"""What one server keeps in memory for its MLflow clients; everything in it can be had again from the store."""

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from charkh.bridges.mlflow.envelope import MISSING, MlflowError, invalid
from charkh.ports.store import Store
from charkh.runs.index import RunsByIds
from charkh.runs.project import Project
from charkh.runs.projects import list_projects
from charkh.runs.recorder import Recorder
from charkh.runs.run import LargeValue, Run, from_json_text, json_text
from charkh.workspace.workspace import Workspace

FRESH_SECONDS = 5.0
"""A run's state is asked for again after this: what other processes did to it is noticed so late at most."""

REMEMBERED = 4096


class RunState:
    """What a call that records into a run has to know of it.

    Attributes:
        id: of the run.
        experiment: id of its project.
        project: name of its project.
        deleted: it is in the trash.
        over: it has ended.
        params: by name, as this server's clients see them.
        tagged: by tag, the events that set it last, where this process did.
        lock: held while something is decided about the run.
    """

    __slots__ = ("deleted", "experiment", "id", "loaded", "lock", "over", "params", "project", "tagged")

    def __init__(self, run: str) -> None:
        self.id = run
        self.experiment = ""
        self.project = ""
        self.deleted = False
        self.over = False
        self.params: dict[str, str] = {}
        self.tagged: dict[str, tuple[str, ...]] = {}
        self.loaded = 0.0
        self.lock = threading.RLock()


class Service:
    """The state of an `MlflowApplication`, shared between its threads.

    Args:
        workspace: what is served.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.recorder = Recorder(workspace.store)
        self._states: OrderedDict[str, RunState] = OrderedDict()
        self._projects: tuple[float, Mapping[str, Project]] = (0.0, {})
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of what is open."""
        self.recorder.close()

    def known(self, run: str) -> RunState | None:
        """The state of a run where it is fresh, without asking for anything."""
        state = self._states.get(run)
        return state if state is not None and time.monotonic() - state.loaded < FRESH_SECONDS else None

    def state(self, run: str) -> RunState:
        """The state of a run.

        Raises:
            MlflowError: there is none.
        """
        return self.known(run) or self._load(run)

    def active(self, run: str) -> RunState:
        """The state of a run that may be written.

        Raises:
            MlflowError: there is none, or it is deleted.
        """
        state = self.state(run)
        if state.deleted:
            raise invalid(f"The run {run} must be in the 'active' state. Current state is deleted.")
        return state

    def forget(self, run: str) -> None:
        """Ask for the state of a run again: it was changed."""
        state = self._states.get(run)
        if state is not None:
            state.loaded = 0.0

    def projects(self) -> Mapping[str, Project]:
        """The projects by id, deleted ones included: what other processes did to them is noticed some seconds later."""
        loaded, known = self._projects
        if time.monotonic() - loaded >= FRESH_SECONDS or not known:
            known = {each.id: each for each in list_projects(self.workspace.store, deleted=None)}
            self._projects = (time.monotonic(), known)
        return known

    def begin(self, run: str, project: Project) -> None:
        """Know a run that was begun here just now, without asking for it."""
        state = RunState(run)
        state.experiment, state.project, state.loaded = project.id, project.name, time.monotonic()
        self._keep(state)
        self.recorder.touch(run)

    def forget_all(self) -> None:
        """Ask for every run and project again."""
        self._projects = (0.0, {})
        with self._lock:
            for state in self._states.values():
                state.loaded = 0.0

    def _load(self, run: str) -> RunState:
        store = self.workspace.store
        found = store.queries.ask(RunsByIds(runs=(run,), now=time.time()))
        if not found or found[0].purged:
            raise no_run(run)
        known = found[0]
        project = self.projects().get(known.project)
        state = self._keep(RunState(run))
        with state.lock:
            state.experiment, state.project = known.project, "" if project is None else project.name
            state.deleted, state.over = known.deleted is not None, known.over
            state.params = texts_of(store, known.params)
            state.loaded = time.monotonic()
        return state

    def _keep(self, state: RunState) -> RunState:
        """Remember a state; the one that is remembered already where there is one."""
        with self._lock:
            kept = self._states.setdefault(state.id, state)
            self._states.move_to_end(state.id)
            if len(self._states) > REMEMBERED:
                self._states.popitem(last=False)
        return kept


def no_run(run: str) -> MlflowError:
    """What MLflow's server says of a run that is not there."""
    return MlflowError(MISSING, f"Run with id={run} not found")


def texts_of(store: Store, params: Mapping[str, Any]) -> dict[str, str]:
    """Params as MLflow has them: texts."""
    return {name: param_text(store, value) for name, value in params.items()}


def param_text(store: Store, value: Any) -> str:
    """A param's value as the text that Python's `str` makes of it; nested ones as JSON."""
    if isinstance(value, LargeValue):
        value = from_json_text(b"".join(store.vault.read(value.file)).decode())
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool | float | int):
        return str(value)
    return json_text(value)


def tags_of(store: Store, run: Run) -> dict[str, str]:
    """A run's tags, long ones whole."""
    tags = dict(run.tags)
    for name, file in run.large_tags.items():
        tags[name] = b"".join(store.vault.read(file)).decode("utf-8", "replace")
    return tags
