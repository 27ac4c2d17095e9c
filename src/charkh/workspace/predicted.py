"""Logged predictions as rows: what was asked, and the score that the model gave it."""

import polars as pl

from charkh.core.errors import Invalid
from charkh.workspace.serving import Prepare

SCORE = "score"
PROBABILITY = "predict_proba"
PREDICTION = "predict"

_SAID = frozenset(
    {"prediction_id", "time", "deployment", "model", "version", "route", "request_id", "latency", "error"}
)


def requests(logged: pl.DataFrame, *outputs: str) -> pl.DataFrame:
    """The raw inputs of logged predictions, without what the log says about them and without outputs."""
    said = {*_SAID, PROBABILITY, PREDICTION, *outputs}
    return logged.select(name for name in logged.columns if name not in said)


def score_name(columns: list[str], wanted: str) -> str:
    """The output that is the score: the one that is wanted, else probabilities, else predictions.

    Raises:
        Invalid: there is no such output.
    """
    found = [name for name in ([wanted] if wanted else [PROBABILITY, PREDICTION]) if name in columns]
    if not found:
        raise Invalid(
            f"the model has no output {wanted or PREDICTION!r}",
            code="monitor.score",
            hint=f"Name one in `score`; there are: {', '.join(columns)}.",
        )
    return found[0]


def predicted(logged: pl.DataFrame, prepare: Prepare, score: str) -> pl.DataFrame:
    """Logged predictions with what their recipes made of them, and `score`: the output as it is, list or number."""
    name = score_name(logged.columns, score)
    return prepare(requests(logged, name)).with_columns(logged["prediction_id"], logged[name].alias(SCORE))
