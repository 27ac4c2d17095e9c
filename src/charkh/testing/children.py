"""Processes that die: a function runs in the child of a fork, which then goes away without any clean-up."""

import os
import signal
import traceback
import warnings
from collections.abc import Callable


def in_child(work: Callable[[], object]) -> None:
    """Run in a forked child that leaves like a crashed process: nothing is closed, flushed or sealed.

    Raises:
        AssertionError: the child's work raised.
    """
    with warnings.catch_warnings():
        # The journal's sync thread runs in the parent; what it means for a fork is what such a test is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(status)
    _pid, status = os.waitpid(child, 0)
    assert status == 0, f"the child ended with {signal.Signals(status).name if 0 < status < 128 else status}"
