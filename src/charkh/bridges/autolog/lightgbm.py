"""LightGBM's trainings: a callback of its own kind, added to every call of `lightgbm.train`.

LightGBM's scikit-learn estimators train by the same function. See
https://lightgbm.readthedocs.io/en/stable/Python-API.html#callbacks.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any

from charkh.bridges.autolog.patching import all_of, put_around
from charkh.bridges.autolog.recording import (
    Options,
    keep_importances,
    keep_metrics,
    keep_model,
    keep_params,
    quietly,
    recorded,
)
from charkh.runs.active import current
from charkh.runs.start import ActiveRun


class LogEvaluations:
    """A callback that logs every evaluation metric of each round to `run`, or to the run around the training."""

    order = 25
    before_iteration = False

    def __init__(self, run: ActiveRun | None = None) -> None:
        self._run = run

    def __call__(self, env: Any) -> None:
        """Called by LightGBM after each round."""
        active = self._run or current()
        if active is None:
            return
        for data, name, value, *_ in env.evaluation_result_list or ():
            context, _, metric = name.partition(" ") if data == "cv_agg" else (data, "", name)
            keep_metrics(active, {metric or name: value}, step=env.iteration, context=context)


def enable(options: Options) -> Callable[[], None]:
    """Record every `lightgbm.train` from now on; the answer undoes it."""
    library: Any = importlib.import_module("lightgbm")

    def around(train: Any, params: Any, *arguments: Any, **named: Any) -> Any:
        with recorded("lightgbm", "lightgbm") as active:
            target = active or current()
            if target is None:
                return train(params, *arguments, **named)
            if active is not None:
                rounds = arguments[1] if len(arguments) > 1 else named.get("num_boost_round", 100)
                keep_params(active, {**dict(params), "num_boost_round": rounds})
            callbacks = [*(named.pop("callbacks", None) or ()), LogEvaluations(target)]
            booster = train(params, *arguments, callbacks=callbacks, **named)
            quietly("importances of a training", lambda: _importances(target, booster))
            if active is not None:
                keep_model(active, booster, options)
            return booster

    owners = [library, library.engine, sys.modules.get("lightgbm.sklearn")]
    return all_of([put_around(owner, "train", around) for owner in owners if owner is not None])


def _importances(active: ActiveRun, booster: Any) -> None:
    keep_importances(active, booster.feature_name(), booster.feature_importance("gain"), "gain")
