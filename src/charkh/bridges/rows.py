"""Rows of numbers and texts, as the older protocols carry them, to tensors that fit a signature, and back. No I/O."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import numpy as np

from charkh.endpoints.records import read_records
from charkh.endpoints.wire import bad_request, cells
from charkh.ports.runtimes import Signature, Tensors


def tensors_of_rows(rows: Sequence[object], names: Sequence[str], signature: Signature) -> Tensors:
    """The tensors that rows mean.

    A row is a mapping by the names of the inputs, or a list. A list gives its values to the inputs by `names`, else in
    the order of the signature; a model with one input of vectors takes it whole. A model with one input of numbers
    also takes bare values.

    Args:
        rows: at least one.
        names: of the places in a row; empty for the signature's order.
        signature: what the model takes.

    Raises:
        Invalid: a row does not fit; the sentence names the row and the input.
    """
    if not rows:
        raise bad_request("the request has no rows")
    records = [_record(number, row, names, signature) for number, row in enumerate(rows)]
    return read_records(msgspec.json.encode(records), signature)


def rows_of_tensor(tensor: Any) -> list[Any]:
    """A tensor as one value, or list of values, a row; NaN is null."""
    return cells(np.asarray(tensor))


def _record(number: int, row: object, names: Sequence[str], signature: Signature) -> dict[str, Any]:
    inputs = signature.inputs
    if isinstance(row, dict):
        return cast(dict[str, Any], row)
    values = cast(list[Any], row) if isinstance(row, list) else [row]
    if len(inputs) == 1 and len(inputs[0].shape) > 1:
        return {inputs[0].name: _by_name(number, values, names, inputs[0].name)}
    if names:
        if len(names) != len(values):
            raise bad_request(f"row {number} has {len(values)} values for {len(names)} names")
        return dict(zip(names, values, strict=True))
    if len(values) != len(inputs):
        takes = ", ".join(spec.name for spec in inputs)
        raise bad_request(f"row {number} has {len(values)} values, and the model takes {len(inputs)}: {takes}")
    return {spec.name: value for spec, value in zip(inputs, values, strict=True)}


def _by_name(number: int, values: list[Any], names: Sequence[str], name: str) -> list[Any]:
    # One input of vectors: the names are those of its columns, which the signature does not know.
    if names and len(names) != len(values) and list(names) != [name]:
        raise bad_request(f"row {number} has {len(values)} values for {len(names)} names")
    return values
