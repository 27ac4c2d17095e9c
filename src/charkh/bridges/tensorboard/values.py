"""Media of a run as values of a summary: the other way of `charkh.bridges.tensorboard.media`."""

import itertools
import struct
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
import numpy as np

from charkh.bridges.tensorboard.events import BLOB_CLASS, TENSOR_CLASS, Event, Metadata, Value, decode_value
from charkh.bridges.tensorboard.media import (
    GRAPH_MIME,
    MESH_PARTS,
    META_GRAPH_MIME,
    PR_ROWS,
    RUN_METADATA_MIME,
    VALUE_MIME,
    Item,
    from_npy,
)
from charkh.bridges.tensorboard.tensors import (
    Audio,
    Histogram,
    Image,
    encode_audio,
    encode_histogram,
    encode_image,
    encode_numbers,
    encode_strings,
)
from charkh.bridges.tensorboard.wire import write_bytes, write_integer, write_varints
from charkh.core.errors import CharkhError

TEXT = Metadata(plugin="text", data_class=TENSOR_CLASS)
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/apng", "image/bmp", "image/webp")


def event_of(item: Item, step: int, time: float) -> Event | None:
    """The event that shows an item; None for what events have no form for."""
    if item.mime == GRAPH_MIME:
        return Event(time=time, step=step, graph=item.payload)
    if item.mime == META_GRAPH_MIME:
        return Event(time=time, step=step, meta_graph=item.payload)
    if item.mime == RUN_METADATA_MIME:
        return Event(time=time, step=step, run_metadata=(item.key, item.payload))
    if "embedding" in item.details:
        return None
    value = value_of(item)
    return None if value is None else Event(time=time, step=step, values=(value,))


def value_of(item: Item) -> Value | None:
    """The value that shows an item; None for what TensorBoard has no form for."""
    try:
        return _value(item)
    except (ValueError, KeyError, TypeError, struct.error, msgspec.MsgspecError, CharkhError):
        # A payload that is not what its kind says shows nowhere; it stays in the run.
        return None


def _value(item: Item) -> Value | None:
    tag, details = item.key, item.details
    if item.mime == VALUE_MIME:
        return decode_value(item.payload)
    if item.kind in ("image", "figure") and item.mime in PICTURES:
        sample = details.get("sample", 0)
        image = Image(
            height=_whole(details, "height"), width=_whole(details, "width"), channels=3, encoded=item.payload
        )
        return Value(tag=f"{tag}/{sample}" if sample else tag, image=encode_image(image))
    if item.kind == "audio":
        rate, channels = _whole(details, "rate") or 44100, _whole(details, "channels") or 1
        frames = int(float(details.get("seconds", 0)) * rate)
        audio = Audio(rate=rate, channels=channels, frames=frames, encoded=item.payload, mime=item.mime)
        sample = details.get("sample", 0)
        return Value(tag=f"{tag}/{sample}" if sample else tag, audio=encode_audio(audio))
    if item.kind == "text":
        return Value(tag=tag, metadata=TEXT, tensor=encode_strings((item.payload,), ()))
    if item.kind == "table":
        return _table(tag, item.payload)
    if item.kind == "histogram":
        return Value(tag=tag, histogram=encode_histogram(_histogram(item)))
    if item.kind == "pr_curve":
        return _pr_curve(tag, item.payload)
    return _mesh(item) if item.kind == "mesh" else None


def text_table(columns: Sequence[Any], rows: Sequence[Sequence[Any]]) -> bytes:
    """A tensor of texts with a row of headings."""
    cells = [str(each).encode() for row in [columns, *rows] for each in ("" if cell is None else cell for cell in row)]
    return encode_strings(tuple(cells), (len(rows) + 1, len(columns)))


def _table(tag: str, payload: bytes) -> Value | None:
    table = msgspec.json.decode(payload, type=dict[str, Any])
    columns, rows = cast(list[Any], table["columns"]), cast(list[list[Any]], table["data"])
    return Value(tag=tag, metadata=TEXT, tensor=text_table(columns, rows)) if columns else None


def _histogram(item: Item) -> Histogram:
    said = msgspec.json.decode(item.payload, type=dict[str, list[float]])
    counts, edges = said["counts"], said["edges"]
    middles = [(low + high) / 2 for low, high in itertools.pairwise(edges)]
    total = sum(count * middle for count, middle in zip(counts, middles, strict=True))
    squares = sum(count * middle * middle for count, middle in zip(counts, middles, strict=True))
    # An empty bin up to the first edge says where the first one begins: a bin is told by its right limit alone.
    return Histogram(
        least=edges[0],
        greatest=edges[-1],
        number=sum(counts),
        total=float(item.details.get("sum", total)),
        squares=float(item.details.get("sum_squares", squares)),
        limits=tuple(edges),
        counts=(0.0, *counts),
    )


def _pr_curve(tag: str, payload: bytes) -> Value:
    said = msgspec.json.decode(payload, type=dict[str, list[float]])
    rows = np.array([said[name] for name in PR_ROWS], np.float32)
    content = write_integer(2, rows.shape[1])
    metadata = Metadata(plugin="pr_curves", content=content, data_class=TENSOR_CLASS)
    return Value(tag=tag, metadata=metadata, tensor=encode_numbers(rows))


def _mesh(item: Item) -> Value:
    details = item.details
    array = from_npy(item.payload)
    part = next((number for number, name in MESH_PARTS.items() if name == details.get("part")), 1)
    content = b"".join(
        (
            write_bytes(2, str(details.get("name", item.key))),
            write_integer(3, part),
            write_bytes(5, str(details.get("config", "{}"))),
            write_varints(6, [int(each) for each in details.get("shape", array.shape)]),
            write_integer(7, int(details.get("components", 14))),
        )
    )
    metadata = Metadata(plugin="mesh", content=content, data_class=BLOB_CLASS)
    numbers = array.astype(np.float32)
    return Value(tag=item.key, metadata=metadata, tensor=encode_numbers(numbers))


def _whole(details: Mapping[str, Any], name: str) -> int:
    number = details.get(name, 0)
    return int(number) if isinstance(number, int | float) else 0
