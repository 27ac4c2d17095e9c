"""Rows as a frame for a model that takes tensors: one column an input, and a column each of a matrix."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.errors import Invalid
from charkh.models.example import ExampleRequest, example_tensors
from charkh.ports.runtimes import Predictor, Signature, TensorSpec

Array = npt.NDArray[Any]

DTYPES: Mapping[str, npt.DTypeLike] = {
    "BOOL": np.bool_,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}


def asking(predictor: Predictor, signature: Signature) -> Callable[[pl.DataFrame], Mapping[str, Array]]:
    """A way to ask a model with rows as `columns_of` gives them; tensors go in the order of the rows' columns."""

    def ask(rows: pl.DataFrame) -> Mapping[str, Array]:
        return predictor.predict(tensors_of(rows, signature))

    return ask


def tensors_of(rows: pl.DataFrame, signature: Signature) -> Mapping[str, Array]:
    """Rows as `columns_of` gives them, as the tensors of a signature."""
    specs = {spec.name: spec for spec in signature.inputs}
    given: dict[str, list[Array]] = {}
    for name, tensor in sorted(example_tensors(rows).items(), key=lambda each: _order(rows, each[0])):
        given.setdefault(name if name in specs else name.partition("[")[0], []).append(tensor)
    return {name: _tensor(specs[name], parts, rows) for name, parts in given.items()}


def columns_of(rows: pl.DataFrame, signature: Signature, *, leave: str = "") -> pl.DataFrame:
    """The columns that a model takes; those of a matrix are the numbers of the rows, in order.

    Args:
        rows: that have them.
        signature: of the model.
        leave: a column that is none of them, such as the target.

    Raises:
        Invalid: one is missing, or the numbers do not fill the matrix.
    """
    matrix = _matrix(signature)
    if matrix is None:
        missing = [spec.name for spec in signature.inputs if spec.name not in rows.columns]
        if missing:
            raise Invalid(
                f"the rows lack the model's input {missing[0]!r}",
                code="model.input_missing",
                hint=f"The model takes: {', '.join(spec.name for spec in signature.inputs)}; recipes may make them.",
                facts={"missing": missing},
            )
        return rows.select([spec.name for spec in signature.inputs])
    width = matrix.shape[1]
    named = _matrix_columns(matrix)
    if all(name in rows.columns for name in named):
        return rows.select(named)
    able = [
        name for name, dtype in rows.schema.items() if name != leave and (dtype.is_numeric() or dtype == pl.Boolean)
    ]
    if len(able) != width:
        raise Invalid(
            f"the model takes a matrix of {width} columns, and the rows have {len(able)} of numbers",
            code="model.input_missing",
            hint="Name a dataset that has exactly those, beside the target.",
        )
    return rows.select(pl.col(name).cast(pl.Float64).alias(to) for name, to in zip(able, named, strict=True))


def frame_of_example(example: ExampleRequest, signature: Signature) -> pl.DataFrame:
    """The rows of the example that is kept with a version."""
    specs = {spec.name: spec for spec in signature.inputs}
    columns: list[pl.Series] = []
    for tensor in example.inputs:
        spec = specs[tensor.name]
        if len(spec.shape) == 2:
            values = np.array([np.nan if cell is None else cell for cell in tensor.data], np.float64)
            grid = values.reshape(tensor.shape)
            columns += [pl.Series(name, grid[:, place]) for place, name in enumerate(_matrix_columns(spec))]
        else:
            columns.append(pl.Series(tensor.name, tensor.data, _polars_type(spec)))
    return pl.DataFrame(columns)


def _matrix(signature: Signature) -> TensorSpec | None:
    """The only input, where it is a matrix."""
    if len(signature.inputs) == 1 and len(signature.inputs[0].shape) == 2:
        return signature.inputs[0]
    return None


def _matrix_columns(spec: TensorSpec) -> list[str]:
    return [f"{spec.name}[{place}]" for place in range(spec.shape[1])]


def _order(rows: pl.DataFrame, name: str) -> int:
    """Columns of a matrix keep their places whatever the order of the rows' columns; inputs go as they come."""
    place = name.partition("[")[2].removesuffix("]")
    return int(place) if place.isdigit() else rows.get_column_index(name)


def _tensor(spec: TensorSpec, parts: Sequence[Array], rows: pl.DataFrame) -> Array:
    if len(spec.shape) == 1:
        return _cast(parts[0], spec)
    return _cast(np.column_stack(parts).reshape(rows.height, *spec.shape[1:]), spec)


def _cast(tensor: Array, spec: TensorSpec) -> Array:
    dtype = DTYPES.get(spec.datatype)
    if dtype is None or tensor.dtype == object:
        return tensor
    if np.dtype(dtype).kind in "iub" and tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
        raise Invalid(
            f"the model's input {spec.name!r} may not be missing",
            code="model.input_missing",
            hint="Leave rows with gaps in it out, or fill them in a recipe.",
        )
    return tensor.astype(dtype, copy=False)


def _polars_type(spec: TensorSpec) -> type[pl.DataType]:
    if spec.datatype == "BYTES":
        return pl.String
    return pl.Boolean if spec.datatype == "BOOL" else pl.Float64 if spec.datatype.startswith("FP") else pl.Int64
