"""The path of `log`: check, one encoding, one append to this process's own data segment.

It waits for no lock that another process holds, decodes and folds nothing, and raises only for values that
are no numbers. Where the segment cannot be opened, records are counted as lost and the trouble is reported
once.
"""

import time
from collections.abc import Mapping
from typing import Any, cast

from charkh.core.errors import Invalid
from charkh.ports.journal import Journal
from charkh.runs.points import CONTENT, MAX_SECONDS, encode_record
from charkh.runs.run import bounded_text
from charkh.runs.segment_log import SegmentLog
from charkh.runs.values import checked_key

ROTATE_BYTES = 32 * 1024 * 1024
"""A segment with more bytes is closed, so that it can be sealed while the run goes on."""

MAX_STEP = 1 << 62
_now = time.time


class PointsLog(SegmentLog):
    """The metric points of one process in one run.

    Threads: may be shared; two threads that log one metric without a step may share a step.
    Fork: the child goes on in a segment and under a writer's name of its own.

    Args:
        journal: where data segments are opened.
        run: id of the run.
        writer: name of this process among the run's writers.
        rotate_bytes: size at which a segment is closed.
    """

    what = "metrics"

    def __init__(self, journal: Journal, run: str, writer: str, rotate_bytes: int = ROTATE_BYTES) -> None:
        super().__init__(journal, CONTENT, run, writer, rotate_bytes)
        self._known: dict[str, dict[str, int]] = {}

    def continue_from(self, steps: Mapping[str, Mapping[str, int]]) -> None:
        """Let values without a step go on: by context and key, the step that the next one has."""
        for context, known in steps.items():
            self._known.setdefault(context, {}).update(known)

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
                step = checked_step(step)
        except KeyError:
            self._log_checked(values, step, context, moment)
            return
        # `_write` once more: the call would cost a tenth of the whole.
        now = _now() if moment is None else checked_moment(moment)
        payload = encode_record((now, step, values, context) if context else (now, step, values))
        self._append(payload)
        self._room -= len(payload)
        if self._room < 0:
            self._rotate()

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
        moment = _now() if moment is None else checked_moment(moment)
        if step is not None:
            self._write(moment, checked_step(step), plain, context)
            return
        together: dict[int, dict[str, float]] = {}
        for key, value in plain.items():
            together.setdefault(known[key], {})[key] = value
            known[key] += 1
        for counted, part in together.items():
            self._write(moment, counted, part, context)


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


def checked_step(step: Any) -> int:
    index = getattr(step, "__index__", None)
    whole = index() if callable(index) else int(step) if isinstance(step, float) and step.is_integer() else None
    if not isinstance(whole, int) or not -MAX_STEP < whole < MAX_STEP:
        raise Invalid(
            f"the step {str(step)[:80]!r} is not a whole number below 2**62",
            code="run.bad_step",
            hint="Log the number of the batch or epoch.",
        )
    return int(whole)


def checked_moment(moment: float) -> float:
    if not -MAX_SECONDS < moment < MAX_SECONDS:
        raise Invalid(
            f"the time {moment!r} is no moment",
            code="run.bad_time",
            hint="Give seconds since 1970, such as time.time().",
        )
    return float(moment)
