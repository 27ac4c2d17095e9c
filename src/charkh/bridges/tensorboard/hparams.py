"""HParamsPluginData: the params of a session, how it ended, and what the experiment measures.

Source: tensorboard/plugins/hparams/{plugin_data,api}.proto. TensorBoard knows the columns that the first experiment
of a folder names and no other ones; here every session brings its own.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from charkh.bridges.tensorboard.events import Metadata, Value
from charkh.bridges.tensorboard.tensors import FLOAT
from charkh.bridges.tensorboard.wire import (
    as_bytes,
    as_double,
    as_text,
    as_unsigned,
    fields,
    write_bytes,
    write_double,
    write_integer,
)

PLUGIN = "hparams"
EXPERIMENT_TAG = "_hparams_/experiment"
START_TAG = "_hparams_/session_start_info"
END_TAG = "_hparams_/session_end_info"
SUCCESS, FAILURE, RUNNING = 1, 2, 3
_MAX_DEPTH = 50
Plain = None | bool | float | str | list[Any] | dict[str, Any]


class SessionStart(msgspec.Struct, frozen=True, kw_only=True):
    """A session began: its params, and the group that tries of one setting share."""

    params: dict[str, Any] = {}
    group: str = ""
    time: float = 0.0


class SessionEnd(msgspec.Struct, frozen=True, kw_only=True):
    """A session ended; `status` is `SUCCESS`, `FAILURE` or another."""

    status: int = 0
    time: float = 0.0


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """What an experiment says of all its sessions: the names of params and the tags of metrics."""

    params: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


def decode_plugin(content: bytes) -> SessionStart | SessionEnd | Experiment | None:
    """What the content of a tag's metadata says; None for what a later version may bring.

    Raises:
        Corrupt: it is no such message.
    """
    for number, _, value in fields(content):
        if number == 2:
            return _experiment(as_bytes(value))
        if number == 3:
            return _start(as_bytes(value))
        if number == 4:
            return _end(as_bytes(value))
    return None


def experiment_value(params: Mapping[str, Iterable[Any]], metrics: Sequence[str]) -> Value:
    """The value that names every param, with the values it has, and every metric."""
    infos = b"".join(write_bytes(4, _param_info(name, list(values))) for name, values in sorted(params.items()))
    measured = b"".join(write_bytes(5, write_bytes(1, write_bytes(2, tag))) for tag in metrics)
    return _value(EXPERIMENT_TAG, write_bytes(2, infos + measured))


def start_value(start: SessionStart) -> Value:
    """The value that begins a session."""
    entries = (
        write_bytes(1, write_bytes(1, name) + write_bytes(2, encode_plain(value)))
        for name, value in sorted(start.params.items())
    )
    group = write_bytes(4, start.group) if start.group else b""
    return _value(START_TAG, write_bytes(3, b"".join((*entries, group, write_double(5, start.time)))))


def end_value(end: SessionEnd) -> Value:
    """The value that ends a session."""
    return _value(END_TAG, write_bytes(4, write_integer(1, end.status) + write_double(2, end.time)))


def decode_plain(data: bytes, depth: int = 0) -> Plain:
    """A google.protobuf.Value.

    Raises:
        Corrupt: it is none.
    """
    if depth > _MAX_DEPTH:
        return None
    for number, _, value in fields(data):
        if number == 2:
            return as_double(value)
        if number == 3:
            return as_text(value)
        if number == 4:
            return bool(as_unsigned(value))
        if number == 5:
            return dict(_entry(as_bytes(each), depth + 1) for inner, _, each in fields(as_bytes(value)) if inner == 1)
        if number == 6:
            return [decode_plain(as_bytes(each), depth + 1) for inner, _, each in fields(as_bytes(value)) if inner == 1]
    return None


def encode_plain(value: Any) -> bytes:
    """A google.protobuf.Value; lists and dicts as JSON text, because TensorBoard shows no others."""
    if isinstance(value, bool):
        return write_integer(4, int(value))
    if isinstance(value, int | float):
        return write_double(2, value)
    if value is None:
        return write_integer(1, 0)
    return write_bytes(3, value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str))


def whole(value: Plain) -> Plain:
    """A number without a fraction as an integer: hparams have doubles alone, and a batch size is none."""
    if isinstance(value, float) and math.isfinite(value) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _value(tag: str, message: bytes) -> Value:
    # The version is 0, which is left out; the data is in the metadata, beside an empty tensor.
    metadata = Metadata(plugin=PLUGIN, content=message)
    return Value(tag=tag, metadata=metadata, tensor=write_integer(1, FLOAT) + write_bytes(2, _EMPTY_SHAPE))


_EMPTY_SHAPE = write_bytes(2, write_integer(1, 0))


def _start(data: bytes) -> SessionStart:
    params: dict[str, Any] = {}
    group, time = "", 0.0
    for number, _, value in fields(data):
        if number == 1:
            name, plain = _entry(as_bytes(value), 0)
            params[name] = plain
        elif number == 4:
            group = as_text(value)
        elif number == 5:
            time = as_double(value)
    return SessionStart(params=params, group=group, time=time)


def _end(data: bytes) -> SessionEnd:
    status, time = 0, 0.0
    for number, _, value in fields(data):
        if number == 1:
            status = as_unsigned(value)
        elif number == 2:
            time = as_double(value)
    return SessionEnd(status=status, time=time)


def _experiment(data: bytes) -> Experiment:
    params: list[str] = []
    metrics: list[str] = []
    for number, _, value in fields(data):
        if number == 4:
            params += [as_text(each) for inner, _, each in fields(as_bytes(value)) if inner == 1]
        elif number == 5:
            names = [as_bytes(each) for inner, _, each in fields(as_bytes(value)) if inner == 1]
            metrics += [as_text(each) for name in names for inner, _, each in fields(name) if inner == 2]
    return Experiment(params=tuple(params), metrics=tuple(metrics))


def _entry(data: bytes, depth: int) -> tuple[str, Plain]:
    name, plain = "", None
    for number, _, value in fields(data):
        if number == 1:
            name = as_text(value)
        elif number == 2:
            plain = decode_plain(as_bytes(value), depth)
    return name, plain


_STRING_TYPE, _BOOL_TYPE, _NUMBER_TYPE = 1, 2, 3


def _param_info(name: str, values: list[Any]) -> bytes:
    if all(isinstance(each, bool) for each in values):
        kind = _BOOL_TYPE
    elif all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
        kind = _NUMBER_TYPE
    else:
        kind = _STRING_TYPE
    listed = b"".join(write_bytes(1, encode_plain(each)) for each in values)
    domain = write_bytes(5, listed) if kind != _NUMBER_TYPE else b""
    return b"".join((write_bytes(1, name), write_integer(4, kind), domain))
