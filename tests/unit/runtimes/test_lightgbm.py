"""The LightGBM runtime: the suite of the port, and what only this framework can do wrong."""

import pickle
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from charkh.core.errors import Invalid
from charkh.ports.runtimes import Signature, TensorSpec
from charkh.runtimes.lightgbm import LABELS, LightgbmRuntime
from charkh.testing.runtimes import RuntimeSuite, Sample, Touch, disguises

RANDOM = np.random.default_rng(3)
ROWS = RANDOM.normal(size=(120, 3))
TRUTH = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(np.int64)
INPUTS = tuple(TensorSpec(name=name, datatype="FP64") for name in "abc")
COLUMNS = {name: ROWS[:, place] for place, name in enumerate("abc")}
SETTINGS = {"n_estimators": 5, "num_leaves": 4, "verbose": -1, "n_jobs": 1}
PREDICT = TensorSpec(name="predict", datatype="FP64")


@cache
def regressor() -> lightgbm.Booster:
    data = lightgbm.Dataset(ROWS, ROWS[:, 0] - ROWS[:, 1])
    return lightgbm.train({"num_leaves": 4, "verbose": -1, "num_threads": 1}, data, 5)


class TestLightgbmRuntime(RuntimeSuite):
    def make(self) -> LightgbmRuntime:
        return LightgbmRuntime()

    def sample(self) -> Sample:
        answers = {"predict": regressor().predict(ROWS, num_threads=1)}
        return Sample(regressor(), Signature(inputs=INPUTS, outputs=(PREDICT,)), COLUMNS, answers)

    def hostile(self, files: Mapping[str, bytes], marker: Path) -> Mapping[str, Mapping[str, bytes]]:
        (name, data), *_ = files.items()
        pickled = pickle.dumps(Touch(marker))
        return {
            **disguises(files, marker),
            "odd child": {name: data.replace(b"left_child=", b"left_child=99999 ", 1)},
            "labels that are code": {name: data, LABELS: pickled},
        }


@pytest.mark.parametrize("labels", [np.array([3, 7]), np.array(["late", "on time"])], ids=["numbers", "texts"])
def test_a_classifier_answers_with_its_own_labels(labels: np.ndarray) -> None:
    model = lightgbm.LGBMClassifier(**SETTINGS).fit(ROWS, labels[TRUTH])
    runtime = LightgbmRuntime()
    answers = runtime.load(runtime.save(model), Signature(inputs=INPUTS, outputs=())).predict(COLUMNS)
    assert answers["predict"].tolist() == model.predict(ROWS).tolist()
    np.testing.assert_array_equal(answers["predict_proba"], model.predict_proba(ROWS))


def test_three_classes() -> None:
    three = RANDOM.integers(0, 3, 120)
    model = lightgbm.LGBMClassifier(**SETTINGS).fit(ROWS, three)
    runtime = LightgbmRuntime()
    answers = runtime.load(runtime.save(model), Signature(inputs=INPUTS, outputs=())).predict(COLUMNS)
    np.testing.assert_array_equal(answers["predict_proba"], model.predict_proba(ROWS))


def test_what_is_not_fitted_is_said() -> None:
    with pytest.raises(Invalid) as raised:
        LightgbmRuntime().save(lightgbm.LGBMRegressor())
    assert raised.value.hint == "Fit it first."
