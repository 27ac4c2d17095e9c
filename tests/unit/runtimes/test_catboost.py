"""The CatBoost runtime: the suite of the port, and what only this framework can do wrong."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import catboost
import numpy as np
import pytest

from charkh.core.errors import Invalid
from charkh.ports.runtimes import Signature, TensorSpec
from charkh.runtimes.catboost import CatboostRuntime
from charkh.testing.runtimes import RuntimeSuite, Sample, disguises

RANDOM = np.random.default_rng(3)
ROWS = RANDOM.normal(size=(80, 3)).astype(np.float32)
TRUTH = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(np.int64)
INPUTS = tuple(TensorSpec(name=name, datatype="FP32") for name in "abc")
COLUMNS = {name: ROWS[:, place] for place, name in enumerate("abc")}
SETTINGS = {"iterations": 4, "depth": 2, "verbose": False, "allow_writing_files": False, "thread_count": 1}
BOTH = (TensorSpec(name="predict", datatype="INT64"), TensorSpec(name="predict_proba", datatype="FP64", shape=(-1, 2)))


@cache
def classifier() -> catboost.CatBoostClassifier:
    return catboost.CatBoostClassifier(**SETTINGS).fit(ROWS, TRUTH)


class TestCatboostRuntime(RuntimeSuite):
    def make(self) -> CatboostRuntime:
        return CatboostRuntime()

    def sample(self) -> Sample:
        answers = {"predict": classifier().predict(ROWS), "predict_proba": classifier().predict_proba(ROWS)}
        return Sample(classifier(), Signature(inputs=INPUTS, outputs=BOTH), COLUMNS, answers)

    def hostile(self, files: Mapping[str, bytes], marker: Path) -> Mapping[str, Mapping[str, bytes]]:
        (name, data), *_ = files.items()
        return {
            **disguises(files, marker),
            "another length": {name: data[:4] + bytes([data[4] ^ 1]) + data[5:]},
        }


def test_a_regression_and_labels_that_are_texts() -> None:
    runtime = CatboostRuntime()
    line = catboost.CatBoostRegressor(**SETTINGS).fit(ROWS, ROWS[:, 0])
    answers = runtime.load(runtime.save(line), Signature(inputs=INPUTS, outputs=())).predict(COLUMNS)
    np.testing.assert_array_equal(answers["predict"], line.predict(ROWS))
    named = catboost.CatBoostClassifier(**SETTINGS).fit(ROWS, np.array(["late", "on time"])[TRUTH])
    answers = runtime.load(runtime.save(named), Signature(inputs=INPUTS, outputs=())).predict(COLUMNS)
    assert answers["predict"].tolist() == named.predict(ROWS).tolist()


def test_what_is_not_fitted_is_said() -> None:
    with pytest.raises(Invalid) as raised:
        CatboostRuntime().save(catboost.CatBoostRegressor())
    assert raised.value.hint == "Fit it first."
