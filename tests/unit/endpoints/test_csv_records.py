"""CSV in and out: what JSON records say can be said in lines, and what is wrong gets the same kind of sentence."""

import csv
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.endpoints.csv_records import read_csv, write_csv
from charkh.ports.runtimes import Signature, TensorSpec

SIGNATURE = Signature(
    inputs=(
        TensorSpec(name="wind", datatype="FP64", optional=True),
        TensorSpec(name="hour", datatype="INT8"),
        TensorSpec(name="origin", datatype="BYTES", optional=True),
        TensorSpec(name="late", datatype="BOOL"),
    ),
    outputs=(),
)


def lists(body: bytes) -> dict[str, Any]:
    return {name: array.tolist() for name, array in read_csv(body, SIGNATURE).items()}


def test_lines_are_rows_and_empty_cells_are_missing() -> None:
    body = '\ufeffhour,late,origin,wind\r\n1,true,"Praha, ""PRG""",\r\n-7,0,,2.5\r\n\r\n'.encode()
    seen = lists(body)
    assert seen["hour"] == [1, -7]
    assert seen["late"] == [True, False]
    assert seen["origin"] == ['Praha, "PRG"', None]
    assert np.isnan(seen["wind"][0])
    assert seen["wind"][1] == 2.5
    assert np.isnan(lists(b"hour,late\n1,1")["wind"][0]), "an optional column need not come"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no rows"),
        (b"hour,late\n", "no rows"),
        (b"hour,late,x\n1,1,1", "unknown column 'x'"),
        (b"hour,late,late\n1,1,1", "stands twice"),
        (b"hour,late\n1,1,1", "record 0: 3 cells, and the header has 2"),
        (b"hour,late\n1,1\n300,1", "out of range for INT8"),
        (b"hour,late\n1.5,1", "expected whole numbers for INT8, got 1.5"),
        (b"hour,late\n1_0,1", "got 1_0"),
        (b"hour,late\n1,perhaps", "expected true or false"),
        (b"hour,late\n,1", "field 'hour' is missing and required"),
        (b"hour\n1", "field 'late' is missing and required"),
        (b"hour,late\n1,\xff", "no CSV in UTF-8"),
        (b'hour,late\n1,"x" y', "no CSV"),
    ],
)
def test_what_does_not_fit_says_where(body: bytes, why: str) -> None:
    with pytest.raises(Invalid) as refusal:
        read_csv(body, SIGNATURE)
    assert why in refusal.value.message.replace("'1.5'", "1.5").replace("'1_0'", "1_0")


def test_rows_of_several_numbers_need_json() -> None:
    with pytest.raises(Invalid, match="several numbers a row"):
        read_csv(b"x\n1", Signature(inputs=(TensorSpec(name="x", datatype="FP64", shape=(-1, 2)),), outputs=()))


@given(st.binary(max_size=60))
def test_no_bytes_make_it_fail_in_another_way(body: bytes) -> None:
    try:
        arrays = read_csv(b"hour,late\n" + body, SIGNATURE)
    except Invalid as error:
        assert error.message
    else:
        assert len({len(array) for array in arrays.values()}) == 1


def test_predictions_become_columns() -> None:
    outputs: dict[str, Any] = {
        "label": np.array(["a", b"b,c"], object),
        "probability": np.array([[0.25, 0.75], [1.0, np.nan]]),
        "only": np.array([[1], [2]]),
    }
    lines = list(csv.reader(io.StringIO(write_csv(["p1", "p2"], outputs).decode())))
    assert lines == [
        ["prediction_id", "label", "probability_0", "probability_1", "only"],
        ["p1", "a", "0.25", "0.75", "1"],
        ["p2", "b,c", "1.0", "", "2"],
    ]
    assert write_csv([], {"y": np.array([1])}) == b"y\r\n1\r\n"
