"""The XGBoost runtime: the suite of the port, and what only this framework can do wrong."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xgboost

from charkh.core.errors import Denied, Invalid
from charkh.ports.runtimes import Signature, TensorSpec
from charkh.runtimes.xgboost import XgboostRuntime
from charkh.testing.runtimes import RuntimeSuite, Sample, disguises

RANDOM = np.random.default_rng(3)
ROWS = RANDOM.normal(size=(60, 3)).astype(np.float32)
TRUTH = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(np.int64)
INPUTS = tuple(TensorSpec(name=name, datatype="FP32") for name in "abc")
COLUMNS = {name: ROWS[:, place] for place, name in enumerate("abc")}
BOTH = (TensorSpec(name="predict", datatype="INT64"), TensorSpec(name="predict_proba", datatype="FP32", shape=(-1, 2)))


@cache
def classifier() -> xgboost.XGBClassifier:
    return xgboost.XGBClassifier(n_estimators=5, max_depth=3, n_jobs=1).fit(ROWS, TRUTH)


class TestXgboostRuntime(RuntimeSuite):
    def make(self) -> XgboostRuntime:
        return XgboostRuntime()

    def sample(self) -> Sample:
        answers = {"predict": classifier().predict(ROWS), "predict_proba": classifier().predict_proba(ROWS)}
        return Sample(classifier(), Signature(inputs=INPUTS, outputs=BOTH), COLUMNS, answers)

    def hostile(self, files: Mapping[str, bytes], marker: Path) -> Mapping[str, Mapping[str, bytes]]:
        (name, data), *_ = files.items()
        return {
            **disguises(files, marker),
            "odd child": {name: _with_child(data, 10**6)},
        }


def _with_child(data: bytes, child: int) -> bytes:
    document = json.loads(data)
    document["learner"]["gradient_booster"]["model"]["trees"][0]["left_children"][0] = child
    return json.dumps(document).encode()


def test_three_classes_and_a_regression_answer_as_xgboost_does() -> None:
    three = RANDOM.integers(0, 3, 60)
    model = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(ROWS, three)
    runtime = XgboostRuntime()
    answers = runtime.load(runtime.save(model), Signature(inputs=INPUTS, outputs=())).predict(COLUMNS)
    np.testing.assert_array_equal(answers["predict"], model.predict(ROWS))
    np.testing.assert_array_equal(answers["predict_proba"], model.predict_proba(ROWS))
    line = xgboost.XGBRegressor(n_estimators=3, n_jobs=1).fit(ROWS, ROWS[:, 0])
    answers = runtime.load(runtime.save(line), Signature(inputs=INPUTS, outputs=())).predict(COLUMNS)
    np.testing.assert_array_equal(answers["predict"], line.predict(ROWS))


def test_early_stopping_is_kept_and_columns_go_by_their_names() -> None:
    booster = xgboost.train(
        {"max_depth": 2, "nthread": 1},
        xgboost.DMatrix(ROWS, ROWS[:, 0], feature_names=["a", "b", "c"]),
        30,
        evals=[(xgboost.DMatrix(ROWS, RANDOM.normal(size=60), feature_names=["a", "b", "c"]), "noise")],
        early_stopping_rounds=2,
        verbose_eval=False,
    )
    runtime = XgboostRuntime()
    turned = Signature(inputs=INPUTS[::-1], outputs=())
    answers = runtime.load(runtime.save(booster), turned).predict(COLUMNS)
    expected = booster.inplace_predict(ROWS, iteration_range=(0, booster.best_iteration + 1))
    np.testing.assert_array_equal(answers["predict"], expected)


def test_what_does_not_fit_is_said() -> None:
    runtime = XgboostRuntime()
    with pytest.raises(Invalid, match="fit") as raised:
        runtime.save(xgboost.XGBClassifier())
    assert raised.value.code == "model.not_saved"
    files = runtime.save(classifier())
    text = Signature(inputs=(TensorSpec(name="a", datatype="BYTES"),), outputs=())
    with pytest.raises(Invalid, match="text"):
        runtime.load(files, text)
    with pytest.raises(Denied, match="points outside"):
        runtime.load(
            {name: _with_child(data, -2) for name, data in files.items()}, Signature(inputs=INPUTS, outputs=())
        )
