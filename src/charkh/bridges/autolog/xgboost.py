"""XGBoost's trainings: its own `TrainingCallback`, added to every call of `xgboost.train`.

XGBoost's scikit-learn estimators train by the same function. See
https://xgboost.readthedocs.io/en/stable/python/callbacks.html.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any, cast

from charkh.bridges.autolog.patching import all_of, put_around
from charkh.bridges.autolog.recording import (
    Options,
    items_of,
    keep_importances,
    keep_metrics,
    keep_model,
    keep_params,
    quietly,
    recorded,
)
from charkh.runs.active import current
from charkh.runs.start import ActiveRun


def callback(run: ActiveRun | None = None) -> Any:
    """A callback that logs every evaluation metric of each round to `run`, or to the run around the training."""
    library: Any = importlib.import_module("xgboost")

    class LogEvaluations(library.callback.TrainingCallback):  # pyright: ignore[reportUntypedBaseClass]
        def after_iteration(self, _model: Any, epoch: int, evals_log: Any) -> bool:
            active = run or current()
            if active is not None:
                for data, metrics in evals_log.items():
                    keep_metrics(
                        active, {name: _latest(values) for name, values in metrics.items()}, step=epoch, context=data
                    )
            return False

    return LogEvaluations()


def enable(options: Options) -> Callable[[], None]:
    """Record every `xgboost.train` from now on; the answer undoes it."""
    library: Any = importlib.import_module("xgboost")

    def around(train: Any, params: Any, dtrain: Any, *arguments: Any, **named: Any) -> Any:
        with recorded("xgboost", "xgboost") as active:
            target = active or current()
            if target is None:
                return train(params, dtrain, *arguments, **named)
            if active is not None:
                rounds = arguments[0] if arguments else named.get("num_boost_round", 10)
                chosen = {name: value for name, value in items_of(dict(params)) if value is not None}
                keep_params(active, {**chosen, "num_boost_round": rounds})
            callbacks = [*(named.pop("callbacks", None) or ()), callback(target)]
            booster = train(params, dtrain, *arguments, callbacks=callbacks, **named)
            quietly("importances of a training", lambda: _importances(target, booster))
            if active is not None:
                keep_model(active, booster, options)
            return booster

    owners = [library, library.training, sys.modules.get("xgboost.sklearn")]
    return all_of([put_around(owner, "train", around) for owner in owners if owner is not None])


def _latest(values: Any) -> Any:
    latest: Any = values[-1]
    return cast(Any, latest[0]) if isinstance(latest, tuple) else latest


def _importances(active: ActiveRun, booster: Any) -> None:
    gains = booster.get_score(importance_type="gain")
    keep_importances(active, list(gains), list(gains.values()), "gain")
