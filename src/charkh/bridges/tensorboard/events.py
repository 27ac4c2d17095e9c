"""The messages of an event file: `Event`, the values of its `Summary`, and their metadata.

Source: tensorboard/compat/proto/{event,summary}.proto, the fields that writers of PyTorch, TensorFlow and tensorboardX
use. Unknown fields are passed over; what a value holds beside its tag stays bytes until somebody asks for it.
"""

import math

import msgspec

from charkh.bridges.tensorboard.wire import (
    FIXED32,
    as_bytes,
    as_double,
    as_float,
    as_signed,
    as_text,
    as_unsigned,
    fields,
    write_bytes,
    write_double,
    write_float,
    write_integer,
)

FILE_VERSION = "brain.Event:2"
SESSION_START = 1
SCALAR_CLASS, TENSOR_CLASS, BLOB_CLASS = 1, 2, 3


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """SummaryMetadata: which plugin a tag belongs to; written with the first value of a tag, or with every one.

    Attributes:
        plugin: such as `scalars`; empty where the kind of the value says it.
        content: the plugin's own message.
        display_name: for people.
        description: for people, in Markdown.
        data_class: 1 scalar, 2 tensor, 3 blob sequence; 0 unset.
    """

    plugin: str = ""
    content: bytes = b""
    display_name: str = ""
    description: str = ""
    data_class: int = 0


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Summary.Value: one of the bytes below, or `simple`, is set.

    Attributes:
        tag: its name.
        metadata: None where the value has none.
        simple: a float32.
        image, histogram, audio, tensor: the encoded message.
    """

    tag: str
    metadata: Metadata | None = None
    simple: float | None = None
    image: bytes | None = None
    histogram: bytes | None = None
    audio: bytes | None = None
    tensor: bytes | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Event.

    Attributes:
        time: seconds since the epoch.
        step: of the training.
        file_version: set in the first event of a file alone.
        graph: GraphDef.
        meta_graph: MetaGraphDef.
        run_metadata: RunMetadata by its tag, of one step that was traced.
        values: of the summary.
        session: status of the session log, `SESSION_START` where a writer went on from a checkpoint; None without one.
    """

    time: float = 0.0
    step: int = 0
    file_version: str = ""
    graph: bytes | None = None
    meta_graph: bytes | None = None
    run_metadata: tuple[str, bytes] | None = None
    values: tuple[Value, ...] = ()
    session: int | None = None


def decode_event(data: bytes) -> Event:
    """The event in a record.

    Raises:
        Corrupt: it is none.
    """
    found: dict[str, object] = {}
    values: list[Value] = []
    for number, _, value in fields(data):
        if number == 1:
            time = as_double(value)
            found["time"] = time if math.isfinite(time) else 0.0
        elif number == 2:
            found["step"] = as_signed(value)
        elif number == 3:
            found["file_version"] = as_text(value)
        elif number == 4:
            found["graph"] = as_bytes(value)
        elif number == 5:
            values += [decode_value(as_bytes(each)) for inner, _, each in fields(as_bytes(value)) if inner == 1]
        elif number == 7:
            found["session"] = next((as_unsigned(each) for inner, _, each in fields(as_bytes(value)) if inner == 1), 0)
        elif number == 8:
            found["run_metadata"] = _run_metadata(as_bytes(value))
        elif number == 9:
            found["meta_graph"] = as_bytes(value)
    return msgspec.convert({**found, "values": tuple(values)}, Event)


def decode_value(data: bytes) -> Value:
    """One value of a summary.

    Raises:
        Corrupt: it is none.
    """
    found: dict[str, object] = {"tag": ""}
    for number, kind, value in fields(data):
        if number == 1:
            found["tag"] = as_text(value)
        elif number == 2 and kind == FIXED32:
            found["simple"] = as_float(value)
        elif number in _PARTS:
            found[_PARTS[number]] = as_bytes(value)
        elif number == 9:
            found["metadata"] = decode_metadata(as_bytes(value))
    return Value(**found)  # pyright: ignore[reportArgumentType]


_PARTS = {4: "image", 5: "histogram", 6: "audio", 8: "tensor"}


def decode_metadata(data: bytes) -> Metadata:
    """SummaryMetadata.

    Raises:
        Corrupt: it is none.
    """
    plugin, content, display_name, description, data_class = "", b"", "", "", 0
    for number, _, value in fields(data):
        if number == 1:
            for inner, _, each in fields(as_bytes(value)):
                if inner == 1:
                    plugin = as_text(each)
                elif inner == 2:
                    content = as_bytes(each)
        elif number == 2:
            display_name = as_text(value)
        elif number == 3:
            description = as_text(value)
        elif number == 4:
            data_class = as_unsigned(value)
    return Metadata(
        plugin=plugin, content=content, display_name=display_name, description=description, data_class=data_class
    )


def encode_event(event: Event) -> bytes:
    """The bytes of an event; fields that are unset stay away, as in protocol buffers of the third version."""
    parts = [write_double(1, event.time)]
    if event.step:
        parts.append(write_integer(2, event.step))
    if event.file_version:
        parts.append(write_bytes(3, event.file_version))
    if event.graph is not None:
        parts.append(write_bytes(4, event.graph))
    if event.values:
        parts.append(write_bytes(5, b"".join(write_bytes(1, encode_value(each)) for each in event.values)))
    if event.session is not None:
        parts.append(write_bytes(7, write_integer(1, event.session)))
    if event.run_metadata is not None:
        tag, metadata = event.run_metadata
        parts.append(write_bytes(8, write_bytes(1, tag) + write_bytes(2, metadata)))
    if event.meta_graph is not None:
        parts.append(write_bytes(9, event.meta_graph))
    return b"".join(parts)


def encode_value(value: Value) -> bytes:
    """The bytes of one value."""
    parts = [write_bytes(1, value.tag)]
    if value.simple is not None:
        parts.append(write_float(2, value.simple))
    for number, name in _PARTS.items():
        part: bytes | None = getattr(value, name)
        if part is not None:
            parts.append(write_bytes(number, part))
    if value.metadata is not None:
        parts.append(write_bytes(9, encode_metadata(value.metadata)))
    return b"".join(parts)


def encode_metadata(metadata: Metadata) -> bytes:
    """The bytes of a value's metadata."""
    plugin = write_bytes(1, metadata.plugin) + (write_bytes(2, metadata.content) if metadata.content else b"")
    parts = [write_bytes(1, plugin)]
    if metadata.display_name:
        parts.append(write_bytes(2, metadata.display_name))
    if metadata.description:
        parts.append(write_bytes(3, metadata.description))
    if metadata.data_class:
        parts.append(write_integer(4, metadata.data_class))
    return b"".join(parts)


def _run_metadata(data: bytes) -> tuple[str, bytes]:
    tag, metadata = "", b""
    for number, _, value in fields(data):
        if number == 1:
            tag = as_text(value)
        elif number == 2:
            metadata = as_bytes(value)
    return tag, metadata
