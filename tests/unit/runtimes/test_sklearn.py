"""The scikit-learn runtime on real pipelines, and on files that try to run code."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from charkh.core.errors import Denied, Invalid
from charkh.ports.runtimes import ModelRuntime, Signature, TensorSpec
from charkh.runtimes.sklearn import FILE, SklearnRuntime
from charkh.testing.runtimes import RuntimeSuite, Sample, Touch, zip_of

RUNTIME = SklearnRuntime()


@cache
def flights() -> tuple[pl.DataFrame, np.ndarray[Any, Any]]:
    """Numbers with gaps, whole numbers, texts with gaps and booleans; and a label that depends on them."""
    random = np.random.default_rng(7)
    rows = 300
    frame = pl.DataFrame(
        {
            "delay": random.normal(size=rows),
            "hour": random.integers(0, 24, rows),
            "origin": random.choice(["EWR", "JFK", "LGA"], rows),
            "night": random.choice([True, False], rows),
        }
    )
    label = (frame["hour"].to_numpy() / 12 + frame["delay"].to_numpy() + random.normal(size=rows) > 1).astype(np.int64)
    frame = frame.with_columns(
        pl.when(pl.col("delay") > 1.5).then(float("nan")).otherwise("delay").alias("delay"),
    )
    return frame, label


SPECS = {
    "delay": TensorSpec(name="delay", datatype="FP64", optional=True),
    "hour": TensorSpec(name="hour", datatype="INT64"),
    "origin": TensorSpec(name="origin", datatype="BYTES"),
    "night": TensorSpec(name="night", datatype="BOOL"),
}


def signature_of(*names: str) -> Signature:
    return Signature(inputs=tuple(SPECS[name] for name in names), outputs=())


def tensors_of(frame: pl.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
    return {
        name: np.asarray(frame[name].to_numpy(), object if frame[name].dtype == pl.String else None)
        for name in frame.columns
    }


def prepared(last: BaseEstimator) -> Pipeline:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer(
        [
            ("one", OneHotEncoder(handle_unknown="ignore"), ["origin"]),
            ("ordinal", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["origin"]),
            ("numbers", numbers, ["delay", "hour"]),
        ],
        remainder="passthrough",
    )
    return make_pipeline(columns, last)


ALL = ("delay", "hour", "origin", "night")
MODELS: dict[str, tuple[Callable[[], BaseEstimator], tuple[str, ...]]] = {
    "logistic": (lambda: prepared(LogisticRegression()), ALL),
    "forest": (lambda: prepared(RandomForestClassifier(10, n_jobs=2, random_state=0)), ALL),
    "extra trees": (lambda: prepared(ExtraTreesClassifier(10, random_state=0)), ALL),
    "tree": (lambda: prepared(DecisionTreeClassifier(max_depth=4)), ALL),
    "gradient boosting": (lambda: prepared(GradientBoostingClassifier(n_estimators=10)), ALL),
    "gradient boosting numbers": (lambda: prepared(GradientBoostingRegressor(n_estimators=10)), ALL),
    "gradient boosting from zero": (lambda: prepared(GradientBoostingRegressor(n_estimators=5, init="zero")), ALL),
    "histogram": (lambda: HistGradientBoostingClassifier(max_iter=20), ("delay", "hour", "night")),
    "histogram numbers": (lambda: HistGradientBoostingRegressor(max_iter=20), ("delay", "hour")),
    "histogram poisson": (lambda: HistGradientBoostingRegressor(loss="poisson", max_iter=5), ("delay", "hour")),
    "histogram categories": (
        lambda: HistGradientBoostingClassifier(max_iter=20, categorical_features=["hour"]),
        ("delay", "hour"),
    ),
    "histogram encoded": (
        lambda: make_pipeline(
            ColumnTransformer([("origin", OrdinalEncoder(), ["origin"])], remainder="passthrough"),
            HistGradientBoostingClassifier(max_iter=20, categorical_features=[0]),
        ),
        ALL,
    ),
    "calibrated": (lambda: CalibratedClassifierCV(prepared(LogisticRegression()), cv=3), ALL),
    "isotonic numbers": (lambda: make_pipeline(FunctionTransformer(np.log1p), LinearRegression()), ("hour",)),
    "ridge": (lambda: prepared(Ridge()), ALL),
    "bayes": (lambda: prepared(GaussianNB()), ALL),
    "descent": (lambda: prepared(SGDClassifier(loss="log_loss", random_state=0)), ALL),
    "network": (lambda: prepared(MLPClassifier((4,), max_iter=3, early_stopping=True, random_state=0)), ALL),
    "voting": (lambda: prepared(VotingClassifier([("a", GaussianNB()), ("b", LogisticRegression())])), ALL),
    "stacking": (lambda: prepared(StackingClassifier([("a", GaussianNB())], cv=2)), ALL),
    "bagging": (lambda: prepared(BaggingClassifier(n_estimators=3, max_features=0.5, random_state=0)), ALL),
    "boosted stumps": (lambda: prepared(AdaBoostClassifier(n_estimators=3, random_state=0)), ALL),
    "selected": (lambda: prepared(Pipeline([("best", SelectKBest(k=3)), ("last", LogisticRegression())])), ALL),
    "polars between": (lambda: prepared(LogisticRegression()).set_output(transform="default"), ALL),
    "forest of numbers": (
        lambda: make_pipeline(SimpleImputer(), RandomForestRegressor(5, random_state=0)),
        ("delay", "hour", "night"),
    ),
}


def fitted(name: str) -> tuple[Any, pl.DataFrame, Signature]:
    make, columns = MODELS[name]
    frame, label = flights()
    frame = frame.select(columns)
    estimator: Any = make()
    if name == "network":
        with pytest.warns(Warning, match="Maximum iterations"):
            estimator.fit(frame, label)
    else:
        estimator.fit(frame, label)
    return estimator, frame, signature_of(*columns)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_pipeline_survives_and_answers_as_before(name: str) -> None:
    estimator, frame, signature = fitted(name)
    files = RUNTIME.save(estimator)
    assert RUNTIME.inspect(files).level == "listed", RUNTIME.inspect(files).reasons
    predictor = RUNTIME.load(files, signature)
    answers = predictor.predict(tensors_of(frame))
    np.testing.assert_array_equal(answers["predict"], estimator.predict(frame))
    assert ("predict_proba" in answers) == hasattr(estimator, "predict_proba")
    if "predict_proba" in answers:
        np.testing.assert_allclose(answers["predict_proba"], estimator.predict_proba(frame), rtol=1e-12)
    one = predictor.predict(tensors_of(frame[:1]))
    np.testing.assert_allclose(one["predict"], answers["predict"][:1], rtol=1e-12)


class TestSklearnRuntime(RuntimeSuite):
    def make(self) -> ModelRuntime:
        return RUNTIME

    def sample(self) -> Sample:
        estimator, frame, signature = fitted("logistic")
        answers = {"predict": estimator.predict(frame), "predict_proba": estimator.predict_proba(frame)}
        outputs = (
            TensorSpec(name="predict", datatype="INT64"),
            TensorSpec(name="predict_proba", datatype="FP64", shape=(-1, 2)),
        )
        return Sample(estimator, Signature(inputs=signature.inputs, outputs=outputs), tensors_of(frame), answers)

    def hostile(self, files: Mapping[str, bytes], marker: Path) -> Mapping[str, Mapping[str, bytes]]:
        payload = pickle.dumps(Touch(marker))
        compressed = io.BytesIO()
        joblib.dump(Touch(marker), compressed, compress=("zlib", 3))
        array = io.BytesIO()
        np.save(array, np.array([Touch(marker)], object), allow_pickle=True)
        good = files[FILE]
        disguises = {
            "joblib": compressed.getvalue(),
            "gzip": gzip.compress(payload),
            "bzip2": bz2.compress(payload),
            "xz": lzma.compress(payload),
            "raw zlib": zlib.compress(payload),
            "torch zip": zip_of({"archive/data.pkl": payload, "archive/version": b"3"}),
            "numpy object array": array.getvalue(),
            "pickle then skops": payload + good,
            "memo names": _memo_pickle(marker),
            "protocol 0 global": f"cbuiltins\nopen\n(V{marker}\nVw\ntR.".encode(),
            "instance opcode": f"(V{marker}\nVw\nibuiltins\nopen\n.".encode(),
            "pickle in a member": zip_of({"schema.json": b"{}", "model.pkl": payload}),
            "function": _forged(good, "FunctionNode", "builtins", "open"),
            "object": _forged(good, "ObjectNode", "subprocess", "Popen"),
            "type": _forged(good, "TypeNode", "builtins", "eval"),
            "constructor": _constructor(good, marker),
            "operator": _operator(good),
            "method": _method(good),
            "partial": _partial(good, marker),
            "old protocol": _with_protocol(good, 0),
        }
        return {name: {FILE: data} for name, data in disguises.items()}


def _memo_pickle(marker: Path) -> bytes:
    """`open` fetched through the memo, so that no two texts stand before STACK_GLOBAL."""
    path = str(marker).encode()
    return (
        b"\x80\x04\x8c\x08builtins\x94\x8c\x04open\x940"
        + b"0h\x00h\x01\x93\x8c"
        + bytes([len(path)])
        + path
        + b"\x8c\x01w\x86R."
    )


def _rewritten(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members["schema.json"])
    change(schema)
    return zip_of({**members, "schema.json": json.dumps(schema).encode()})


def _set_attribute(data: bytes, node: dict[str, Any]) -> bytes:
    return _rewritten(data, lambda schema: schema["content"]["content"].update(memory=node))


def _node(loader: str, module: str, name: str, **more: object) -> dict[str, Any]:
    return {"__class__": name, "__module__": module, "__loader__": loader, "__id__": 987654, **more}


def _texts(*values: str) -> dict[str, Any]:
    items = [_node("JsonNode", "builtins", "str", content=json.dumps(value), is_json=True) for value in values]
    return _node(
        "TupleNode", "builtins", "tuple", content=[{**item, "__id__": 90 + at} for at, item in enumerate(items)]
    )


def _forged(data: bytes, loader: str, module: str, name: str) -> bytes:
    return _set_attribute(data, _node(loader, module, name))


def _constructor(data: bytes, marker: Path) -> bytes:
    return _set_attribute(data, _node("ConstructorFromReduceNode", "_io", "FileIO", content=_texts(str(marker), "w")))


def _operator(data: bytes) -> bytes:
    return _set_attribute(data, _node("OperatorFuncNode", "operator", "methodcaller", attrs=_texts("system")))


def _method(data: bytes) -> bytes:
    owner = _node("ObjectNode", "sklearn.pipeline", "Pipeline")
    return _set_attribute(
        data, _node("MethodNode", "sklearn.pipeline", "Pipeline", content={"func": "fit", "obj": owner})
    )


def _partial(data: bytes, marker: Path) -> bytes:
    content = {
        "func": {**_node("FunctionNode", "numpy", "log1p"), "__id__": 5},
        "args": _texts(str(marker)),
        "kwds": {**_node("DictNode", "builtins", "dict", content={}), "key_types": _texts(), "__id__": 6},
        "namespace": {**_node("JsonNode", "builtins", "str", content="null", is_json=True), "__id__": 7},
    }
    return _set_attribute(data, _node("PartialNode", "functools", "partial", content=content))


def _with_protocol(data: bytes, protocol: int) -> bytes:
    return _rewritten(data, lambda schema: schema.update(protocol=protocol))


@pytest.fixture(scope="module")
def saved() -> dict[str, bytes]:
    return dict(RUNTIME.save(fitted("logistic")[0]))


def test_an_archive_rewritten_without_change_is_still_listed(saved: dict[str, bytes]) -> None:
    assert RUNTIME.inspect({FILE: _rewritten(saved[FILE], lambda schema: None)}).level == "listed"


def test_the_suffix_does_not_matter(saved: dict[str, bytes]) -> None:
    assert RUNTIME.inspect({"weights.pkl": saved[FILE]}).level == "listed"


def test_two_members_of_one_name_are_code(saved: dict[str, bytes]) -> None:
    out = io.BytesIO(saved[FILE])
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(out, "a") as archive:
        archive.writestr("schema.json", b"{}")
    assert "two members of the archive have one name" in str(RUNTIME.inspect({FILE: out.getvalue()}).reasons)


def test_a_member_that_the_schema_does_not_name_is_code(saved: dict[str, bytes]) -> None:
    out = io.BytesIO(saved[FILE])
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("more.npy", b"x")
    assert "more.npy" in str(RUNTIME.inspect({FILE: out.getvalue()}).reasons)


def test_disagreeing_headers_are_code(saved: dict[str, bytes]) -> None:
    data = saved[FILE].replace(b"schema.json", b"schemb.json", 1)
    assert "headers" in str(RUNTIME.inspect({FILE: data}).reasons)


def test_an_archive_that_unpacks_to_too_much_is_code() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b" " * 5_000_000)
    assert "unpacks" in str(RUNTIME.inspect({FILE: out.getvalue()}).reasons)


def test_a_schema_too_deep_to_parse_is_code() -> None:
    deep = b'{"protocol": 2, "content": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    assert RUNTIME.inspect({FILE: zip_of({"schema.json": deep})}).level == "code"


def test_an_attribute_between_underscores_is_code(saved: dict[str, bytes]) -> None:
    def change(schema: dict[str, Any]) -> None:
        content = schema["content"]["content"]
        content["__class__"] = content["steps"]

    assert "underscores" in str(RUNTIME.inspect({FILE: _rewritten(saved[FILE], change)}).reasons)


def test_a_forged_bit_generator_is_code() -> None:
    state = _node("DictNode", "builtins", "dict", content={"bit_generator": {"content": '"seed"'}}, key_types=_texts())
    node = _node("RandomGeneratorNode", "numpy.random._generator", "Generator", content={"bit_generator": state})
    data = _set_attribute(RUNTIME.save(fitted("logistic")[0])[FILE], node)
    assert "bit generator" in str(RUNTIME.inspect({FILE: data}).reasons)


def test_a_vector_machine_is_denied_when_it_is_saved() -> None:
    frame, label = flights()
    with pytest.raises(Denied, match="SVC"):
        RUNTIME.save(SVC().fit(frame.select("hour"), label))


def test_a_lambda_is_denied_when_it_is_saved() -> None:
    frame, label = flights()
    estimator = make_pipeline(FunctionTransformer(lambda rows: rows), LogisticRegression())
    with pytest.raises(Denied):
        RUNTIME.save(estimator.fit(frame.select("hour"), label))


def _with_arrays(data: bytes, change: Callable[[np.ndarray[Any, Any]], None], field: str) -> bytes:
    """The file with every array that has `field` changed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name, content in members.items():
        if name.endswith(".npy"):
            array = np.load(io.BytesIO(content), allow_pickle=False)
            if array.dtype.names and field in array.dtype.names:
                change(array)
                out = io.BytesIO()
                np.save(out, array, allow_pickle=False)
                members[name] = out.getvalue()
    return zip_of(members)


def _put(field: str, value: int) -> Callable[[np.ndarray[Any, Any]], None]:
    def change(array: np.ndarray[Any, Any]) -> None:
        array[field][0] = value

    return change


@pytest.mark.parametrize("model", ["tree", "forest", "gradient boosting", "bagging", "boosted stumps"])
@pytest.mark.parametrize(
    ("field", "value"),
    [("left_child", 10**9), ("right_child", 0), ("left_child", -7), ("feature", 10**6), ("feature", -3)],
)
def test_a_tree_that_points_outside_is_denied(model: str, field: str, value: int) -> None:
    estimator, _frame, signature = fitted(model)
    files = {FILE: _with_arrays(RUNTIME.save(estimator)[FILE], _put(field, value), field)}
    assert RUNTIME.inspect(files).level == "listed"
    with pytest.raises(Denied, match="outside its arrays"):
        RUNTIME.load(files, signature)


@pytest.mark.parametrize("model", ["histogram", "histogram encoded", "histogram categories"])
@pytest.mark.parametrize(
    ("field", "value"), [("left", 4_000_000_000), ("right", 0), ("feature_idx", 10**6), ("feature_idx", -1)]
)
def test_a_histogram_tree_that_points_outside_is_denied(model: str, field: str, value: int) -> None:
    estimator, _frame, signature = fitted(model)
    files = {FILE: _with_arrays(RUNTIME.save(estimator)[FILE], _put(field, value), field)}
    with pytest.raises(Denied, match="outside its arrays"):
        RUNTIME.load(files, signature)


def test_a_histogram_tree_that_invents_a_categorical_split_is_denied() -> None:
    estimator, _frame, signature = fitted("histogram")
    data = _with_arrays(RUNTIME.save(estimator)[FILE], _put("is_categorical", 1), "is_categorical")
    with pytest.raises(Denied, match="categories"):
        RUNTIME.load({FILE: data}, signature)


@pytest.mark.parametrize("count", ["0", "-5", "1"])
def test_a_tree_that_hides_nodes_is_denied(count: str) -> None:
    estimator, _frame, signature = fitted("tree")

    def hide(schema: dict[str, Any]) -> None:
        stack: list[Any] = [schema]
        while stack:
            value = stack.pop()
            if isinstance(value, dict):
                if "node_count" in value:
                    value["node_count"]["content"] = count
                stack.extend(value.values())
            elif isinstance(value, list):
                stack.extend(value)

    with pytest.raises(Denied, match="outside its arrays"):
        RUNTIME.load({FILE: _rewritten(RUNTIME.save(estimator)[FILE], hide)}, signature)


def test_texts_may_come_as_str_bytes_or_numpy_texts() -> None:
    estimator, frame, signature = fitted("logistic")
    predictor = RUNTIME.load(RUNTIME.save(estimator), signature)
    tensors = tensors_of(frame)
    expected = predictor.predict(tensors)["predict_proba"]
    texts: list[str] = frame["origin"].to_list()
    for column in (np.array([text.encode() for text in texts], object), np.array(texts, "U3"), np.array(texts, "S3")):
        np.testing.assert_array_equal(predictor.predict({**tensors, "origin": column})["predict_proba"], expected)


def test_a_missing_text_is_null_where_the_signature_allows_it() -> None:
    frame, label = flights()
    gaps = frame.select("origin").with_columns(
        pl.when(pl.col("origin") == "JFK").then(None).otherwise("origin").alias("origin")
    )
    estimator = make_pipeline(ColumnTransformer([("o", OneHotEncoder(), ["origin"])]), LogisticRegression()).fit(
        gaps, label
    )
    files = RUNTIME.save(estimator)
    optional = Signature(inputs=(TensorSpec(name="origin", datatype="BYTES", optional=True),), outputs=())
    column = np.array(frame["origin"].to_list(), object)
    for empty in ("", None):
        inputs = {"origin": np.where(column == "JFK", np.array(empty, object), column)}
        np.testing.assert_array_equal(RUNTIME.load(files, optional).predict(inputs)["predict"], estimator.predict(gaps))
    with pytest.raises(Invalid, match="missing"):
        RUNTIME.load(files, signature_of("origin")).predict({"origin": np.array(["LGA", None], object)})


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("hour", np.array([1.5])),
        ("hour", np.array(["a"], object)),
        ("night", np.array([1])),
        ("origin", np.array([3])),
        ("hour", np.array([[1]])),
        ("delay", np.array(["x"])),
    ],
)
def test_a_wrong_type_or_shape_is_invalid(column: str, value: np.ndarray[Any, Any]) -> None:
    estimator, frame, signature = fitted("logistic")
    predictor = RUNTIME.load(RUNTIME.save(estimator), signature)
    with pytest.raises(Invalid, match=column):
        predictor.predict({**tensors_of(frame[:1]), column: value})


def test_a_missing_number_is_invalid_where_the_signature_does_not_allow_it() -> None:
    estimator, _frame, _ = fitted("histogram numbers")
    strict = Signature(inputs=(TensorSpec(name="delay", datatype="FP64"), SPECS["hour"]), outputs=())
    predictor = RUNTIME.load(RUNTIME.save(estimator), strict)
    with pytest.raises(Invalid, match="delay"):
        predictor.predict({"delay": np.array([np.nan]), "hour": np.array([3])})


def test_what_the_estimator_refuses_is_invalid() -> None:
    estimator, frame, signature = fitted("histogram encoded")
    predictor = RUNTIME.load(RUNTIME.save(estimator), signature)
    with pytest.raises(Invalid, match="unknown categories"):
        predictor.predict({**tensors_of(frame[:1]), "origin": np.array(["NRT"], object)})


def test_columns_are_found_by_name_whatever_their_order() -> None:
    estimator, frame, signature = fitted("histogram")
    turned = Signature(inputs=signature.inputs[::-1], outputs=())
    predictor = RUNTIME.load(RUNTIME.save(estimator), turned)
    np.testing.assert_array_equal(predictor.predict(tensors_of(frame))["predict"], estimator.predict(frame))


def test_a_signature_without_a_trained_column_is_refused() -> None:
    estimator, _frame, _ = fitted("histogram")
    with pytest.raises(Invalid, match="night"):
        RUNTIME.load(RUNTIME.save(estimator), signature_of("delay", "hour"))


def test_an_output_that_the_estimator_does_not_give_is_refused() -> None:
    estimator, _frame, signature = fitted("ridge")
    outputs = (TensorSpec(name="predict_proba", datatype="FP64", shape=(-1, 2)),)
    with pytest.raises(Invalid, match="predict_proba"):
        RUNTIME.load(RUNTIME.save(estimator), Signature(inputs=signature.inputs, outputs=outputs))


def test_a_matrix_goes_in_as_it_is() -> None:
    frame, label = flights()
    matrix = frame.select("hour", "night").to_numpy().astype(float)
    estimator = LogisticRegression().fit(matrix, label)
    signature = Signature(inputs=(TensorSpec(name="input", datatype="FP64", shape=(-1, 2)),), outputs=())
    answers = RUNTIME.load(RUNTIME.save(estimator), signature).predict({"input": matrix})
    np.testing.assert_array_equal(answers["predict_proba"], estimator.predict_proba(matrix))


def test_a_matrix_goes_into_what_was_trained_on_named_columns_unless_it_selects_by_name() -> None:
    frame, label = flights()
    named = frame.select("hour", "night").cast(pl.Float64).to_pandas()
    signature = Signature(inputs=(TensorSpec(name="input", datatype="FP64", shape=(-1, 2)),), outputs=())
    estimator = LogisticRegression().fit(named, label)
    answers = RUNTIME.load(RUNTIME.save(estimator), signature).predict({"input": named.to_numpy()})
    np.testing.assert_array_equal(answers["predict_proba"], estimator.predict_proba(named))
    selecting = make_pipeline(ColumnTransformer([("scaled", StandardScaler(), ["hour"])]), LogisticRegression())
    with pytest.raises(Invalid, match="trained on 'hour'"):
        RUNTIME.load(RUNTIME.save(selecting.fit(named, label)), signature)


def test_texts_without_names_go_in_as_an_object_matrix() -> None:
    frame, label = flights()
    matrix = frame.select("origin", "hour").to_numpy().astype(object)
    estimator = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(matrix, label)
    answers = RUNTIME.load(RUNTIME.save(estimator), signature_of("origin", "hour")).predict(tensors_of(frame))
    np.testing.assert_array_equal(answers["predict"], estimator.predict(matrix))


def test_a_text_column_goes_in_as_texts() -> None:
    texts = ["late again", "on time", "late", "time"] * 5
    estimator = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0] * 5)
    signature = Signature(inputs=(TensorSpec(name="text", datatype="BYTES"),), outputs=())
    files = RUNTIME.save(estimator)
    assert RUNTIME.inspect(files).level == "listed", RUNTIME.inspect(files).reasons
    answers = RUNTIME.load(files, signature).predict({"text": np.array(texts, object)})
    np.testing.assert_array_equal(answers["predict"], estimator.predict(texts))


def test_text_labels_come_back_as_objects() -> None:
    frame, label = flights()
    estimator = HistGradientBoostingClassifier(max_iter=5).fit(frame.select("hour"), np.where(label, "late", "on time"))
    answer = RUNTIME.load(RUNTIME.save(estimator), signature_of("hour")).predict({"hour": np.array([1, 23])})
    assert answer["predict"].dtype == object
    assert set(answer["predict"]) <= {"late", "on time"}


def test_ties_are_settled_by_the_estimator() -> None:
    rows = np.array([[0.0], [0.0]])
    estimator = HistGradientBoostingClassifier(max_iter=1).fit(rows, [0, 1])
    signature = Signature(inputs=(TensorSpec(name="input", datatype="FP64", shape=(-1, 1)),), outputs=())
    answers = RUNTIME.load(RUNTIME.save(estimator), signature).predict({"input": rows})
    np.testing.assert_array_equal(answers["predict"], estimator.predict(rows))


def test_an_estimator_trained_on_pandas_is_asked_without_pandas(tmp_path: Path) -> None:
    frame, label = flights()
    table = pd.DataFrame({name: frame[name].to_list() for name in ALL})
    columns = ColumnTransformer(
        [
            ("texts", OneHotEncoder(handle_unknown="ignore"), make_column_selector(pattern="origin")),
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["delay", "hour"]),
        ]
    )
    estimator = make_pipeline(columns, LogisticRegression()).fit(table, label)
    (tmp_path / FILE).write_bytes(RUNTIME.save(estimator)[FILE])
    np.save(tmp_path / "expected.npy", estimator.predict_proba(table[:5]))
    frame[:5].write_parquet(tmp_path / "rows.parquet")
    (tmp_path / "ask.py").write_text(
        "import sys\n"
        "class NoPandas:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'pandas': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, NoPandas())\n"
        "import numpy as np, polars as pl\n"
        "from charkh.runtimes.sklearn import SklearnRuntime\n"
        "from charkh.ports.runtimes import Signature, TensorSpec\n"
        f"folder = {str(tmp_path)!r}\n"
        "rows = pl.read_parquet(folder + '/rows.parquet')\n"
        "kinds = {'delay': 'FP64', 'hour': 'INT64', 'origin': 'BYTES', 'night': 'BOOL'}\n"
        "specs = tuple(TensorSpec(name=n, datatype=k, optional=k == 'FP64') for n, k in kinds.items())\n"
        f"files = {{'{FILE}': open(folder + '/{FILE}', 'rb').read()}}\n"
        "asked = SklearnRuntime().load(files, Signature(inputs=specs, outputs=())).predict(\n"
        "    {n: rows[n].to_numpy() for n in rows.columns})\n"
        "np.testing.assert_allclose(asked['predict_proba'], np.load(folder + '/expected.npy'), rtol=1e-12)\n"
    )
    subprocess.run([sys.executable, str(tmp_path / "ask.py")], check=True)


def test_the_estimator_of_the_caller_is_left_as_it_was() -> None:
    estimator, frame, signature = fitted("histogram")
    RUNTIME.load(RUNTIME.save(estimator), signature).predict(tensors_of(frame))
    assert list(estimator.feature_names_in_) == frame.columns


def test_a_parallel_forest_answers_on_one_thread() -> None:
    estimator, frame, signature = fitted("forest")
    predictor = RUNTIME.load(RUNTIME.save(estimator), signature)
    before = threading.active_count()
    predictor.predict(tensors_of(frame[:2]))
    assert threading.active_count() == before
