"""The run that code logs to without naming it: the innermost one entered, of this task or of this process."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charkh.runs.start import ActiveRun

_current: ContextVar[ActiveRun | None] = ContextVar("charkh_run", default=None)
_entered: list[ActiveRun] = []
"""Entered and not left, in order, of all threads: a thread that entered none logs to the latest."""

Entered = Token["ActiveRun | None"]


def current() -> ActiveRun | None:
    """The run around this code; None where there is none."""
    mine = _current.get()
    if mine is not None and not mine.ended:
        return mine
    for each in reversed(_entered):
        if not each.ended:
            return each
    return None


def enter(run: ActiveRun) -> Entered:
    """Make `run` the current one until `leave`."""
    _entered.append(run)
    return _current.set(run)


def leave(run: ActiveRun, token: Entered) -> None:
    """Undo `enter`; it may be called from another task, as at the end of the process."""
    if run in _entered:
        _entered.remove(run)
    try:
        _current.reset(token)
    except ValueError:
        # Entered in another task: what is current there ends with it.
        return
