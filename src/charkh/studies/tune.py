"""Search for the params with which an objective does best; every trial is a run, and is kept."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from charkh.core.dimensions import Dimension, Scalar
from charkh.core.errors import Bug, Incomplete, Invalid
from charkh.core.events import Draft, Edge
from charkh.core.ids import new_id
from charkh.core.params import Params, space_of, values_of, with_values
from charkh.core.redact import redact
from charkh.core.refs import parse_name
from charkh.ports.store import Store
from charkh.runs.active import current
from charkh.runs.listening import listening
from charkh.runs.start import ActiveRun, start
from charkh.studies.index import StudyByContent, StudyById
from charkh.studies.sampling import Asked, Search
from charkh.studies.study import (
    ENDED_KIND,
    MAX_ERROR,
    STARTED_KIND,
    TRIAL_KIND,
    Direction,
    Study,
    StudyEnded,
    StudyRecord,
    StudyStarted,
    StudyStatus,
    TrialDone,
    TrialState,
    content_of,
    thinned,
)

P = TypeVar("P", bound=Params)
R = TypeVar("R")
Notify = Callable[[TrialDone], None]


class TrialPruned(BaseException):
    """Raised out of `log` to give up a trial; no `except Exception` of a training loop may catch it."""


@overload
def tune(
    store: Store,
    objective: Callable[[P], R],
    space: P | type[P],
    *,
    name: str,
    metric: str = "",
    direction: Direction = "maximize",
    trials: int = 20,
    seed: int = 0,
    key: str = "",
    prune: bool = True,
    parent: str = "",
    notify: Notify | None = None,
) -> Study[R]: ...
@overload
def tune(
    store: Store,
    objective: Callable[[dict[str, Scalar]], R],
    space: Mapping[str, Any],
    *,
    name: str,
    metric: str = "",
    direction: Direction = "maximize",
    trials: int = 20,
    seed: int = 0,
    key: str = "",
    prune: bool = True,
    parent: str = "",
    notify: Notify | None = None,
) -> Study[R]: ...
def tune(
    store: Store,
    objective: Callable[[Any], R],
    space: Params | type[Params] | Mapping[str, Any],
    *,
    name: str,
    metric: str = "",
    direction: Direction = "maximize",
    trials: int = 20,
    seed: int = 0,
    key: str = "",
    prune: bool = True,
    parent: str = "",
    notify: Notify | None = None,
) -> Study[R]:
    """Search; called again with the same name, space and key, it keeps the trials that are done and goes on.

    Each trial is a run inside the study's run, and current while the objective is called. The first one takes the
    defaults. A trial that raises is recorded as failed and the search goes on; an interrupt ends the search and
    keeps what is done.

    Args:
        store: where it is recorded.
        objective: called with params of the searched class, or with a dictionary by name.
        space: params whose `search(…)` fields are varied, the others stay; or `{"rate": search(0.1, low=…, high=…)}`.
        name: by which it is found and resumed.
        metric: whose last value, logged inside the trial, is the trial's value; values that are logged with a step
            let hopeless trials be given up early. Without it, or where nothing is logged, the objective returns it.
        direction: whether greater or less is better.
        trials: how many trials with a value, or given up early, there are in the end.
        seed: of the sampler: the same seed and values give the same proposals.
        key: digest of what else the value depends on, such as data and code; another key is another study.
        prune: give up trials that are worse than the median of the others at the same step.
        parent: id of the run that the search is a part of; the run around this one by default.
        notify: called with each trial that has been done.

    Raises:
        Invalid: nothing is searched.
        Incomplete: no trial has a value.
    """
    dimensions, made = _space(space)
    fixed = {} if isinstance(space, Mapping) else values_of(made({}))
    content = content_of(dimensions, fixed, direction, metric, seed, key)
    before = store.queries.ask(StudyByContent(name=parse_name(name, "study name"), content=content))
    around = current()
    run = start(
        store,
        name=name,
        parent=parent or (around.id if around is not None else ""),
        params={"metric": metric, "direction": direction, "trials": trials, "seed": seed},
        tags={"study": name},
    )
    started = StudyStarted(
        study=before.id if before is not None else new_id(),
        name=name,
        content=content,
        run=run.id,
        direction=direction,
        metric=metric,
        space=dimensions,
        trials=trials,
        seed=seed,
    )
    searching = _Searching(store, started, run, objective, made, before, prune=prune, notify=notify)
    with run:
        return searching.search()


class _Searching:
    """One search under way."""

    def __init__(
        self,
        store: Store,
        started: StudyStarted,
        run: ActiveRun,
        objective: Callable[[Any], Any],
        made: Callable[[Mapping[str, Scalar]], Any],
        before: StudyRecord | None,
        *,
        prune: bool,
        notify: Notify | None,
    ) -> None:
        self._store = store
        self._started = started
        self._run = run
        self._objective = objective
        self._made = made
        self._known = list(before.trials) if before is not None else []
        self._prune = prune
        self._notify = notify
        self._subject = f"study:{started.study}"
        self._results: dict[int, Any] = {}

    def search(self) -> Study[Any]:
        edges = (Edge(self._subject, "recorded_in", self._run.subject),)
        self._store.record(Draft(kind=STARTED_KIND, subject=self._subject, body=self._started, edges=edges))
        status: StudyStatus = "interrupted"
        try:
            self._try_all()
            status = "finished" if self._record().best_trial is not None else "failed"
        finally:
            self._note_end(status)
        record = self._record()
        best = record.best_trial
        if best is None:
            raise _all_failed(record)
        params = self._made(best.params)
        number = best.number
        return Study(
            record,
            params,
            lambda: self._results[number] if number in self._results else self._objective(params),
        )

    def _try_all(self) -> None:
        started = self._started
        number = max((trial.number for trial in self._known), default=-1) + 1
        left = started.trials - sum(trial.state != "failed" for trial in self._known)
        if left <= 0:
            # A search that is done takes no Optuna, whose import is what takes longest.
            return
        search = Search(started.space, started.direction, started.seed, self._known)
        for place in range(number, number + left):
            self._try_one(search.ask(place), place)

    def _try_one(self, asked: Asked, number: int) -> None:
        params = self._made(asked.params)
        run = start(
            self._store,
            name=f"{self._started.name} #{number}",
            parent=self._run.id,
            params=values_of(params) if isinstance(params, Params) else params,
            tags={"study": self._started.name, "trial": str(number)},
        )
        watch = _Watch(self._started.metric, asked, prune=self._prune)
        began = time.perf_counter()
        with run:
            state, value, error = self._outcome(params, number, watch)
            trial = TrialDone(
                study=self._started.study,
                number=number,
                run=run.id,
                params=asked.params,
                state=state,
                value=value,
                reported=thinned(asked.reported),
                seconds=time.perf_counter() - began,
                error=error,
            )
            if state == "pruned":
                run.set_tags({"pruned": "yes"})
            elif state == "failed":
                run.end("failed", error=error)
        asked.tell(state, value)
        edges = (Edge(run.subject, "trial_of", self._subject),)
        self._store.record(Draft(kind=TRIAL_KIND, subject=self._subject, body=trial, edges=edges), durable=True)
        self._keep_best(trial)
        if self._notify is not None:
            self._notify(trial)

    def _outcome(self, params: Any, number: int, watch: "_Watch") -> tuple[TrialState, float | None, str]:
        try:
            with listening(watch.hear):
                result = self._objective(params)
        except TrialPruned:
            return "pruned", watch.last, ""
        except Exception as error:  # noqa: BLE001 - the objective is the user's; its error is recorded with the trial
            return "failed", None, redact(f"{type(error).__name__}: {error}")[:MAX_ERROR]
        value = watch.last if watch.last is not None else _number(result)
        if value is None or not math.isfinite(value):
            said = f"the value is {value}" if value is not None else "the objective gave no number"
            wanted = f" and logged no {self._started.metric!r}" if value is None and self._started.metric else ""
            return "failed", None, said + wanted
        self._results[number] = result
        return "complete", value, ""

    def _keep_best(self, trial: TrialDone) -> None:
        """Results can be large: only the best so far stays in memory."""
        self._known.append(trial)
        best = self._record_of(self._known).best_trial
        for number in list(self._results):
            if best is None or number != best.number:
                del self._results[number]

    def _record_of(self, trials: list[TrialDone]) -> StudyRecord:
        return StudyRecord(
            started=self._started,
            status="running",
            trials=tuple(trials),
            actor=self._store.actor,
            created=0.0,
            stamp="",
        )

    def _record(self) -> StudyRecord:
        record = self._store.queries.ask(StudyById(study=self._started.study))
        if record is None:
            raise Bug(f"the study {self._started.name!r} that was just started cannot be found")
        return record

    def _note_end(self, status: StudyStatus) -> None:
        best = self._record().best_trial
        body = StudyEnded(
            study=self._started.study,
            run=self._run.id,
            status=status,
            best=None if best is None else best.number,
            value=None if best is None else best.value,
        )
        facts: dict[str, float] = {}
        if best is not None and best.value is not None:
            facts = {"best": best.value, self._started.metric or "value": best.value}
        self._store.record(Draft(kind=ENDED_KIND, subject=self._subject, body=body, facts=facts), durable=True)


class _Watch:
    """Hears what a trial logs, and gives it up where it is hopeless."""

    def __init__(self, metric: str, asked: Asked, *, prune: bool) -> None:
        self.last: float | None = None
        self._metric = metric
        self._asked = asked
        self._prune = prune

    def hear(self, values: Mapping[str, Any], step: int | None, context: str) -> None:
        for name, value in values.items():
            if self._metric not in {name, f"{name}[{context}]"}:
                continue
            self.last = float(value)
            if step is not None:
                self._asked.report(self.last, step)
                if self._prune and self._asked.should_prune():
                    raise TrialPruned


def _space(
    space: Params | type[Params] | Mapping[str, Any],
) -> tuple[dict[str, Dimension], Callable[[Mapping[str, Scalar]], Any]]:
    """The dimensions by name, and what makes params of chosen values."""
    if isinstance(space, Mapping):
        wrong = [name for name, dimension in space.items() if not isinstance(dimension, Dimension)]
        if wrong:
            raise Invalid(
                f"{wrong[0]!r} of the space is no search",
                code="study.space",
                hint='Write {"rate": charkh.search(0.1, low=0.01, high=1.0)}.',
            )
        dimensions = dict(space)
    else:
        dimensions = space_of(space)

    def made(values: Mapping[str, Scalar]) -> Any:
        return dict(values) if isinstance(space, Mapping) else with_values(space, values)

    if not dimensions:
        raise Invalid(
            "there is nothing to search",
            code="study.space",
            hint="Give fields a range: `rate: float = charkh.search(0.1, low=0.01, high=1.0)`.",
        )
    return dimensions, made


def _number(result: Any) -> float | None:
    if isinstance(result, bool | str | bytes):
        return None
    # NumPy's and Torch's scalars are numbers without being floats.
    item = getattr(result, "item", None)
    try:
        plain = item() if callable(item) else result
    except (TypeError, ValueError, RuntimeError):
        return None
    return float(plain) if isinstance(plain, int | float) else None


def _all_failed(record: StudyRecord) -> Incomplete:
    errors = [trial.error for trial in record.trials if trial.error]
    last = errors[-1] if errors else "no trial was made"
    return Incomplete(
        f"no trial of the study {record.name!r} has a value; the last one said: {last}",
        code="study.all_failed",
        hint="Call the objective by itself with the default params to see its traceback.",
        facts={"study": record.id, "trials": len(record.trials)},
    )
