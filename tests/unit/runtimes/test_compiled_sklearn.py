"""Graphs of scikit-learn models answer as the estimators do, at thresholds and ties too."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from charkh.core.errors import Invalid
from charkh.models.example import example_tensors, input_specs, output_specs
from charkh.models.parity import boundary_rows, compare, edge_rows
from charkh.ports.runtimes import Signature
from charkh.runtimes.compiled_sklearn import compile_sklearn
from charkh.runtimes.onnx import OnnxRuntime
from charkh.runtimes.sklearn import SklearnRuntime

DRAW = np.random.default_rng(1)
ROWS = DRAW.normal(size=(80, 3))
LABELS = (ROWS @ [1.0, -1.0, 0.5] > 0).astype(int)
WORDS = np.where(LABELS > 0, "late", "on time")
NUMBERS = ROWS @ [1.0, 2.0, 3.0]
GAPS = np.where(DRAW.random(ROWS.shape) < 0.2, np.nan, ROWS)


def pipeline(*steps: Any) -> Any:
    return Pipeline([(f"step{place}", step) for place, step in enumerate(steps)])


def both(estimator: Any, example: object) -> tuple[Any, Any, Signature]:
    """The original and the compiled predictor, and their signature."""
    runtime = SklearnRuntime()
    files = runtime.save(estimator)
    tensors = example_tensors(example)
    asked = Signature(inputs=input_specs(tensors), outputs=())
    signature = Signature(inputs=asked.inputs, outputs=output_specs(runtime.load(files, asked).predict(tensors)))
    graph = compile_sklearn(files, signature)
    return runtime.load(files, signature), OnnxRuntime().load({"model.onnx": graph}, signature), signature


def thresholds_of(boosted: Any) -> Any:
    exact = np.unique([node["num_threshold"] for row in boosted._predictors for tree in row for node in tree.nodes])
    return exact[np.isfinite(exact) & (exact != 0)]


@pytest.mark.parametrize(
    ("estimator", "rows", "target"),
    [
        (ExtraTreesClassifier(30, random_state=0), ROWS, LABELS),
        (ExtraTreesClassifier(8, random_state=0), ROWS, LABELS + (ROWS[:, 1] > 1)),
        (DecisionTreeClassifier(random_state=0), ROWS, WORDS),
        (GradientBoostingClassifier(n_estimators=5), ROWS, LABELS),
        (RandomForestRegressor(8, random_state=0), ROWS, NUMBERS),
        (HistGradientBoostingClassifier(max_iter=10, min_samples_leaf=3), GAPS, WORDS),
        (HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=3), GAPS, LABELS + (ROWS[:, 1] > 1)),
        (HistGradientBoostingRegressor(max_iter=10, min_samples_leaf=3), GAPS, NUMBERS),
        (Ridge(), ROWS, NUMBERS),
        (LogisticRegression(), ROWS, LABELS > 0),
        (pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()), GAPS, WORDS),
    ],
    ids=lambda each: type(each).__name__ if hasattr(each, "fit") else "",
)
@pytest.mark.parametrize("columns", [False, True])
def test_both_forms_answer_alike(estimator: Any, rows: Any, target: Any, columns: bool) -> None:
    estimator.fit(rows, target)
    example = {f"c{place}": rows[:, place] for place in range(3)} if columns else rows
    original, compiled, signature = both(estimator, example)
    tensors = example_tensors(example)
    asked = [tensors, edge_rows(tensors, signature.inputs), boundary_rows(tensors, original.predict)]
    for each in asked:
        if each:
            first, second = original.predict(each), compiled.predict(each)
            assert compare(first, second).passed
            assert [value.dtype for value in first.values()] == [value.dtype for value in second.values()]


def test_columns_are_taken_by_name_in_any_order() -> None:
    frame = pl.DataFrame({"wind": ROWS[:, 0], "hour": ROWS[:, 1], "place": WORDS})
    parts = [("n", StandardScaler(), ["wind", "hour"]), ("t", OneHotEncoder(handle_unknown="ignore"), ["place"])]
    model = pipeline(ColumnTransformer(parts), LogisticRegression()).fit(frame, LABELS)
    original, compiled, signature = both(model, frame.select("place", "hour", "wind"))
    rows = edge_rows(example_tensors(frame), signature.inputs)
    assert compare(original.predict(rows), compiled.predict(rows)).passed


def test_a_frame_in_another_order_is_put_in_the_estimators() -> None:
    frame = pl.DataFrame({"a": ROWS[:, 0], "b": ROWS[:, 1]})
    original, compiled, _ = both(DecisionTreeClassifier(random_state=0).fit(frame, LABELS), frame.select("b", "a"))
    rows = example_tensors(frame)
    assert compare(original.predict(rows), compiled.predict(rows)).passed


def test_boosted_histograms_meet_double_thresholds_beside_texts() -> None:
    frame = pl.DataFrame({"wind": ROWS[:, 0], "gust": GAPS[:, 1], "place": WORDS})
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("t", encoder, ["place"])], remainder="passthrough")
    boosted = HistGradientBoostingClassifier(max_iter=20, min_samples_leaf=3)
    model = pipeline(columns, boosted).fit(frame, (ROWS[:, 0] > 0.1) ^ (ROWS[:, 2] > 1))
    original, compiled, _ = both(model, frame)
    exact = thresholds_of(boosted)
    # A threshold in single precision lies on the other side of one of its neighbours.
    near = np.concatenate([exact, np.nextafter(exact, -np.inf), np.nextafter(exact, np.inf)])
    rows = {
        "wind": near,
        "gust": near[::-1].copy(),
        "place": np.array(["late", "unseen"] * len(near), object)[: len(near)],
    }
    assert len(near) > 30
    assert compare(original.predict(rows), compiled.predict(rows)).passed


def test_boosted_histograms_of_single_precision_meet_single_thresholds() -> None:
    single = ROWS.astype(np.float32)
    boosted = HistGradientBoostingClassifier(max_iter=20, min_samples_leaf=3)
    original, compiled, _ = both(boosted.fit(single, LABELS), single)
    near = thresholds_of(boosted).astype(np.float32)
    around = np.concatenate([np.nextafter(near, np.float32(way)) for way in (-9, 9)] + [near])
    rows = {"input": np.stack([around] * 3, axis=1)}
    assert compare(original.predict(rows), compiled.predict(rows)).passed


def test_texts_that_may_be_missing_are_not_compiled() -> None:
    frame = pl.DataFrame({"place": ["a", "b", None, "a"]})
    model = pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(frame, [0, 1, 0, 1])
    with pytest.raises(Invalid, match="may be missing"):
        both(model, frame)
