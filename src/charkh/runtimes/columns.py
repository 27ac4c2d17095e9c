"""From named tensors to the columns and the matrix that a model takes, checked against its signature."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from charkh.core.errors import Invalid
from charkh.core.gaps import has_gaps
from charkh.ports.runtimes import Signature, Tensors, TensorSpec, row_count

Array = npt.NDArray[Any]
PREDICT = "predict"
PREDICT_PROBA = "predict_proba"
"""The outputs of a classifier: its label, and the probability of each."""

_KINDS = {"FP64": "fiub", "FP32": "fiub", "INT64": "iub", "INT32": "iub", "BOOL": "b", "BYTES": "OUST"}
_NUMPY = {"FP64": np.float64, "FP32": np.float32, "INT64": np.int64, "INT32": np.int32, "BOOL": np.bool_}


def columns_of(specs: Sequence[TensorSpec], inputs: Tensors) -> list[Array]:
    """The inputs that `specs` name, in their order and of their datatypes; missing texts are None.

    Raises:
        Invalid: one is missing or does not fit, or they have different numbers of rows.
    """
    columns = [_column(spec, inputs) for spec in specs]
    rows = row_count(inputs)
    for spec, column in zip(specs, columns, strict=True):
        if len(column) != rows:
            raise misfit(spec.name, f"it has {len(column)} rows and another input {rows}")
    return columns


def matrix_of(specs: Sequence[TensorSpec], inputs: Tensors, dtype: type[np.floating[Any]]) -> Array:
    """The inputs as one matrix of numbers: a single input of two dimensions as it is, columns side by side.

    Raises:
        Invalid: as `columns_of`.
    """
    columns = columns_of(specs, inputs)
    if len(columns) == 1 and columns[0].ndim == 2:
        return np.ascontiguousarray(columns[0], dtype)
    return stack(columns, dtype)


def stack(columns: Sequence[Array], dtype: type[np.floating[Any]]) -> Array:
    """Columns side by side."""
    matrix = np.empty((len(columns[0]), len(columns)), dtype)
    for position, column in enumerate(columns):
        matrix[:, position] = column
    return matrix


def numeric_inputs(signature: Signature, names: Sequence[str], framework: str) -> list[TensorSpec]:
    """The inputs of a model that takes numbers alone, in the order of the names that it was trained on.

    Raises:
        Invalid: an input is text, or one that the model was trained on is not in the signature.
    """
    specs = {spec.name: spec for spec in signature.inputs}
    texts = [name for name, spec in specs.items() if spec.datatype == "BYTES"]
    if texts:
        raise Invalid(
            f"{framework} takes numbers, and the input {texts[0]!r} is text",
            code="model.signature_misfit",
            hint="Encode it before the model, for example in a scikit-learn pipeline around it.",
        )
    if len(specs) == 1 and len(signature.inputs[0].shape) == 2:
        return [signature.inputs[0]]
    if set(names) == set(specs):
        return [specs[name] for name in names]
    if len(names) not in {0, len(specs)}:
        raise Invalid(
            f"the model was trained on {len(names)} inputs, and the signature names {len(specs)}",
            code="model.signature_misfit",
            hint="Give an example with every column that the model was trained on.",
        )
    return list(signature.inputs)


def chosen_outputs(signature: Signature, able: Sequence[str]) -> list[str]:
    """The outputs that the signature asks for; everything that the model gives where it names none.

    Raises:
        Invalid: it asks for one that the model does not give.
    """
    wanted = [spec.name for spec in signature.outputs] or list(able)
    unknown = [name for name in wanted if name not in able]
    if unknown:
        raise Invalid(
            f"the model gives no output {unknown[0]!r}",
            code="model.signature_misfit",
            hint=f"It gives {' and '.join(able)}.",
        )
    return wanted


def _column(spec: TensorSpec, inputs: Tensors) -> Array:
    """The input as an array of the declared datatype; missing texts are None."""
    if spec.name not in inputs:
        raise misfit(spec.name, "it is missing")
    column = np.asarray(inputs[spec.name])
    if column.ndim != len(spec.shape) or any(
        size not in (-1, found) for size, found in zip(spec.shape[1:], column.shape[1:], strict=True)
    ):
        raise misfit(spec.name, f"its shape is {column.shape}, not {spec.shape}")
    if column.dtype.kind not in _KINDS.get(spec.datatype, ""):
        raise misfit(spec.name, f"it holds {column.dtype}, not {spec.datatype}")
    if spec.datatype == "BYTES":
        return _text_column(spec, column)
    column = column.astype(_NUMPY[spec.datatype], copy=False)
    if not spec.optional and column.dtype.kind == "f" and has_gaps(column):
        raise misfit(spec.name, "a value is missing")
    return column


def _text_column(spec: TensorSpec, column: Array) -> Array:
    column = column.astype(object, copy=False)
    equal = cast(Any, np.equal)
    missing: npt.NDArray[np.bool_] = equal(column, None)
    if not spec.optional:
        if missing.any():
            raise misfit(spec.name, "a value is missing")
        return column
    missing |= equal(column, "") | equal(column, b"")
    if not missing.any():
        return column
    column = column.copy()
    column[missing] = None
    return column


def misfit(name: str, why: str) -> Invalid:
    """What somebody is told whose input does not fit."""
    return Invalid(
        f"input {name!r} does not fit the signature: {why}",
        code="model.input_misfit",
        hint="Send every input of the signature, with its datatype and one row count.",
    )
