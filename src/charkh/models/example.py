"""From an example of the inputs to tensors and their signature: names, Open Inference datatypes, nullability.

Whole numbers and booleans with gaps become FP64, because only a float has a value for "missing"
(`charkh.ports.runtimes.TensorSpec`); narrow integers widen to INT32 or INT64.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.errors import Invalid
from charkh.ports.runtimes import Tensors, TensorSpec

MATRIX = "input"
MAX_ROWS = 10
"""Rows of the example that are kept with the version."""

Array = npt.NDArray[Any]

_DATATYPES = {
    np.dtype(np.float64): "FP64",
    np.dtype(np.float32): "FP32",
    np.dtype(np.int64): "INT64",
    np.dtype(np.int32): "INT32",
    np.dtype(np.bool_): "BOOL",
    np.dtype(object): "BYTES",
}
_PLAIN = _DATATYPES.keys() - {np.dtype(object)}
_WIDER: dict[str, type[np.generic]] = {
    "int8": np.int32,
    "int16": np.int32,
    "uint8": np.int32,
    "uint16": np.int32,
    "uint32": np.int64,
    "uint64": np.int64,
    "float16": np.float32,
}


@runtime_checkable
class NamedColumns(Protocol):
    """A table of another library, such as a pandas frame."""

    @property
    def columns(self) -> Sequence[object]: ...

    def __getitem__(self, name: Any, /) -> object: ...


class ExampleTensor(msgspec.Struct, frozen=True, kw_only=True):
    """One input of an inference request in the Open Inference Protocol's JSON."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    data: list[Any]


class ExampleRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The example as it is kept: the body of `POST /v2/models/NAME/infer`."""

    inputs: tuple[ExampleTensor, ...]


def example_tensors(example: object) -> dict[str, Array]:
    """Named tensors from a Polars or pandas frame, a mapping of columns, a matrix, or a list of texts.

    Raises:
        Invalid: there are no rows, columns differ in length, or a column's type has no datatype.
    """
    tensors = _columns_of(example)
    lengths = {len(tensor) for tensor in tensors.values()}
    if len(lengths) != 1 or lengths == {0}:
        raise Invalid(
            "the example has no rows, or columns of different length",
            code="model.example",
            hint="Give a few rows as the model takes them, such as `table.head(5)`.",
        )
    return tensors


def example_frame(example: object) -> pl.DataFrame:
    """The same rows as a Polars frame; a matrix is one column of arrays.

    Raises:
        Invalid: as `example_tensors`.
    """
    if isinstance(example, pl.DataFrame):
        return example
    tensors = example_tensors(example)
    return pl.DataFrame(
        {name: tensor.tolist() if tensor.dtype == object else tensor for name, tensor in tensors.items()}
    )


def input_specs(tensors: Tensors, nullable: Collection[str] = ()) -> tuple[TensorSpec, ...]:
    """What the model takes; an input is optional where the example has gaps or `nullable` names it."""
    unknown = sorted(set(nullable) - tensors.keys())
    if unknown:
        raise Invalid(f"the example has no column {unknown[0]!r}", code="model.example")
    return tuple(_spec(name, tensor, optional=name in nullable or has_gaps(tensor)) for name, tensor in tensors.items())


def output_specs(tensors: Tensors) -> tuple[TensorSpec, ...]:
    """What the model gave for the example."""
    return tuple(_spec(name, tensor, optional=False) for name, tensor in tensors.items())


def has_gaps(tensor: Array) -> bool:
    """Whether a value is missing: NaN in a number, None or an empty text."""
    if tensor.dtype == object:
        return any(value is None or value in {"", b""} for value in tensor.ravel().tolist())
    return tensor.dtype.kind == "f" and bool(np.isnan(tensor).any())


def example_bytes(tensors: Tensors, specs: Sequence[TensorSpec]) -> bytes:
    """The first rows as the JSON of an inference request; missing values are null."""
    return msgspec.json.encode(
        ExampleRequest(
            inputs=tuple(
                ExampleTensor(name=spec.name, shape=kept.shape, datatype=spec.datatype, data=_shown(kept))
                for spec in specs
                for kept in [tensors[spec.name][:MAX_ROWS]]
            )
        )
    )


def _shown(tensor: Array) -> list[Any]:
    cells: list[Any] = tensor.ravel().tolist()
    return [cell.decode(errors="replace") if isinstance(cell, bytes) else cell for cell in cells]


def _columns_of(example: object) -> dict[str, Array]:
    if isinstance(example, pl.DataFrame):
        return {series.name: _from_series(series) for series in example}
    if isinstance(example, Mapping):
        mapping = cast(Mapping[object, object], example)
        return {str(name): _from_values(str(name), values) for name, values in mapping.items()}
    if isinstance(example, np.ndarray):
        return {MATRIX: _from_values(MATRIX, cast(object, example))}
    if isinstance(example, list):
        return {MATRIX: _from_values(MATRIX, cast(object, example))}
    if isinstance(example, NamedColumns):
        return {str(name): _from_values(str(name), example[name]) for name in example.columns}
    raise Invalid(
        f"a {type(example).__name__} is no example of inputs",
        code="model.example",
        hint="Give a Polars or pandas frame, a dictionary of columns, or a NumPy matrix.",
    )


def _from_series(series: pl.Series) -> Array:
    if isinstance(series.dtype, pl.Categorical | pl.Enum | pl.String):
        return np.array(series.cast(pl.String).to_list(), object)
    if series.dtype == pl.Binary:
        return np.array(series.to_list(), object)
    if isinstance(series.dtype, pl.Array) and not series.null_count():
        return _from_values(series.name, series.to_numpy())
    if series.dtype.is_decimal() or (series.dtype == pl.Boolean and series.null_count()):
        series = series.cast(pl.Float64)
    if not (series.dtype.is_numeric() or series.dtype == pl.Boolean):
        raise _no_datatype(series.name, str(series.dtype))
    return _widened(series.name, series.to_numpy())


def _from_values(name: str, values: object) -> Array:
    if isinstance(values, pl.Series):
        return _from_series(values.alias(name))
    array = np.asarray(values)
    if array.dtype.kind in "US":
        return array.astype(object)
    if array.dtype != object:
        return _widened(name, array)
    cells: list[Any] = [None if cell != cell else cell for cell in array.ravel().tolist()]
    if all(cell is None or isinstance(cell, str | bytes) for cell in cells):
        return np.array(cells, object).reshape(array.shape)
    if all(cell is None or isinstance(cell, bool | int | float) for cell in cells):
        return np.array([np.nan if cell is None else float(cell) for cell in cells]).reshape(array.shape)
    raise _no_datatype(name, "mixed objects")


def _widened(name: str, array: Array) -> Array:
    wider = _WIDER.get(array.dtype.name)
    if wider is not None:
        if array.dtype == np.uint64 and (array > np.iinfo(np.int64).max).any():
            raise _no_datatype(name, "UInt64 beyond the range of INT64")
        array = array.astype(wider)
    if array.dtype not in _DATATYPES:
        raise _no_datatype(name, str(array.dtype))
    return array


def _spec(name: str, tensor: Array, *, optional: bool) -> TensorSpec:
    plain = tensor if tensor.dtype in _PLAIN else _from_values(name, tensor)
    if optional and plain.dtype.kind in "bi":
        plain = plain.astype(np.float64)
    return TensorSpec(name=name, datatype=_DATATYPES[plain.dtype], shape=(-1, *tensor.shape[1:]), optional=optional)


def _no_datatype(name: str, dtype: str) -> Invalid:
    return Invalid(
        f"column {name!r} holds {dtype}, which a model cannot be sent",
        code="model.example",
        hint="Turn it into numbers, booleans or texts in the recipe, before the model.",
    )
