"""The path of `log`: check, one encoding, one append to this process's own data segment.

It waits for no lock that another process holds, decodes and folds nothing, and raises only for values that
are no numbers. Where the segment cannot be opened, records are counted as lost and the trouble is reported
once.
"""

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, cast

from charkh.core.errors import CharkhError, Invalid
from charkh.core.ids import new_id
from charkh.ports.journal import DataHeader, DataWriter, Journal
from charkh.runs.membership import child_writer
from charkh.runs.points import CONTENT, MAX_SECONDS, encode_record
from charkh.runs.run import bounded_text
from charkh.runs.values import checked_key

ROTATE_BYTES = 32 * 1024 * 1024
"""A segment with more bytes is closed, so that it can be sealed while the run goes on."""

CLOSE_AFTER_SECONDS = 1.0
MAX_STEP = 1 << 62
_now = time.time
_log = logging.getLogger("charkh")


class PointsLog:
    """The metric points of one process in one run.

    Threads: may be shared; two threads that log one metric without a step may share a step.
    Fork: the child goes on in a segment and under a writer's name of its own.

    Args:
        journal: where data segments are opened.
        run: id of the run.
        writer: name of this process among the run's writers.
        rotate_bytes: size at which a segment is closed.
    """

    def __init__(self, journal: Journal, run: str, writer: str, rotate_bytes: int = ROTATE_BYTES) -> None:
        self.writer = writer
        self._journal = journal
        self._run = run
        self._rotate_bytes = rotate_bytes
        self.attempt = int(_now() * 1e6)
        self._known: dict[str, dict[str, int]] = {}
        self._room = rotate_bytes
        self._lost = 0
        self._reported = False
        self._lock = threading.Lock()
        self._writers: list[DataWriter] = []
        self._append: Callable[[bytes], int] = self._append_first
        _logs.add(self)

    def log(self, values: Mapping[str, Any], step: int | None, context: str, moment: float | None) -> None:
        """Append one record; see `charkh.runs.start.ActiveRun.log`."""
        known = self._known.get(context)
        if known is None or values.__class__ is not dict:
            self._log_checked(values, step, context, moment)
            return
        try:
            for key, value in values.items():
                # A key that is new raises KeyError.
                if value.__class__ is not float or known[key] < 0:
                    self._log_checked(values, step, context, moment)
                    return
            if step is None:
                steps = {known[key] for key in values}
                if len(steps) != 1:
                    self._log_checked(values, step, context, moment)
                    return
                step = steps.pop()
                for key in values:
                    known[key] = step + 1
            elif step.__class__ is not int or not -MAX_STEP < step < MAX_STEP:
                step = _checked_step(step)
        except KeyError:
            self._log_checked(values, step, context, moment)
            return
        # `_write` once more: the call would cost a tenth of the whole.
        now = _now() if moment is None else _checked_moment(moment)
        payload = encode_record((now, step, values, context) if context else (now, step, values))
        self._append(payload)
        self._room -= len(payload)
        if self._room < 0:
            self._rotate()

    def open(self) -> None:
        """Open the segment now: as long as it is held, the run is alive."""
        with self._lock:
            if self._append == self._append_first:
                self._open()

    def close(self) -> tuple[list[str], int]:
        """Let go of every segment; their ids, and how many records were lost. Nothing can be logged any more."""
        with self._lock:
            self._append = self._refuse
            writers, self._writers = self._writers, []
        for writer in writers:
            try:
                writer.close()
            except CharkhError as error:
                self._report(error)
                self._lost += writer.lost == 0
            self._lost += writer.lost
        return [writer.segment for writer in writers], self._lost

    def leave_to_parent(self) -> None:
        """In the child of a fork: what was opened is the parent's."""
        self.writer = child_writer(self.writer)
        self.attempt = int(_now() * 1e6)
        self._lock = threading.Lock()
        self._writers = []
        self._lost = 0
        if self._append != self._refuse:
            self._append = self._append_first

    def _write(self, moment: float, step: int, values: Mapping[str, float], context: str) -> None:
        payload = encode_record((moment, step, values, context) if context else (moment, step, values))
        self._append(payload)
        self._room -= len(payload)
        if self._room < 0:
            self._rotate()

    def _log_checked(self, values: Mapping[str, Any], step: int | None, context: str, moment: float | None) -> None:
        """The same for what is new or no plain float; records of one call split where their steps differ."""
        known = self._known.get(context)
        if known is None:
            bounded = bounded_text(context, "metric context")
            known = self._known.setdefault(bounded, {})
            context = bounded
        plain = {checked_key(key, "metric"): _number(key, value) for key, value in values.items()}
        for key in plain:
            known.setdefault(key, 0)
        moment = _now() if moment is None else _checked_moment(moment)
        if step is not None:
            self._write(moment, _checked_step(step), plain, context)
            return
        together: dict[int, dict[str, float]] = {}
        for key, value in plain.items():
            together.setdefault(known[key], {})[key] = value
            known[key] += 1
        for counted, part in together.items():
            self._write(moment, counted, part, context)

    def _append_first(self, payload: bytes) -> int:
        with self._lock:
            if self._append == self._append_first and not self._open():
                self._lost += 1
                return -1
        return self._append(payload)

    def _open(self) -> bool:
        header = DataHeader(
            segment=new_id(),
            content=CONTENT,
            subject=f"run:{self._run}",
            writer=self.writer,
            attempt=self.attempt,
        )
        try:
            writer = self._journal.open_data(header)
        except CharkhError as error:
            self._report(error)
            return False
        self._writers.append(writer)
        self._room = self._rotate_bytes
        self._append = writer.append
        return True

    def _rotate(self) -> None:
        with self._lock:
            if self._room >= 0 or not self._writers or self._append == self._refuse:
                return
            old = self._writers[-1]
            if not self._open():
                self._room = self._rotate_bytes
                return
        # Closing waits for the disk, and another thread may still be inside the old segment's append.
        timer = threading.Timer(CLOSE_AFTER_SECONDS, _close_quietly, [old])
        timer.daemon = True
        timer.start()

    def _refuse(self, payload: bytes) -> int:
        del payload
        raise Invalid(
            f"run {self._run} has ended: nothing can be logged to it",
            code="run.ended",
            hint="Log inside the `with` block, or start another run.",
        )

    def _report(self, error: CharkhError) -> None:
        if not self._reported:
            _log.warning("metrics of run %s are not kept: %s", self._run, error)
        self._reported = True


def _number(key: object, value: Any) -> float:
    # NumPy's and Torch's scalars, and arrays of one element, without importing either.
    item = getattr(value, "item", None)
    try:
        plain: Any = item() if callable(item) else value
        if hasattr(plain, "__float__"):
            return float(plain)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        # An array of several elements, a tensor of no storage, an integer beyond every float.
        pass
    shown = cast(object, value)
    raise Invalid(
        f"the metric {str(key)[:80]!r} is {type(shown).__name__}, not a number",
        code="run.bad_metric",
        hint="Log one number: float(x), or x.item() of a tensor with one element.",
    )


def _checked_step(step: Any) -> int:
    index = getattr(step, "__index__", None)
    whole = index() if callable(index) else int(step) if isinstance(step, float) and step.is_integer() else None
    if not isinstance(whole, int) or not -MAX_STEP < whole < MAX_STEP:
        raise Invalid(
            f"the step {str(step)[:80]!r} is not a whole number below 2**62",
            code="run.bad_step",
            hint="Log the number of the batch or epoch.",
        )
    return int(whole)


def _checked_moment(moment: float) -> float:
    if not -MAX_SECONDS < moment < MAX_SECONDS:
        raise Invalid(
            f"the time {moment!r} is no moment",
            code="run.bad_time",
            hint="Give seconds since 1970, such as time.time().",
        )
    return float(moment)


def _close_quietly(writer: DataWriter) -> None:
    try:
        writer.close()
    except CharkhError as error:
        _log.warning("segment %s was not closed cleanly: %s", writer.segment, error)


_logs: "weakref.WeakSet[PointsLog]" = weakref.WeakSet()


def _after_fork() -> None:
    for each in list(_logs):
        each.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork)
