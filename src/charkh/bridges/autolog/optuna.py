"""Optuna's studies: a run for the study, and one below it for each trial.

What an objective logs goes to the run of its trial. See
https://optuna.readthedocs.io/en/stable/reference/generated/optuna.study.Study.html. Studies of charkh's own
(`charkh.tune`) need none of this.
"""

import importlib
from collections.abc import Callable
from typing import Any, cast

from charkh.bridges.autolog.patching import put_around
from charkh.bridges.autolog.recording import Options, keep_metrics, keep_params, quietly
from charkh.runs.start import ActiveRun
from charkh.workspace.recording import run


def enable(_options: Options) -> Callable[[], None]:
    """Record every `Study.optimize` from now on; the answer undoes it. Trials leave no models of their own."""
    study_class: Any = importlib.import_module("optuna").study.Study

    def around(optimize: Any, study: Any, func: Any, *arguments: Any, **named: Any) -> Any:
        around_all = _started(study.study_name, "")
        if around_all is None:
            return optimize(study, func, *arguments, **named)
        with around_all:
            directions = [each.name.lower() for each in study.directions]
            keep_params(around_all, {"sampler": type(study.sampler).__name__, "directions": directions})
            answer = optimize(study, _in_a_run(func, around_all), *arguments, **named)
            quietly("results of a study", lambda: _keep_best(around_all, study))
            return answer

    return put_around(study_class, "optimize", around)


def _started(name: str, parent: str) -> ActiveRun | None:
    started: list[ActiveRun] = []
    quietly("starting a run", lambda: started.append(run(name, parent=parent)))
    return started[0] if started else None


def _in_a_run(objective: Any, parent: ActiveRun) -> Any:
    def objective_in_a_run(trial: Any) -> Any:
        active = _started(f"trial {trial.number}", parent.id)
        if active is None:
            return objective(trial)
        pruned: Any = importlib.import_module("optuna").TrialPruned
        with active:
            try:
                values: Any = objective(trial)
            except pruned:
                quietly("tags of a trial", lambda: active.set_tags({"state": "pruned"}))
                keep_params(active, trial.params)
                active.end()
                raise
            keep_params(active, trial.params)
            several = cast(list[Any], values) if isinstance(values, list | tuple) else [values]
            names = ["objective"] if len(several) == 1 else [f"objective_{place}" for place in range(len(several))]
            keep_metrics(active, dict(zip(names, several, strict=True)))
            return cast(Any, values)

    return objective_in_a_run


def _keep_best(active: ActiveRun, study: Any) -> None:
    keep_metrics(active, {"trials": len(study.trials)})
    if len(study.directions) == 1 and any(trial.state.name == "COMPLETE" for trial in study.trials):
        keep_metrics(active, {"best": study.best_value})
        keep_params(active, study.best_params, "best.")
