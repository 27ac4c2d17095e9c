"""What event files hold besides numbers, as the media of a run: both forms of each, the old message and the tensor.

What a plugin that is not known here wrote is kept as it is (kind `file`, the encoded `Summary.Value`), so that an
export gives it back.
"""

import io
import math
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np

from charkh.bridges.tensorboard.events import Metadata, Value, encode_value
from charkh.bridges.tensorboard.tensors import (
    Array,
    Histogram,
    Tensor,
    decode_audio,
    decode_histogram,
    decode_image,
    decode_tensor,
)
from charkh.bridges.tensorboard.wire import as_bytes, as_signed, as_text, as_unsigned, fields, varints
from charkh.core.errors import Corrupt
from charkh.core.redact import redact
from charkh.runs.histograms import MIME as HISTOGRAM_MIME
from charkh.runs.tabulate import MIME as TABLE_MIME

GRAPH_MIME = "application/vnd.tensorflow.graphdef"
META_GRAPH_MIME = "application/vnd.tensorflow.metagraphdef"
RUN_METADATA_MIME = "application/vnd.tensorflow.runmetadata"
VALUE_MIME = "application/vnd.tensorflow.summary.value"
ARRAY_MIME = "application/x-npy"
PR_CURVE_MIME = "application/vnd.charkh.pr-curve+json"
PR_ROWS = ("true_positives", "false_positives", "true_negatives", "false_negatives", "precision", "recall")
MESH_PARTS = {1: "vertices", 2: "faces", 3: "colors"}
MAX_DESCRIPTION = 2000
WAV = 11


class Item(NamedTuple):
    """One item: what `charkh.runs.media.MediaRecord` says of it, but for time and step."""

    key: str
    kind: str
    mime: str
    payload: bytes
    details: dict[str, Any]


def items_of(value: Value, metadata: Metadata | None) -> Iterator[Item]:
    """The media of a value that is no scalar.

    Args:
        value: of a summary.
        metadata: its own, or that of an earlier value of its tag; None where there is none.

    Raises:
        Corrupt: it cannot be read.
    """
    plugin = metadata.plugin if metadata is not None else ""
    if value.histogram is not None:
        yield _histogram(value.tag, decode_histogram(value.histogram))
    elif value.image is not None:
        image = decode_image(value.image)
        yield _image(value.tag, image.encoded, image.width, image.height, {})
    elif value.audio is not None:
        audio = decode_audio(value.audio)
        details: dict[str, Any] = (
            {"rate": int(audio.rate), "channels": audio.channels} if math.isfinite(audio.rate) else {}
        )
        if audio.frames and details.get("rate"):
            details["seconds"] = audio.frames / details["rate"]
        yield Item(value.tag, "audio", audio.mime or "audio/wav", audio.encoded, details)
    elif value.tensor is not None and metadata is not None and plugin in _TENSORS:
        try:
            array = decode_tensor(value.tensor)
            found = list(_TENSORS[plugin](value.tag, array, metadata))
        except (ValueError, struct.error, IndexError) as error:
            raise Corrupt(
                f"the {plugin} {value.tag[:80]!r} cannot be read: {error}", code="tensorboard.bad_event"
            ) from (error)
        for each in found:
            yield each._replace(details={**_described(metadata), **each.details})
    else:
        yield raw(value, metadata)


def raw(value: Value, metadata: Metadata | None) -> Item:
    """A value as it is, together with the metadata that an earlier one had."""
    whole = value if value.metadata is not None else msgspec.structs.replace(value, metadata=metadata)
    plugin = metadata.plugin if metadata is not None else ""
    return Item(value.tag, "file", VALUE_MIME, encode_value(whole), {"plugin": plugin[:200]})


def histogram_payload(counts: list[float], edges: list[float]) -> bytes:
    """A histogram as runs keep it (`charkh.runs.histograms`)."""
    return msgspec.json.encode({"counts": counts, "edges": edges})


def _described(metadata: Metadata) -> dict[str, Any]:
    said = {"description": metadata.description[:MAX_DESCRIPTION], "display_name": metadata.display_name[:200]}
    return {name: redact(text) for name, text in said.items() if text}


def _histogram(tag: str, histogram: Histogram) -> Item:
    counts = [each if math.isfinite(each) else 0.0 for each in histogram.counts]
    limits = [_bounded(each) for each in histogram.limits]
    if not counts:
        counts, limits = [0.0], [_bounded(histogram.greatest)]
    # The last limit is the greatest double; the greatest value ends the last bin that has any.
    last = max((place for place, count in enumerate(counts) if count), default=len(counts) - 1)
    counts, limits = counts[: last + 1], limits[: last + 1]
    first = min(_bounded(histogram.least), limits[0])
    if limits[-1] > histogram.greatest >= (limits[-2] if len(limits) > 1 else first):
        limits[-1] = histogram.greatest
    details = {
        "count": int(sum(counts)),
        "bins": len(counts),
        "low": first,
        "high": limits[-1],
        "sum": _bounded(histogram.total),
        "sum_squares": _bounded(histogram.squares),
    }
    return Item(tag, "histogram", HISTOGRAM_MIME, histogram_payload(counts, [first, *limits]), details)


def _bounded(number: float) -> float:
    """A number that JSON can say."""
    return min(max(number, -1.7976931348623157e308), 1.7976931348623157e308) if number == number else 0.0


def _image(tag: str, encoded: bytes, width: int, height: int, more: dict[str, Any]) -> Item:
    return Item(tag, "image", _picture_mime(encoded), encoded, {"width": width, "height": height, **more})


def _picture_mime(encoded: bytes) -> str:
    if encoded.startswith(b"\x89PNG"):
        return "image/png"
    if encoded.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "image/gif" if encoded.startswith(b"GIF8") else "application/octet-stream"


def _histogram_tensor(tag: str, array: Array | Tensor, metadata: Metadata) -> Iterator[Item]:
    del metadata
    bins = _numbers(array)
    if bins.ndim != 2 or (bins.size and bins.shape[1] != 3):
        raise ValueError(f"its shape is {bins.shape}, not bins of left, right and count")
    rows = np.nan_to_num(bins.astype(np.float64))
    if not rows.shape[0]:
        rows = np.zeros((1, 3))
    edges, counts = [*rows[:, 0].tolist(), float(rows[-1, 1])], rows[:, 2].tolist()
    details = {"count": int(sum(counts)), "bins": len(counts), "low": edges[0], "high": edges[-1]}
    yield Item(tag, "histogram", HISTOGRAM_MIME, histogram_payload(counts, edges), details)


def _images_tensor(tag: str, array: Array | Tensor, metadata: Metadata) -> Iterator[Item]:
    del metadata
    parts = _strings(array).strings
    width, height = (int(each) if each.isdigit() else 0 for each in parts[:2])
    for place, encoded in enumerate(parts[2:]):
        yield _image(tag, encoded, width, height, {"sample": place} if len(parts) > 3 else {})


def _audio_tensor(tag: str, array: Array | Tensor, metadata: Metadata) -> Iterator[Item]:
    sounds = _strings(array)
    encoding = next((as_unsigned(value) for number, _, value in fields(metadata.content) if number == 2), WAV)
    mime = "audio/wav" if encoding == WAV else "application/octet-stream"
    pairs = len(sounds.shape) == 2
    step = sounds.shape[1] if pairs and sounds.shape[1] else 1
    many = len(sounds.strings) > step
    for place, start in enumerate(range(0, len(sounds.strings), step)):
        label = sounds.strings[start + 1].decode("utf-8", "replace") if pairs and step > 1 else ""
        details: dict[str, Any] = {"sample": place} if many else {}
        yield Item(tag, "audio", mime, sounds.strings[start], {**details, **({"label": label} if label else {})})


def _text_tensor(tag: str, array: Array | Tensor, metadata: Metadata) -> Iterator[Item]:
    del metadata
    texts = _strings(array)
    plain = [redact(each.decode("utf-8", "replace")) for each in texts.strings]
    if len(texts.shape) < 1 or len(plain) == 1:
        yield Item(tag, "text", "text/markdown; charset=utf-8", "".join(plain).encode(), {})
        return
    width = texts.shape[1] if len(texts.shape) == 2 else 1
    rows = [plain[start : start + width] for start in range(0, len(plain), max(1, width))]
    names = [str(place) for place in range(width)] if width > 1 else ["text"]
    payload = msgspec.json.encode({"columns": names, "data": rows})
    yield Item(tag, "table", TABLE_MIME, payload, {"rows": len(rows), "columns": len(names)})


def _pr_curve_tensor(tag: str, array: Array | Tensor, metadata: Metadata) -> Iterator[Item]:
    rows = _numbers(array)
    if rows.ndim != 2 or rows.shape[0] != len(PR_ROWS):
        raise ValueError(f"its shape is {rows.shape}, not {len(PR_ROWS)} rows of thresholds")
    said = next((as_unsigned(value) for number, _, value in fields(metadata.content) if number == 2), rows.shape[1])
    count = min(said, rows.shape[1]) or rows.shape[1]
    finite = np.nan_to_num(rows.astype(np.float64))
    yield Item(tag, "pr_curve", PR_CURVE_MIME, pr_curve_payload(finite), {"thresholds": count})


def pr_curve_payload(rows: Array) -> bytes:
    """A PR curve as runs keep it: one list for each of `PR_ROWS`, and the thresholds from 0 to 1."""
    listed = {name: row.tolist() for name, row in zip(PR_ROWS, rows, strict=True)}
    return msgspec.json.encode({"thresholds": np.linspace(0, 1, rows.shape[1]).tolist(), **listed})


def _mesh_tensor(tag: str, array: Array | Tensor, metadata: Metadata) -> Iterator[Item]:
    details: dict[str, Any] = {"plugin": "mesh"}
    for number, kind, value in fields(metadata.content):
        if number == 2:
            details["name"] = as_text(value)[:200]
        elif number == 3:
            details["part"] = MESH_PARTS.get(as_unsigned(value), "")
        elif number == 5:
            details["config"] = as_text(value)[:4000]
        elif number == 6:
            details["shape"] = [*details.get("shape", []), *varints(kind, value)]
        elif number == 7:
            details["components"] = as_signed(value)
    yield Item(tag, "mesh", ARRAY_MIME, npy(_numbers(array)), details)


def _graph_tensor(tag: str, array: Array | Tensor, metadata: Metadata) -> Iterator[Item]:
    mime = "application/json" if metadata.plugin == "graph_keras_model" else GRAPH_MIME
    for each in _strings(array).strings:
        yield Item(tag, "graph", mime, as_bytes(each), {"plugin": metadata.plugin})


_TENSORS = {
    "histograms": _histogram_tensor,
    "images": _images_tensor,
    "audio": _audio_tensor,
    "text": _text_tensor,
    "pr_curves": _pr_curve_tensor,
    "mesh": _mesh_tensor,
    "graphs": _graph_tensor,
    "graph_keras_model": _graph_tensor,
}


def npy(array: Array) -> bytes:
    """An array as a NumPy file."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def from_npy(data: bytes) -> Array:
    """The array in a NumPy file; objects are refused.

    Raises:
        ValueError: it is none.
    """
    return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)


def _numbers(array: Array | Tensor) -> Array:
    if isinstance(array, Tensor):
        raise ValueError("it holds texts, not numbers")
    return array


def _strings(array: Array | Tensor) -> Tensor:
    if not isinstance(array, Tensor):
        raise ValueError("it holds numbers, not texts")
    return array
