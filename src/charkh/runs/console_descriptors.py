"""Hear what is written to the descriptors 1 and 2: by this process, by libraries in C, and by the processes it starts.

A pipe stands in each descriptor's place, or a pseudoterminal where there was a terminal, and a thread passes on what
comes out of it. Another process (`GUARD`), asleep until this one is gone, then passes on what is left: whoever still
writes never waits for a reader that died, and what a crashing library said last is printed.
"""

import codecs
import contextlib
import errno
import fcntl
import os
import select
import sys
import termios
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

BLOCK_BYTES = 65536
DRAIN_SECONDS = 10.0
"""How long `stop` waits until what was printed has been passed on, such as to a pager that nobody moves."""

HEARD_VARIABLE = "CHARKH_RUN_HEARD"
"""Names the pipes to a child, so that one whose output already passes through them does not hear itself once more."""

FIRST = 64
"""Descriptors are kept from here on: commands of a shell name the low ones."""

GUARD = """(
cat_rest() { read -r _ <&3; cat <&4 >&6 3<&- 4<&- 5<&- 6>&- 7>&- & cat <&5 >&7 3<&- 4<&- 5<&- 6>&- 7>&- & }
cat_rest; exec 3<&- 4<&- 5<&- 6>&- 7>&-; wait
) &"""


class _Way(NamedTuple):
    """One descriptor: a copy of what stood there, what stands there now, and the end at which that is read."""

    number: int
    before: int
    reading: int
    stands: str
    decoder: codecs.IncrementalDecoder


class DescriptorCapture:
    """Both descriptors, heard from `start` to `stop`.

    Fork: the child goes on writing to its parent's pipe, and the parent hears it.

    Args:
        heard: told what was written: 0 for stdout or 1 for stderr, and the text.
    """

    def __init__(self, heard: Callable[[int, str], None]) -> None:
        self._heard = heard
        self._process = os.getpid()
        self._ways: tuple[_Way, ...] = ()
        self._kept: list[int] = []
        self._wake = -1
        self._copy: tuple[int, int] = (-1, -1)
        self._tee: Callable[[int, int, int, int], int] | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._drained = threading.Event()

    def hears(self, stream: Any) -> bool:
        """Whether what a stream of Python writes passes here."""
        try:
            descriptor = stream.fileno()
        except (AttributeError, OSError, ValueError):
            return False
        return any(way.number + 1 == descriptor for way in self._ways)

    def start(self) -> None:
        """Stand in the place of the descriptors that are open.

        Raises:
            OSError: no more files may be open, or no thread can be started; everything is as it was.
        """
        _flush()
        writing: list[int] = []
        try:
            for number in (0, 1):
                if _is_open(number + 1):
                    self._ways += (self._open(number, writing),)
            woken, self._wake = self._keep(*os.pipe())
            copied, copying = self._keep(*os.pipe())
            self._copy, self._tee = (copied, copying), _system_tee()
            self._guard()
            for way, descriptor in zip(self._ways, writing, strict=True):
                os.dup2(descriptor, way.number + 1, inheritable=True)
            arguments = ({way.reading: way for way in self._ways}, woken)
            threading.Thread(target=self._run, args=arguments, name="charkh-descriptors", daemon=True).start()
        except (OSError, RuntimeError) as error:
            self._let_go()
            raise OSError(errno.EAGAIN, f"what is printed cannot be heard: {error}") from error
        finally:
            for descriptor in writing:
                os.close(descriptor)
        os.environ[HEARD_VARIABLE] = " ".join(way.stands for way in self._ways)

    def stop(self) -> None:
        """Put back what stood there, and wait until what was written is passed on; a second call does nothing."""
        if self._process != os.getpid() or self._stopping.is_set():
            return
        os.environ.pop(HEARD_VARIABLE, None)
        _flush()
        with self._lock:
            for way in self._ways:
                _restore(way)
            self._stopping.set()
            if self._kept:
                os.write(self._wake, b"\0")
        self._drained.wait(DRAIN_SECONDS)

    def after_fork(self) -> None:
        """In the child: the reading ends are the parent's, and so is what shows that the parent lives."""
        for descriptor in self._kept:
            os.close(descriptor)
        self._kept = []
        self._lock = threading.Lock()

    def _open(self, number: int, writing: list[int]) -> _Way:
        """Make what is to stand in a descriptor's place; its writing end is added to `writing`."""
        (before,) = self._keep(os.dup(number + 1))
        reading, end = _terminal_like(before) if os.isatty(before) else os.pipe()
        (reading,) = self._keep(reading)
        writing.append(_high(end))
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        return _Way(number, before, reading, _identity(writing[-1]), decoder)

    def _keep(self, *descriptors: int) -> list[int]:
        high = [_high(each) for each in descriptors]
        self._kept += high
        return high

    def _guard(self) -> None:
        """Start the process that wakes when this one is gone: it sees the end of a pipe that only this one holds."""
        life, mine = os.pipe()
        self._keep(mine)
        # High numbers: what an action writes to is not read by a later one.
        life, nothing = _high(life), _high(os.open(os.devnull, os.O_RDWR))
        ends = {way.number: way for way in self._ways}
        actions = [(os.POSIX_SPAWN_DUP2, life, 3)]
        for number in (0, 1):
            way = ends.get(number)
            actions.append((os.POSIX_SPAWN_DUP2, way.reading if way else nothing, 4 + number))
            actions.append((os.POSIX_SPAWN_DUP2, way.before if way else nothing, 6 + number))
        actions += [(os.POSIX_SPAWN_DUP2, nothing, number) for number in (0, 1, 2)]
        try:
            shell = os.posix_spawn("/bin/sh", ["sh", "-c", GUARD], os.environ, file_actions=actions, setsid=True)
            # It leaves the guard behind at once, so that nobody who waits for children meets it.
            os.waitpid(shell, 0)
        except FileNotFoundError:
            # Without a shell, whoever writes on behind the end of this process is told that nobody reads.
            return
        finally:
            os.close(life)
            os.close(nothing)

    def _run(self, ways: dict[int, _Way], woken: int) -> None:
        """Pass on until nobody can write any more, which may be long behind `stop` where a child goes on."""
        poll = select.poll()
        for descriptor in (*ways, woken):
            poll.register(descriptor, select.POLLIN)
        try:
            while ways:
                ready = [each for each, _ in poll.poll(0 if self._stopping.is_set() else None)]
                if not ready:
                    self._drained.set()
                    ready = [each for each, _ in poll.poll()]
                if woken in ready:
                    poll.unregister(woken)
                for descriptor in ready:
                    if descriptor in ways and not self._pass_on(ways[descriptor]):
                        poll.unregister(descriptor)
                        del ways[descriptor]
        finally:
            # Whatever ends this thread: nobody is left writing into what nobody reads.
            with self._lock:
                self._let_go()
            self._drained.set()

    def _pass_on(self, way: _Way) -> bool:
        """One block; whether there may be more.

        It is taken out when it has been passed on: if this process dies in between, the guard says it again rather
        than nobody at all.
        """
        try:
            seen = self._look(way)
            data = seen or os.read(way.reading, BLOCK_BYTES)
        except OSError:
            # A pseudoterminal that nobody has open any more answers so.
            return False
        _write(way.before, data)
        if seen:
            os.read(way.reading, len(seen))
        if not self._drained.is_set() and (text := way.decoder.decode(data, final=not data)):
            self._heard(way.number, text)
        return bool(data)

    def _look(self, way: _Way) -> bytes:
        """What is in a pipe, without taking it out; nothing at its end, or where the system cannot do so."""
        copied, copying = self._copy
        size = -1 if self._tee is None else self._tee(way.reading, copying, BLOCK_BYTES, 0)
        return os.read(copied, size) if size > 0 else b""

    def _let_go(self) -> None:
        for way in self._ways:
            _restore(way)
        kept, self._kept, self._ways = self._kept, [], ()
        for descriptor in kept:
            os.close(descriptor)


def _system_tee() -> Callable[[int, int, int, int], int] | None:
    """tee(2) of Linux, which copies what is in a pipe into another one and leaves it there."""
    # Here, because most runs do not hear descriptors.
    import ctypes

    return getattr(ctypes.CDLL(None), "tee", None)


def is_heard_by_parent() -> bool:
    """Whether what this process prints passes through the pipes of a process that started it."""
    heard = os.environ.get(HEARD_VARIABLE, "").split()
    return bool(heard) and any(_is_open(each) and _identity(each) in heard for each in (1, 2))


def _restore(way: _Way) -> None:
    """Put back what stood there, unless somebody has put something else in its place meanwhile."""
    with contextlib.suppress(OSError):
        if _identity(way.number + 1) == way.stands:
            os.dup2(way.before, way.number + 1, inheritable=True)


def _write(descriptor: int, data: bytes) -> None:
    """All of it, as slowly as whoever reads there; nothing where nobody does any more."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
        except OSError:
            return


def _terminal_like(terminal: int) -> tuple[int, int]:
    """A pseudoterminal of the same size, that changes no byte: who looks whether it is one still finds one."""
    reading, writing = os.openpty()
    with contextlib.suppress(termios.error):
        attributes = termios.tcgetattr(writing)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(writing, termios.TCSANOW, attributes)
        termios.tcsetwinsize(writing, termios.tcgetwinsize(terminal))
    return reading, writing


def _high(descriptor: int) -> int:
    """The same under a number that nobody else uses."""
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST)
    finally:
        os.close(descriptor)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _identity(descriptor: int) -> str:
    status = os.fstat(descriptor)
    return f"{status.st_dev}:{status.st_ino}"


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # A stream that is closed, or whose reader is gone, or that is none, has nothing more to say.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
