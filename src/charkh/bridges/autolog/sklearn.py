"""scikit-learn's trainings: every `fit` of something that predicts.

scikit-learn has no callbacks of its own, so `fit` itself is watched. What a search or a pipeline fits inside belongs
to the search or the pipeline.
"""

import importlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from charkh.bridges.autolog.estimators import put_around_all
from charkh.bridges.autolog.recording import (
    Options,
    keep_importances,
    keep_metrics,
    keep_model,
    keep_params,
    plain,
    quietly,
    recorded,
)
from charkh.runs.start import ActiveRun

SCORED_ROWS = 10_000
"""The score on the training data is taken on at most this many of its rows, evenly spaced."""

_CURVES = {"loss_curve_": "loss", "train_score_": "loss", "validation_scores_": "validation_score"}
"""What estimators remember of each round, and the metric that it is logged as."""


def enable(options: Options) -> Callable[[], None]:
    """Record every `fit` of a predictor from now on; the answer undoes it."""
    root: Any = importlib.import_module("sklearn.base").BaseEstimator

    def around(fit: Any, estimator: Any, *arguments: Any, **named: Any) -> Any:
        if not hasattr(estimator, "predict"):
            return fit(estimator, *arguments, **named)
        with recorded("sklearn", type(estimator).__name__) as active:
            if active is None:
                return fit(estimator, *arguments, **named)
            quietly("params of a training", lambda: keep_params(active, _params(estimator)))
            began = time.perf_counter()
            fitted = fit(estimator, *arguments, **named)
            keep_metrics(active, {"fit_seconds": time.perf_counter() - began})
            quietly("results of a training", lambda: _keep_results(active, estimator, arguments, named))
            keep_model(active, estimator, options)
            return fitted

    return put_around_all(root, "fit", around)


def _params(estimator: Any) -> dict[str, Any]:
    return {"estimator": type(estimator).__name__, **estimator.get_params(deep=True)}


def _keep_results(active: ActiveRun, estimator: Any, arguments: Any, named: Mapping[str, Any]) -> None:
    if hasattr(estimator, "cv_results_"):
        _keep_search(active, estimator)
        return
    rows = arguments[0] if arguments else named.get("X")
    truth = arguments[1] if len(arguments) > 1 else named.get("y")
    if truth is not None:
        quietly("score of a training", lambda: _keep_score(active, estimator, rows, truth))
    for attribute, metric in _CURVES.items():
        curve = getattr(estimator, attribute, None)
        for step, value in enumerate(curve if curve is not None else ()):
            keep_metrics(active, {metric: value}, step=step, context="train")
    keep_metrics(active, {"n_iter": getattr(estimator, "n_iter_", None)})
    names = getattr(estimator, "feature_names_in_", None)
    importances = getattr(estimator, "feature_importances_", None)
    if importances is not None:
        keep_importances(active, names if names is not None else range(len(importances)), importances)


def _keep_score(active: ActiveRun, estimator: Any, rows: Any, truth: Any) -> None:
    count = rows.shape[0]
    step = max(1, -(-count // SCORED_ROWS))
    keep_metrics(active, {"score": estimator.score(rows[::step], truth[::step])}, context="train")


def _keep_search(active: ActiveRun, search: Any) -> None:
    keep_metrics(active, {"best_score": search.best_score_})
    keep_params(active, search.best_params_, "best.")
    table = {name: [plain(value) for value in column] for name, column in search.cv_results_.items()}
    shown = {
        name: [value if isinstance(value, int | float | str) else str(value) for value in column]
        for name, column in table.items()
    }
    active.log_table("cv_results", shown)
