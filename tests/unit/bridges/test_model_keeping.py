"""What a rehearsal says is what registering gives, whatever was there before and whichever names share their files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression

from charkh.bridges.model_keeping import Keep, Registering, rehearsal
from charkh.ports.runtimes import Signature, TensorSpec
from charkh.workspace.workspace import open_workspace

ROWS = np.arange(8.0).reshape(4, 2)
SIGNATURE = Signature(
    inputs=(TensorSpec(name="X", datatype="FP64", shape=(-1, 2)),),
    outputs=(TensorSpec(name="variable", datatype="FP64", shape=(-1, 1)),),
)


def files(slope: float) -> Mapping[str, bytes]:
    model = LinearRegression().fit(ROWS, ROWS @ [slope, 1.0])
    return {"model.onnx": to_onnx(model, ROWS).SerializeToString(deterministic=True)}


def kept(keep: Keep, asked: Sequence[tuple[str, float]]) -> list[str]:
    said = {"example": None, "signature": SIGNATURE, "runtime": "onnx", "description": "of a manifest"}
    return [keep(name, files(slope), **said) for name, slope in asked]


@pytest.mark.parametrize(
    ("before", "asked", "expected"),
    [
        ([], [("a", 1.0), ("b", 1.0), ("a", 1.0)], ["a@1", "b@1", "a@1"]),
        ([], [("a", 1.0), ("a", 2.0), ("b", 2.0), ("a", 1.0)], ["a@1", "a@2", "b@1", "a@1"]),
        ([("a", 1.0), ("a", 2.0)], [("a", 2.0), ("b", 1.0), ("a", 3.0)], ["a@2", "b@1", "a@3"]),
    ],
)
def test_a_rehearsal_says_what_registering_gives(
    tmp_path: Path, before: list[tuple[str, float]], asked: list[tuple[str, float]], expected: list[str]
) -> None:
    with open_workspace(tmp_path, create=True) as workspace:
        real = Registering(workspace)
        kept(real, before)
        with rehearsal(workspace) as keep:
            assert kept(keep, asked) == expected
        assert kept(real, asked) == expected
