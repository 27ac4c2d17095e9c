"""Two forms of one model are equal only where labels are the same and numbers are near."""

import numpy as np
import pytest

from charkh.core.errors import Invalid
from charkh.models.parity import Parity, compare, edge_rows
from charkh.ports.runtimes import TensorSpec


def test_numbers_may_differ_by_rounding_and_labels_may_not() -> None:
    scores = np.array([[0.25, 0.75], [0.5, 0.5]])
    near = compare({"p": scores}, {"p": (scores + 1e-7).astype(np.float32)})
    assert near.passed
    labels = compare({"y": np.array([1, 2, 3])}, {"y": np.array([1, 2, 4])})
    assert not labels.passed
    assert (labels.outputs[0].differing, labels.outputs[0].worst_row) == (1, 2)


def test_the_worst_row_is_kept_and_large_numbers_are_judged_relatively() -> None:
    original = np.array([1e6, 1.0, 2.0])
    found = compare({"y": original}, {"y": original + np.array([1.0, 0.5, 0.0])})
    assert not found.passed
    assert (found.outputs[0].differing, found.outputs[0].worst_row) == (1, 1)


def test_missing_equals_missing_and_nothing_else() -> None:
    gap = np.array([np.nan, np.inf])
    assert compare({"y": gap}, {"y": gap.copy()}).passed
    assert compare({"y": gap}, {"y": np.array([0.0, np.inf])}).outputs[0].worst == np.inf


@pytest.mark.parametrize("other", [{}, {"y": np.zeros((2, 1))}, {"y": np.zeros(2, np.int64)}])
def test_answers_that_cannot_be_compared_are_refused(other: dict[str, np.ndarray]) -> None:
    with pytest.raises(Invalid, match="'y'"):
        compare({"y": np.zeros(2)}, other)


def test_no_rows_prove_nothing() -> None:
    assert not compare({"y": np.zeros(0)}, {"y": np.zeros(0)}).passed
    assert not Parity(rows=3, tolerance=1e-5, outputs=()).passed


def test_edge_rows_hold_gaps_only_where_they_may_come_and_are_the_same_each_time() -> None:
    example = {"a": np.array([0.1, 0.2]), "b": np.array([0.1, np.nan]), "c": np.array(["x", "y"], object)}
    specs = tuple(
        TensorSpec(name=name, datatype="BYTES" if name == "c" else "FP64", optional=name == "b") for name in example
    )
    made, again = edge_rows(example, specs), edge_rows(example, specs)
    assert all(np.array_equal(made[name], again[name], equal_nan=name != "c") for name in example)
    assert not np.isnan(made["a"]).any()
    assert np.isnan(made["b"]).any()
    assert set(made["c"].tolist()) > {"x", "y"}


def test_edge_rows_of_a_matrix_keep_its_columns_apart() -> None:
    matrix = np.array([[1.0, 100.0], [2.0, 200.0]], np.float32)
    made = edge_rows({"input": matrix}, (TensorSpec(name="input", datatype="FP32", shape=(-1, 2)),), rows=64)["input"]
    assert made.shape == (64, 2)
    assert made.dtype == np.float32
    assert 150.0 in made[:, 1]
    assert 150.0 not in made[:, 0]
