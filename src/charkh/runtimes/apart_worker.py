"""The process that runs a model's foreign code: its own limits first, then the loader, then one answer a question.

It is started by `charkh.runtimes.apart` with pipes as its standard streams and next to nothing in its environment.
Without namespaces this limits damage; it is no jail.
"""

import contextlib
import ctypes
import importlib
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from charkh.core.errors import CharkhError, Invalid
from charkh.ports.runtimes import Signature
from charkh.runtimes.apart_wire import Ask, Reply, Start, pack, read_frame, unpack, write_frame

_NEW_NETWORK = 0x40000000
_NEW_USER = 0x10000000
_NO_NEW_PRIVILEGES = 38
_MAX_TOLD = 2000


def main() -> None:
    """Load what the first frame names and answer until the pipe is closed."""
    asked, answers = _take_pipes()
    first = read_frame(asked)
    if first is None:
        return
    start = msgspec.msgpack.decode(first, type=Start)
    confine(start)
    try:
        module, _, function = start.loader.partition(":")
        loader = getattr(importlib.import_module(module), function)
        predictor = loader(Path(start.folder), msgspec.convert(start.signature, Signature), *start.options)
    except Exception as error:  # noqa: BLE001 (foreign code may raise anything; who asked is told)
        write_frame(answers, Reply(failed=_told(error)))
        return
    write_frame(answers, Reply())
    while (payload := read_frame(asked)) is not None:
        write_frame(answers, _answer(predictor, payload))


def confine(start: Start) -> None:
    """Give up what the model has no need of: memory, large files, core dumps, new privileges, the network."""
    for kind, bound in (
        (resource.RLIMIT_AS, start.memory),
        (resource.RLIMIT_FSIZE, start.file_size),
        (resource.RLIMIT_NOFILE, start.open_files),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        limit = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (limit, limit))
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if not start.network and libc.unshare(_NEW_NETWORK):
        # Without privileges a network of one's own needs a user of one's own; where the system forbids both, it stays.
        libc.unshare(_NEW_USER | _NEW_NETWORK)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes to who asked; what the model prints goes to the error stream, and what it reads is empty."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.dup2(2, 1)
    return asked, answers


def _answer(predictor: Any, payload: bytes) -> Reply:
    try:
        ask = msgspec.msgpack.decode(payload, type=Ask)
        return Reply(outputs=pack(predictor.predict(unpack(ask.inputs))))
    except Invalid as error:
        return Reply(refused=error.message[:_MAX_TOLD])
    except Exception as error:  # noqa: BLE001 (foreign code may raise anything; who asked is told)
        return Reply(failed=_told(error))


def _told(error: Exception) -> str:
    text = error.message if isinstance(error, CharkhError) else ""
    with contextlib.suppress(Exception):  # a foreign exception may fail even to say what it is
        text = text or f"{type(error).__name__}: {error}"
    return (text or "it raised an error")[:_MAX_TOLD]
