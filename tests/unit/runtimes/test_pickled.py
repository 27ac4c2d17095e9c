"""Pickled estimators: refused as they are, asked in a process of their own (tests/security/test_trust.py has trust)."""

import gzip
import pickle
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from charkh.ports.runtimes import Signature, TensorSpec
from charkh.runtimes.pickled import PickledRuntime
from charkh.testing.runtimes import ApartRuntimeSuite, Sample, Touch

ROWS = np.linspace(-1, 1, 24).reshape(12, 2)
SIGNATURE = Signature(
    inputs=(TensorSpec(name="x", datatype="FP64"), TensorSpec(name="z", datatype="FP64")),
    outputs=(
        TensorSpec(name="predict", datatype="INT64"),
        TensorSpec(name="predict_proba", datatype="FP64", shape=(-1, 2)),
    ),
)


@cache
def model() -> LogisticRegression:
    return LogisticRegression().fit(ROWS, [0, 1] * 6)


class TestPickledRuntime(ApartRuntimeSuite):
    def make(self) -> PickledRuntime:
        return PickledRuntime()

    def sample(self) -> Sample:
        answers = {"predict": model().predict(ROWS), "predict_proba": model().predict_proba(ROWS)}
        return Sample(model(), SIGNATURE, {"x": ROWS[:, 0], "z": ROWS[:, 1]}, answers)

    def files(self) -> Mapping[str, bytes]:
        return {"model.pkl": pickle.dumps(model())}

    def hostile(self, marker: Path) -> Mapping[str, Mapping[str, bytes]]:
        pickled = pickle.dumps(Touch(marker))
        return {
            "pickle": {"model.pkl": pickled},
            "in gzip": {"model.joblib": gzip.compress(pickled)},
            "behind a good one": {"model.pkl": pickle.dumps(model()) + pickled},
            "two of them": {"a.pkl": pickled, "b.pkl": pickled},
            "something else": {"model.pkl": b"\x93NUMPY"},
        }

    def broken(self) -> Mapping[str, Mapping[str, bytes]]:
        return {"empty": {"model.pkl": b""}, "no estimator": {"model.pkl": pickle.dumps({"a": 1})}}
