"""statsmodels' fits: coefficients with their intervals, information criteria, and the summary as text."""

import importlib
import time
from collections.abc import Callable
from typing import Any

from charkh.bridges.autolog.estimators import put_around_all
from charkh.bridges.autolog.recording import Options, keep_metrics, keep_params, quietly, recorded
from charkh.runs.start import ActiveRun

_METRICS = (
    "aic",
    "bic",
    "llf",
    "rsquared",
    "rsquared_adj",
    "fvalue",
    "f_pvalue",
    "nobs",
    "df_resid",
    "df_model",
    "scale",
)


def enable(_options: Options) -> Callable[[], None]:
    """Record every `fit` of a model from now on; the answer undoes it. Models of statsmodels have no safe format."""
    root: Any = importlib.import_module("statsmodels.base.model").Model

    def around(fit: Any, model: Any, *arguments: Any, **named: Any) -> Any:
        with recorded("statsmodels", type(model).__name__) as active:
            if active is None:
                return fit(model, *arguments, **named)
            described = {"model": type(model).__name__, "formula": getattr(model, "formula", None), **named}
            keep_params(active, {name: value for name, value in described.items() if value is not None})
            began = time.perf_counter()
            results = fit(model, *arguments, **named)
            keep_metrics(active, {"fit_seconds": time.perf_counter() - began})
            quietly("results of a training", lambda: _keep_results(active, results))
            return results

    return put_around_all(root, "fit", around)


def _keep_results(active: ActiveRun, results: Any) -> None:
    keep_metrics(active, {name: _of(results, name) for name in _METRICS})
    names = list(getattr(results.model, "exog_names", None) or range(len(results.params)))
    intervals = results.conf_int()
    table = {
        "name": [str(name) for name in names],
        "estimate": [float(value) for value in _values(results.params)],
        "error": [float(value) for value in _values(results.bse)],
        "p": [float(value) for value in _values(results.pvalues)],
        "low": [float(low) for low, _ in _values(intervals)],
        "high": [float(high) for _, high in _values(intervals)],
    }
    active.log_table("coefficients", table)
    active.log_text("summary", str(results.summary()))


def _of(results: Any, name: str) -> Any:
    """An attribute that a kind of results may lack, or may not be able to compute."""
    try:
        return getattr(results, name, None)
    except (NotImplementedError, ValueError, AttributeError):
        return None


def _values(sequence: Any) -> Any:
    return getattr(sequence, "values", sequence)
