"""CatBoost's trainings: its own per-iteration callback, added to every `fit`.

See https://catboost.ai/docs/en/concepts/python-reference_train#callbacks. CatBoost takes callbacks on the CPU only;
on a GPU the metrics of all iterations are read from the trained model instead.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from charkh.bridges.autolog.patching import put_around
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


class LogEvaluations:
    """A callback that logs every evaluation metric of each iteration to `run`, or to the run around the training."""

    def __init__(self, run: ActiveRun | None = None) -> None:
        self._run = run

    def after_iteration(self, info: Any) -> bool:
        """Called by CatBoost; true lets the training go on."""
        active = self._run or current()
        if active is not None:
            for data, metrics in items_of(info.metrics):
                latest = {name: values[-1] for name, values in items_of(metrics) if values}
                keep_metrics(active, latest, step=info.iteration - 1, context=data)
        return True


def enable(options: Options) -> Callable[[], None]:
    """Record every `fit` of CatBoost from now on; the answer undoes it."""
    library: Any = importlib.import_module("catboost")

    def around(fit: Any, model: Any, *arguments: Any, **named: Any) -> Any:
        with recorded("catboost", type(model).__name__) as active:
            target = active or current()
            if target is None:
                return fit(model, *arguments, **named)
            if active is not None:
                keep_params(active, model.get_params())
            on_gpu = str(model.get_params().get("task_type", "")).upper() == "GPU"
            arguments, named = (arguments, named) if on_gpu else _with_callback(fit, arguments, named, target)
            trained = fit(model, *arguments, **named)
            if on_gpu:
                quietly("metrics of a training", lambda: _afterwards(target, model))
            quietly("importances of a training", lambda: _importances(target, model))
            if active is not None:
                keep_model(active, model, options)
            return trained

    return put_around(library.CatBoost, "_fit", around)


def _with_callback(
    fit: Any, arguments: tuple[Any, ...], named: dict[str, Any], run: ActiveRun
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with one callback more, wherever callbacks stand in them."""
    place = list(inspect.signature(fit).parameters).index("callbacks") - 1  # the first parameter is the model
    if len(arguments) > place:
        given = list(arguments)
        given[place] = [*(given[place] or ()), LogEvaluations(run)]
        return tuple(given), named
    return arguments, {**named, "callbacks": [*(named.get("callbacks") or ()), LogEvaluations(run)]}


def _afterwards(active: ActiveRun, model: Any) -> None:
    for data, metrics in model.get_evals_result().items():
        for name, values in metrics.items():
            for step, value in enumerate(values):
                keep_metrics(active, {name: value}, step=step, context=data)


def _importances(active: ActiveRun, model: Any) -> None:
    keep_importances(active, model.feature_names_, model.feature_importances_)
