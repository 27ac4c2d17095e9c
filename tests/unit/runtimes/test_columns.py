"""Named tensors become the columns that a model takes, where they fit its signature."""

import numpy as np
import pytest

from charkh.core.errors import Invalid
from charkh.ports.runtimes import TensorSpec
from charkh.runtimes.columns import columns_of

ANY = TensorSpec(name="x", datatype="FP64", shape=(-1, -1))
TWO = TensorSpec(name="x", datatype="FP64", shape=(-1, 2))


@pytest.mark.parametrize(("spec", "width"), [(ANY, 2), (ANY, 5), (TWO, 2)])
def test_a_side_that_is_not_said_has_any_length(spec: TensorSpec, width: int) -> None:
    (column,) = columns_of([spec], {"x": np.ones((3, width), np.float32)})
    assert (column.shape, column.dtype) == ((3, width), np.float64)


@pytest.mark.parametrize(("spec", "shape"), [(TWO, (3, 5)), (ANY, (3,)), (ANY, (3, 2, 1))])
def test_another_shape_is_refused_with_both(spec: TensorSpec, shape: tuple[int, ...]) -> None:
    with pytest.raises(Invalid, match=r"its shape is .*, not "):
        columns_of([spec], {"x": np.ones(shape)})
