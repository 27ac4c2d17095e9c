"""Signatures read from examples."""

import datetime
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.models.example import ExampleRequest, example_bytes, example_frame, example_tensors, input_specs

FRAME = pl.DataFrame(
    {
        "f": [1.5, 2.5],
        "single": pl.Series([1, 2], dtype=pl.Float32),
        "i": [1, 2],
        "short": pl.Series([1, 2], dtype=pl.Int16),
        "byte": pl.Series([1, 2], dtype=pl.UInt8),
        "wide": pl.Series([1, 2], dtype=pl.UInt32),
        "b": [True, False],
        "t": ["a", "b"],
        "c": pl.Series(["a", "b"], dtype=pl.Categorical),
        "gap": [None, 2],
        "flag": [None, True],
        "hole": [1.0, None],
        "nan": [1.0, float("nan")],
        "word": ["a", None],
        "empty": ["a", ""],
        "money": pl.Series(["1.50", "2.25"]).cast(pl.Decimal(10, 2)),
    }
)
KINDS = {
    "f": ("FP64", False),
    "single": ("FP32", False),
    "i": ("INT64", False),
    "short": ("INT32", False),
    "byte": ("INT32", False),
    "wide": ("INT64", False),
    "b": ("BOOL", False),
    "t": ("BYTES", False),
    "c": ("BYTES", False),
    "gap": ("FP64", True),
    "flag": ("FP64", True),
    "hole": ("FP64", True),
    "nan": ("FP64", True),
    "word": ("BYTES", True),
    "empty": ("BYTES", True),
    "money": ("FP64", False),
}


def test_every_polars_type_has_its_datatype() -> None:
    specs = input_specs(example_tensors(FRAME))
    assert {spec.name: (spec.datatype, spec.optional) for spec in specs} == KINDS
    assert [spec.name for spec in specs] == FRAME.columns
    assert all(spec.shape == (-1,) for spec in specs)


def test_nullable_inputs_may_be_named() -> None:
    specs = input_specs(example_tensors(FRAME.select("f", "i")), nullable=["i"])
    assert [spec.optional for spec in specs] == [False, True]
    with pytest.raises(Invalid, match="nobody"):
        input_specs(example_tensors(FRAME), nullable=["nobody"])


@pytest.mark.parametrize(
    "example",
    [
        {"f": [1.5, 2.5], "i": [1, 2], "t": ["a", "b"]},
        {"f": np.array([1.5, 2.5]), "i": np.array([1, 2]), "t": np.array(["a", "b"])},
        pd.DataFrame({"f": [1.5, 2.5], "i": [1, 2], "t": ["a", "b"]}),
        {"f": pl.Series([1.5, 2.5]), "i": pl.Series([1, 2]), "t": pl.Series(["a", "b"])},
    ],
)
def test_other_tables_read_alike(example: object) -> None:
    kinds = input_specs(example_tensors(FRAME.select("f", "i", "t")))
    assert input_specs(example_tensors(example)) == kinds
    assert input_specs(example_tensors(example_frame(example))) == kinds


def test_a_matrix_comes_back_from_its_frame() -> None:
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    (again,) = example_tensors(example_frame(matrix)).values()
    assert again.dtype == matrix.dtype
    assert again.tolist() == matrix.tolist()


def test_gaps_of_pandas_are_gaps() -> None:
    specs = input_specs(example_tensors(pd.DataFrame({"t": ["a", None], "o": np.array([1, None], object)})))
    assert [(spec.datatype, spec.optional) for spec in specs] == [("BYTES", True), ("FP64", True)]


def test_a_matrix_is_one_input() -> None:
    (spec,) = input_specs(example_tensors(np.zeros((3, 4), np.float32)))
    assert (spec.name, spec.datatype, spec.shape) == ("input", "FP32", (-1, 4))


def test_a_list_of_texts_is_one_input() -> None:
    (spec,) = input_specs(example_tensors(["late", "on time"]))
    assert (spec.datatype, spec.shape) == ("BYTES", (-1,))


@pytest.mark.parametrize(
    "example",
    [
        pl.DataFrame(),
        FRAME.clear(),
        {"a": [1], "b": [1, 2]},
        {"when": pl.Series([datetime.date(2013, 1, 1)])},
        {"when": np.array(["2013-01-01"], "M8[D]")},
        {"mixed": np.array([1, "a"], object)},
        {"nothing": pl.Series([None])},
        {"huge": np.array([2**63], np.uint64)},
        {"complex": np.array([1j])},
        42,
    ],
)
def test_what_cannot_be_sent_is_invalid(example: object) -> None:
    with pytest.raises(Invalid) as error:
        input_specs(example_tensors(example))
    assert error.value.code == "model.example"


CELLS: dict[str, st.SearchStrategy[Any]] = {
    "FP64": st.floats(allow_nan=False),
    "INT64": st.integers(-(2**63), 2**63 - 1),
    "BOOL": st.booleans(),
    "BYTES": st.text(min_size=1),
}


@given(st.data(), st.sampled_from(sorted(CELLS)), st.integers(1, 8))
def test_a_column_is_read_as_what_it_holds(data: st.DataObject, datatype: str, rows: int) -> None:
    cells = data.draw(st.lists(CELLS[datatype], min_size=rows, max_size=rows))
    gaps = data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)) if rows > 1 else [False]
    column = [None if gap else cell for cell, gap in zip(cells, gaps, strict=True)]
    if all(gaps):
        return
    tensors = example_tensors(pl.DataFrame({"x": column}))
    (spec,) = input_specs(tensors)
    assert spec.optional == any(gaps)
    assert spec.datatype == ("FP64" if any(gaps) and datatype in {"INT64", "BOOL"} else datatype)
    for cell, seen in zip(column, tensors["x"].tolist(), strict=True):
        assert seen == cell or (cell is None and (seen is None or seen != seen)) or seen == float(cell)


def test_the_kept_example_is_an_inference_request() -> None:
    tensors = example_tensors(pl.concat([FRAME] * 20))
    kept = msgspec.json.decode(example_bytes(tensors, input_specs(tensors)), type=ExampleRequest)
    by_name = {item.name: item for item in kept.inputs}
    assert by_name["t"].data[:2] == ["a", "b"]
    assert by_name["hole"].data[:2] == [1.0, None]
    assert {item.shape for item in kept.inputs} == {(10,)}
