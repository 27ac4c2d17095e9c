"""From CSV, one line a row, to arrays that fit the signature, and predictions back to CSV. No I/O."""

import csv
import io
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from charkh.endpoints.inputs import WANTED, dtype_of
from charkh.endpoints.records import column_of
from charkh.endpoints.wire import bad_request
from charkh.ports.runtimes import Signature, TensorSpec

Array = npt.NDArray[Any]

MEDIA = "text/csv"
MAX_CELL = 1024 * 1024
"""Characters of the longest cell."""
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


def read_csv(body: bytes, signature: Signature) -> dict[str, Array]:
    """The tensors in CSV with a header line; a cell that is empty is missing.

    Raises:
        Invalid: it is no CSV in UTF-8, or a line does not fit the signature.
    """
    try:
        lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    except UnicodeDecodeError as error:
        raise bad_request("the body is no CSV in UTF-8") from error
    except csv.Error as error:
        raise bad_request(f"the body is no CSV: {error}") from error
    header, rows = (lines[0] if lines else []), [line for line in islice(lines, 1, None) if line]
    _check_header(header, signature)
    if not rows:
        raise bad_request("the request has no rows", "Send a header line, and one line a row.")
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise bad_request(f"record {number}: {len(row)} cells, and the header has {len(header)}")
    places = {name: place for place, name in enumerate(header)}
    return {spec.name: _column(spec, rows, places.get(spec.name)) for spec in signature.inputs}


def write_csv(ids: Sequence[str], outputs: Mapping[str, Array]) -> bytes:
    """Predictions as CSV, one line a row; an output of several numbers becomes columns `name_0`, `name_1`…"""
    columns: dict[str, list[Any]] = {"prediction_id": list(ids)} if ids else {}
    for name, tensor in outputs.items():
        if tensor.ndim == 1:
            columns[name] = tensor.tolist()
            continue
        flat = tensor.reshape(len(tensor), -1)
        columns |= {
            f"{name}_{place}" if flat.shape[1] > 1 else name: part.tolist() for place, part in enumerate(flat.T)
        }
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(zip(*(map(_cell, each) for each in columns.values()), strict=True))
    return out.getvalue().encode(errors="replace")


def _check_header(header: Sequence[str], signature: Signature) -> None:
    known = {spec.name for spec in signature.inputs}
    takes = f"The model takes: {', '.join(sorted(known))}."
    for name in header:
        if name not in known:
            raise bad_request(f"unknown column {name[:80]!r}", takes, tensor=name[:80])
    if len(set(header)) != len(header):
        raise bad_request("a column stands twice in the header", takes)
    for spec in signature.inputs:
        if len(spec.shape) > 1:
            raise bad_request(
                f"input {spec.name!r} has several numbers a row, which CSV cannot say", "Send JSON.", tensor=spec.name
            )


def _column(spec: TensorSpec, rows: Sequence[Sequence[str]], place: int | None) -> Array:
    if place is None:
        return column_of(spec, [None] * len(rows))
    return column_of(spec, [_value(spec, row[place], number) for number, row in enumerate(rows)])


def _value(spec: TensorSpec, cell: str, row: int) -> object:
    """A cell as the type that the input is of; None where it is empty."""
    kind = dtype_of(spec).kind
    if not cell and (kind != "O" or spec.optional):
        return None
    try:
        return _typed(cell, kind)
    except (ValueError, KeyError) as error:
        raise bad_request(
            f"record {row}: column {spec.name!r}: expected {WANTED[kind]} for {spec.datatype}, got {cell[:40]!r}",
            "Leave the cell empty for a missing value.",
            tensor=spec.name,
        ) from error


def _typed(cell: str, kind: str) -> object:
    if kind == "O":
        return cell
    if "_" in cell:
        raise ValueError(cell)  # Python's own way to write numbers, and nobody else's
    if kind == "b":
        return _BOOLEANS[cell.strip().lower()]
    if kind in "iu":
        return int(cell)
    number = float(cell)
    return None if np.isnan(number) else number


def _cell(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return "" if value is None or value != value else value
