"""From JSON records, one object a row, to arrays that fit the signature; for clients that know no tensors. No I/O."""

from math import prod
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from charkh.endpoints.inputs import WANTED, dtype_of, said, to_array, wrong_value
from charkh.endpoints.wire import bad_request
from charkh.ports.runtimes import Signature, TensorSpec

Array = npt.NDArray[Any]


def read_records(body: bytes, signature: Signature) -> dict[str, Array]:
    """The tensors in a JSON list of records, one object a row; what a record lacks or has as null is missing.

    Raises:
        Invalid: it is no list of records, or a record does not fit the signature.
    """
    try:
        records = msgspec.json.decode(body, type=list[dict[str, Any]])
    except msgspec.ValidationError as error:
        raise bad_request(
            f"the body is no list of records: {error}", "Send [{...}, {...}], one object a row."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(f"the body is not JSON: {error}", "Note that NaN is not JSON: write null.") from error
    if not records:
        raise bad_request("the request has no rows")
    known = {spec.name for spec in signature.inputs}
    for row, record in enumerate(records):
        if not record.keys() <= known:
            unknown = sorted(record.keys() - known)[0]
            raise bad_request(
                f"record {row}: unknown field {unknown!r}",
                f"The model takes: {', '.join(sorted(known))}.",
                tensor=unknown,
            )
    return {spec.name: column_of(spec, [record.get(spec.name) for record in records]) for spec in signature.inputs}


def column_of(spec: TensorSpec, values: list[Any]) -> Array:
    """The values of one input, one a row, as the array that the signature declares.

    Raises:
        Invalid: one is of another type, or missing where it is required.
    """
    dtype = dtype_of(spec)
    shape: tuple[int, ...] = (len(values),)
    if len(spec.shape) > 1:
        whole = _nested(spec, values)
        values, shape = whole.ravel().tolist(), whole.shape
    if wrong_value(values, dtype.kind):
        row = next(row for row, value in enumerate(values) if wrong_value([value], dtype.kind))
        raise bad_request(
            f"record {row // max(1, prod(shape[1:]))}: field {spec.name!r}: expected {WANTED[dtype.kind]} "
            f"for {spec.datatype}, got {wrong_value(values, dtype.kind)}",
            "Write null, without quotes, for a missing value.",
            tensor=spec.name,
        )
    if None in values and not spec.optional:
        raise bad_request(
            f"record {values.index(None) // max(1, prod(shape[1:]))}: field {spec.name!r} is missing and required",
            f"Expected {said(spec)}.",
            tensor=spec.name,
        )
    return to_array(spec, values, dtype).reshape(shape)


def _nested(spec: TensorSpec, values: list[Any]) -> Array:
    try:
        whole = np.array(values, object)
    except ValueError:
        whole = np.empty(0, object)
    wanted = (len(values), *spec.shape[1:])
    if whole.ndim != len(wanted) or any(want not in (-1, got) for want, got in zip(wanted, whole.shape, strict=True)):
        raise bad_request(f"field {spec.name!r}: expected {said(spec)} in every record", tensor=spec.name)
    return whole
