"""Logged requests as a table: one row a prediction; how it lies in a sealed Parquet file, and how it is shown.

In the file the columns of the record are `@ordinal`, `@row`, `@time`, `@latency`, `@request`, `@error` where one
failed, those of the request `<NAME` and those of the answer `>NAME` (docs/formats/predictions.md). Shown, they have
their own names.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl

from charkh.core.errors import Corrupt
from charkh.core.gates import CHAMPION
from charkh.endpoints.log import LoggedRequest, LoggedTensor
from charkh.endpoints.prediction import PredictionId
from charkh.ports.journal import DataHeader, Record

INPUT = "<"
OUTPUT = ">"
ERROR = "@error"
_decode = msgspec.msgpack.Decoder(LoggedRequest).decode


class Source(NamedTuple):
    """Where a table's records lie and who answered them; `route` is that of a rollout, or `champion`."""

    segment: str
    endpoint: str
    deployment: str
    model: str
    version: str
    route: str = CHAMPION


def source_of(header: DataHeader) -> Source:
    """What the header of a data segment says about its records."""
    labels = header.labels
    return Source(
        segment=header.segment,
        endpoint=header.subject.partition(":")[2],
        deployment=labels.get("deployment", ""),
        model=labels.get("model", ""),
        version=labels.get("version", ""),
    )


def table_of(records: Iterable[Record]) -> pl.DataFrame:
    """The table of a segment's records.

    Raises:
        Corrupt: a record is no logged request.
    """
    by_layout: dict[tuple[Any, ...], list[tuple[int, LoggedRequest]]] = {}
    for record in records:
        request = _request(record)
        by_layout.setdefault(_layout(request), []).append((record.ordinal, request))
    parts = [_part(requests) for requests in by_layout.values()]
    if len(parts) < 2:
        return parts[0] if parts else pl.DataFrame()
    return pl.concat(parts, how="diagonal_relaxed").sort("@ordinal", "@row")


def to_parquet(table: pl.DataFrame) -> bytes:
    """The table as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def from_parquet(data: bytes) -> pl.DataFrame:
    """The table in the bytes of a Parquet file."""
    return pl.read_parquet(io.BytesIO(data))


def shown(table: pl.DataFrame, source: Source, *, failed: bool = False) -> pl.DataFrame:
    """The table as it is shown: `prediction_id`, `time`, `deployment`, `model`, `version`, `route`, `request_id`,
    `latency`, and `error` of what failed, then inputs and outputs under their own names.

    `time` is UTC, `latency` seconds, `error` why there was no answer. A name that an earlier column has is
    written `input.NAME` or `output.NAME`.
    """
    numbers = zip(table["@ordinal"].to_list(), table["@row"].to_list(), strict=True)
    ids = [
        str(PredictionId(deployment=source.deployment, segment=source.segment, ordinal=ordinal, row=row))
        for ordinal, row in numbers
    ]
    leading = table.select(
        pl.Series("prediction_id", ids, dtype=pl.String),
        pl.from_epoch((pl.col("@time") * 1e6).round().cast(pl.Int64), "us").dt.replace_time_zone("UTC").alias("time"),
        pl.lit(source.deployment).alias("deployment"),
        pl.lit(source.model).alias("model"),
        pl.lit(source.version).alias("version"),
        pl.lit(source.route).alias("route"),
        pl.col("@request").alias("request_id"),
        pl.col("@latency").alias("latency"),
        *([pl.col(ERROR).alias("error")] if failed else []),
    )
    names = own_names([name for name in table.columns if name[0] in INPUT + OUTPUT], set(leading.columns))
    return leading.hstack(table.select(pl.col(name).alias(own) for name, own in names.items()).get_columns())


def own_names(columns: Sequence[str], taken: set[str]) -> dict[str, str]:
    """The name that each input and output column is shown under."""
    names: dict[str, str] = {}
    for prefix, label in ((INPUT, "input"), (OUTPUT, "output")):
        for column in columns:
            if column.startswith(prefix):
                name = column[1:] if column[1:] not in taken else f"{label}.{column[1:]}"
                names[column] = name
                taken.add(name)
    return names


def row_of(table: pl.DataFrame, ordinal: int, row: int) -> dict[str, Any] | None:
    """One row of the table, or None."""
    found = table.filter((pl.col("@ordinal") == ordinal) & (pl.col("@row") == row)) if len(table.columns) else table
    return found.row(0, named=True) if found.height else None


def cells_of(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The inputs or outputs in a row, by their own names; absent ones left out."""
    return {name[1:]: value for name, value in row.items() if name.startswith(prefix)}


def _request(record: Record) -> LoggedRequest:
    try:
        return _decode(record.payload)
    except msgspec.MsgspecError as error:
        raise Corrupt(
            f"record {record.ordinal} of a prediction segment is no logged request: {error}",
            code="prediction.bad_record",
            hint="Run `charkh fsck` to see which segment it is in.",
        ) from error


def _layout(request: LoggedRequest) -> tuple[Any, ...]:
    tensors = (*request.inputs, *request.outputs)
    return (
        len(request.inputs),
        bool(request.error),
        *((tensor.name, tensor.dtype, tensor.shape) for tensor in tensors),
    )


def _part(requests: Sequence[tuple[int, LoggedRequest]]) -> pl.DataFrame:
    """Requests of one layout, each column put together at once."""
    # A request that could not be read has no rows, and stands as one.
    counts = np.array([request.rows if request.inputs else max(request.rows, 1) for _, request in requests])
    total = int(counts.sum())
    begins = np.repeat(np.cumsum(counts) - counts, counts)
    columns = [
        pl.Series("@ordinal", np.repeat(np.array([ordinal for ordinal, _ in requests], np.int64), counts)),
        pl.Series("@row", np.arange(total, dtype=np.int64) - begins),
        pl.Series("@time", np.repeat(np.array([request.time for _, request in requests]), counts)),
        pl.Series("@latency", np.repeat(np.array([request.latency for _, request in requests]), counts)),
        pl.Series(
            "@request", np.repeat(np.array([request.request for _, request in requests], object), counts).tolist()
        ),
    ]
    if requests[0][1].error:
        errors = np.array([request.error for _, request in requests], object)
        columns.append(pl.Series(ERROR, np.repeat(errors, counts).tolist(), dtype=pl.String))
    for position in range(len(requests[0][1].inputs)):
        columns.append(_column(INPUT, [request.inputs[position] for _, request in requests], total))
    for position in range(len(requests[0][1].outputs)):
        columns.append(_column(OUTPUT, [request.outputs[position] for _, request in requests], total))
    return pl.DataFrame(columns)


def _column(prefix: str, tensors: Sequence[LoggedTensor], total: int) -> pl.Series:
    first = tensors[0]
    name = f"{prefix}{first.name}"
    if first.dtype == "object":
        cells = [cell for tensor in tensors for cell in tensor.data]
        binary = any(isinstance(cell, bytes) for cell in cells)
        if binary:
            cells = [cell.encode() if isinstance(cell, str) else cell for cell in cells]
        flat = pl.Series(name, cells, dtype=pl.Binary if binary else pl.String)
    else:
        data = b"".join(tensor.data for tensor in tensors if isinstance(tensor.data, bytes))
        numbers = np.frombuffer(data, np.dtype(first.dtype).newbyteorder("<"))
        if numbers.dtype == np.float16:
            numbers = numbers.astype(np.float32)
        flat = pl.Series(name, numbers)
        if numbers.dtype.kind == "f":
            flat = flat.fill_nan(None)
    if not first.shape:
        return flat
    width = prod(first.shape)
    return flat.reshape((total, width)) if width else pl.Series(name, [None] * total)
