"""Hear what this process prints, and let it be printed as before.

The `write` of the stream itself is wrapped, and not the name `sys.stdout` replaced: who has kept a reference to the
stream, such as a logging handler, is heard too, and whether it is a terminal stays as it was. What child processes
and libraries in C write to the descriptors is heard where a log asks for that (`console_descriptors.py`); a stream
that does not end in one of them, such as a notebook's or that of a test runner, is heard at its `write` then too.
"""

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from charkh.runs.console_descriptors import DescriptorCapture
from charkh.runs.console_log import ConsoleLog

_lock = threading.RLock()
_hearing: tuple[ConsoleLog, ...] = ()
_wrapped: list["_Wrapped"] = []
_descriptors: DescriptorCapture | None = None
_asking: tuple[ConsoleLog, ...] = ()
"""Those of `_hearing` that ask for the descriptors."""

_logger = logging.getLogger("charkh")


class _Wrapped:
    """The `write` that stands in a stream's place; `on` turns false when it is not meant to be heard any more."""

    def __init__(self, stream: Any, number: int) -> None:
        self.on = True
        self.stream = stream
        self._original: Callable[[str], int] = stream.write
        self._number = number

    def write(self, text: str) -> int:
        written = self._original(text)
        # One `print` is several writes: nothing is called here that need not be.
        if self.on and isinstance(text, str) and not _passes(self.stream):  # pyright: ignore[reportUnnecessaryIsInstance]
            _tell(self._number, text)
        return written


def capture(log: ConsoleLog, *, descriptors: bool = False) -> None:
    """Let `log` have everything that is printed from now on, until `release`.

    Args:
        log: that hears.
        descriptors: what is written to the descriptors 1 and 2 by whomever, too.
    """
    global _hearing, _asking
    with _lock:
        if not _hearing:
            _wrap()
        _hearing = (*_hearing, log)
        if descriptors:
            _asking = (*_asking, log)
            _hear_descriptors()


def release(log: ConsoleLog) -> None:
    """Undo `capture`; a second call does nothing."""
    global _hearing, _asking, _descriptors
    with _lock:
        if log in _asking:
            _asking = tuple(each for each in _asking if each is not log)
            if not _asking and _descriptors is not None:
                _descriptors.stop()
                _descriptors = None
        if log in _hearing:
            _hearing = tuple(each for each in _hearing if each is not log)
            if not _hearing:
                _unwrap()


def _hear_descriptors() -> None:
    global _descriptors
    if _descriptors is None:
        heard = DescriptorCapture(_tell)
        try:
            heard.start()
        except OSError as error:
            _logger.warning("only what Python prints is kept: %s", error.strerror)
            return
        _descriptors = heard


def _passes(stream: Any) -> bool:
    """Whether what the stream writes is heard at its descriptor."""
    return _descriptors is not None and _descriptors.hears(stream)


def _tell(number: int, text: str) -> None:
    for each in _hearing:
        each.print(number, text)


def _wrap() -> None:
    streams: list[Any] = []
    for number, stream in enumerate((sys.stdout, sys.stderr)):
        # There is none in a window's process (pythonw), and both may be one and the same.
        if stream is None or any(stream is each for each in streams):
            continue
        streams.append(stream)
        _wrap_one(stream, number)


def _wrap_one(stream: Any, number: int) -> None:
    wrapped = _Wrapped(stream, number)
    # A stream without attributes of its own is printed to and not heard.
    with contextlib.suppress(AttributeError, TypeError):
        stream.write = wrapped.write
        _wrapped.append(wrapped)


def _unwrap() -> None:
    for each in _wrapped:
        each.on = False
        # Somebody may have wrapped it once more: then it stays as they left it, and is not heard.
        if each.stream.__dict__.get("write") == each.write:
            del each.stream.__dict__["write"]
    _wrapped.clear()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    if _descriptors is not None:
        _descriptors.after_fork()


os.register_at_fork(after_in_child=_after_fork)
