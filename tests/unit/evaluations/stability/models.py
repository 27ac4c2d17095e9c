"""Models small enough to see through, well and ill behaved, and the rows that they are asked with."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.metrics import Floats
from charkh.evaluations.stability.subject import Ask, Tried

ROWS = 600
Array = npt.NDArray[Any]


def rows(count: int = ROWS, seed: int = 3) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "x": random.normal(size=count),
            "z": random.normal(10, 5, size=count),
            "hour": random.integers(0, 24, count),
            "origin": random.choice(["JFK", "EWR"], count),
        }
    )


def logit(frame: pl.DataFrame) -> Floats:
    """x pushes up, z pushes down a little, hours and origins do not matter."""
    x, z = (frame[name].cast(pl.Float64).fill_null(0.0).fill_nan(0.0).to_numpy() for name in ("x", "z"))
    return 2 * x - 0.1 * (z - 10)


def classes(score: Callable[[pl.DataFrame], Floats] = logit) -> Ask:
    """A classifier of two classes by a logit."""

    def ask(frame: pl.DataFrame) -> Mapping[str, Array]:
        with np.errstate(over="ignore"):
            probability = 1 / (1 + np.exp(-score(frame)))
        return {
            "predict": (probability >= 0.5).astype(np.int64),
            "predict_proba": np.column_stack([1 - probability, probability]),
        }

    return ask


def numbers(score: Callable[[pl.DataFrame], Floats] = logit) -> Ask:
    """A regression by the same score."""
    return lambda frame: {"predict": score(frame)}


def tried(ask: Ask | None = None, **more: Any) -> Tried:
    frame = more.pop("rows", None)
    given = rows() if frame is None else frame
    return Tried(**{"rows": given, "ask": ask or classes(), "groups": given, **more})


def drawn_truth(seed: int = 5, ask: Ask | None = None) -> Floats:
    """Truth drawn from the probabilities of a model, which is therefore calibrated."""
    probability = (ask or classes())(rows())["predict_proba"][:, 1]
    return (np.random.default_rng(seed).random(ROWS) < probability).astype(np.float64)
