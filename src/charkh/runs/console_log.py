"""The path of what is printed: lines are gathered where they are printed, and appended by a thread of their own.

A print costs its caller a few string operations. Credentials are taken out before anything is appended. The first
8 MiB are kept as they come; behind them the last lines wait in memory until the run ends, and what lies between is
counted.
"""

import contextlib
import os
import re
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable

import msgspec

from charkh.core.errors import CharkhError
from charkh.core.redact import redact
from charkh.ports.journal import Journal
from charkh.runs.console import CONTENT, PrintedLine
from charkh.runs.segment_log import SegmentLog

HEAD_BYTES = 8 * 1024 * 1024
TAIL_LINES = 2_000
FLUSH_SECONDS = 0.25
PROGRESS_SECONDS = 5.0
MAX_LINE = 20_000
"""Characters of one line; what is longer is cut."""

MAX_PARTS = 512
"""Pieces of one line after which they are put together."""

MAX_WAITING = 200_000
"""Lines that wait for the thread; beyond them they are counted and dropped."""

ROTATE_BYTES = 32 * 1024 * 1024
_encode = msgspec.msgpack.Encoder().encode
_MOVES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-ln-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z]|[=>78])")
"""Control sequences of a terminal but for colours (ECMA-48): where the cursor goes means nothing in a list of lines."""


class _Open:
    """The line that a stream is in the middle of."""

    __slots__ = ("began", "parts", "shown")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.began = 0.0
        self.shown = ""

    def take(self) -> str:
        """What stands on the line after its carriage returns; it stays open."""
        text = _returned("".join(self.parts))
        self.parts[:] = [text] if text else []
        return text


class ConsoleLog:
    """What one process of a run prints.

    Threads: may be shared.
    Fork: the child goes on in a segment and under a writer's name of its own.

    Args:
        journal: where data segments are opened.
        run: id of the run.
        writer: name of this process among the run's writers.
        head_bytes: how much is kept as it comes.
    """

    def __init__(self, journal: Journal, run: str, writer: str, head_bytes: int = HEAD_BYTES) -> None:
        self._log = SegmentLog(journal, CONTENT, run, writer, ROTATE_BYTES)
        self._log.what = "console lines"
        self._head_left = head_bytes
        self._lines: list[PrintedLine] = []
        self._tail: deque[PrintedLine] = deque(maxlen=TAIL_LINES)
        self._cut = 0
        self._open = (_Open(), _Open())
        # Re-entrant: a signal's handler may print in the middle of a print.
        self._lock = threading.RLock()
        self._flush_lock = threading.Lock()
        self._inside = threading.local()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._closed = False
        self._at_once = False
        _consoles.add(self)

    def print(self, stream: int, text: str) -> None:
        """Take what was printed to stdout (0) or stderr (1); it never raises for what a disk does."""
        line = self._open[stream]
        if "\n" not in text and line.parts and len(line.parts) < MAX_PARTS:
            # A part of a line that has begun; the append is one step, whatever other threads do.
            line.parts.append(text)
            return
        with self._lock:
            if self._closed:
                return
            self._take(line, stream, text)
            if self._thread is None and not self._at_once:
                self._start()
        if self._at_once and not getattr(self._inside, "flushing", False):
            self._inside.flushing = True
            try:
                self._flush_quietly()
            finally:
                self._inside.flushing = False

    def flush(self) -> None:
        """Append what was printed so far."""
        with self._flush_lock:
            with self._lock:
                lines, self._lines = self._lines, []
                progress = self._progress()
            if lines or progress:
                self._write([*lines, *progress])

    def close(self, aside: Callable[[], Journal] | None = None) -> tuple[list[str], int]:
        """Append the rest and let go; see `SegmentLog.close`."""
        with self._lock:
            if self._closed:
                return self._log.close(aside)
            self._closed = True
            for stream, each in enumerate(self._open):
                if each.parts:
                    self._end_line(each, stream)
        self._wake.set()
        self._flush_quietly()
        self._write_tail()
        return self._log.close(aside)

    def leave_to_parent(self) -> None:
        """In the child of a fork: what the parent has printed is the parent's, and its thread is not here."""
        self._lock, self._flush_lock = threading.RLock(), threading.Lock()
        self._wake = threading.Event()
        self._thread = None
        self._lines = []
        self._tail.clear()
        self._cut = 0
        self._open = (_Open(), _Open())
        # A child of a fork mostly ends without saying so (`os._exit`): nothing may wait.
        self._at_once = True

    def _take(self, line: _Open, stream: int, text: str) -> None:
        first, *rest = text.split("\n")
        if not line.parts:
            line.began = time.time()
        if first:
            line.parts.append(first)
        for part in rest:
            self._end_line(line, stream)
            line.began = time.time()
            if part:
                line.parts.append(part)
        if len(line.parts) >= MAX_PARTS:
            line.take()

    def _end_line(self, line: _Open, stream: int) -> None:
        text = line.take().rstrip("\r")
        line.parts.clear()
        line.shown = ""
        if len(self._lines) < MAX_WAITING:
            self._lines.append(PrintedLine(line.began or time.time(), stream, text))
        else:
            self._cut += 1

    def _progress(self) -> list[PrintedLine]:
        """Lines that are not ended and have stood for a while: a progress bar is seen while it moves."""
        now, found = time.time(), list[PrintedLine]()
        for stream, each in enumerate(self._open):
            if not each.parts or now - each.began <= PROGRESS_SECONDS:
                continue
            # Not `take`: another thread may append to the line meanwhile.
            text = _returned("".join(each.parts))
            if text != each.shown:
                found.append(PrintedLine(each.began, stream, text.rstrip("\r"), True))
                each.shown, each.began = text, now
        return found

    def _write(self, lines: list[PrintedLine]) -> None:
        sound = _sound(lines)
        if self._head_left > 0 and not self._cut:
            self._append(0, sound)
            return
        kept = [each for each in sound if not each.unfinished]
        for each in kept:
            self._cut += len(self._tail) == self._tail.maxlen
            self._tail.append(each)

    def _write_tail(self) -> None:
        if self._tail or self._cut:
            self._append(self._cut, list(self._tail))
            self._tail.clear()

    def _append(self, cut: int, lines: list[PrintedLine]) -> None:
        payload = _encode((cut, lines))
        self._head_left -= len(payload)
        self._log.append(payload)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="charkh-console", daemon=True)
        with contextlib.suppress(RuntimeError):
            # No thread can be started while the interpreter ends; `close` appends what waits.
            self._thread.start()

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(FLUSH_SECONDS)
            self._flush_quietly()

    def _flush_quietly(self) -> None:
        # The run has ended in between.
        with contextlib.suppress(CharkhError):
            self.flush()


def _returned(text: str) -> str:
    """What stands on a line after its carriage returns."""
    if "\r" in text:
        ended = text.endswith("\r")
        text = text.rstrip("\r").rpartition("\r")[2] + ("\r" if ended else "")
    return text if len(text) <= MAX_LINE else text[:MAX_LINE]


def _sound(lines: list[PrintedLine]) -> list[PrintedLine]:
    """The lines without credentials and cursor movements; one pass over all of them together."""
    whole = "\n".join(each.text for each in lines)
    clean = redact(_MOVES.sub("", whole) if "\x1b" in whole else whole).encode("utf-8", "replace").decode()
    texts = clean.split("\n")
    if len(texts) != len(lines):
        # A credential of several lines, such as a private key, has become one: nothing tells which line was which.
        first = lines[0]
        return [PrintedLine(first.time, first.stream, text) for text in texts]
    return [
        each if each.text == text else PrintedLine(each.time, each.stream, text, each.unfinished)
        for each, text in zip(lines, texts, strict=True)
    ]


_consoles: "weakref.WeakSet[ConsoleLog]" = weakref.WeakSet()


def _after_fork() -> None:
    for each in list(_consoles):
        each.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork)
