"""Processes that die: a function runs in the child of a fork, which then goes away without any clean-up."""

import os
import traceback
import warnings
from collections.abc import Callable, Sequence


def in_child(work: Callable[[], object]) -> None:
    """Run in a forked child that leaves like a crashed process: nothing is closed, flushed or sealed.

    Raises:
        AssertionError: the child's work raised.
    """
    in_children([work])


def in_children(works: Sequence[Callable[[], object]]) -> None:
    """Run each in a forked child of its own, all at once, and wait for all of them.

    Raises:
        AssertionError: a child's work raised.
    """
    children = [_fork(work) for work in works]
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert not any(ends), f"children ended with status {ends}"


def _fork(work: Callable[[], object]) -> int:
    with warnings.catch_warnings():
        # The journal's sync thread runs in the parent; what it means for a fork is what such a test is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(status)
