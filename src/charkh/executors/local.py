"""Executors of one machine: inline, a pool of threads, a pool of processes."""

import contextvars
import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor as Pool
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from charkh.core.errors import Invalid, Locked, Unavailable
from charkh.ports.executors import Call


class InlineExecutor:
    """Runs each call in the caller's thread before `submit` returns: for debuggers and tests."""

    def __init__(self) -> None:
        self._closed = False

    def submit(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Call:
        """See `charkh.ports.executors.Executor`."""
        if self._closed:
            raise _closed()
        future = Future[Any]()
        try:
            future.set_result(function(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - the call's own error belongs to whoever asks for the result
            future.set_exception(error)
        return _PoolCall(future)

    def close(self, *, cancel: bool = False) -> None:
        """Nothing is under way."""
        del cancel
        self._closed = True


class PoolExecutor:
    """Runs calls in a pool.

    A call in a thread sees the submitter's context variables, so that logging inside it finds the run.

    Args:
        pool: threads or processes; owned from now on.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def submit(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Call:
        """See `charkh.ports.executors.Executor`.

        Raises:
            Invalid: the executor has been closed.
            Unavailable: the pool has lost a worker, for instance to the out-of-memory killer.
        """
        try:
            if isinstance(self._pool, ThreadPoolExecutor):
                context = contextvars.copy_context()
                return _PoolCall(self._pool.submit(context.run, function, *arguments, **named))
            return _PoolCall(self._pool.submit(function, *arguments, **named))
        except BrokenProcessPool as error:
            raise _lost_worker() from error
        except RuntimeError as error:
            raise _closed() from error

    def close(self, *, cancel: bool = False) -> None:
        """Wait for the calls under way; with `cancel`, give up those that have not begun."""
        self._pool.shutdown(wait=True, cancel_futures=cancel)


class _PoolCall:
    def __init__(self, future: "Future[Any]") -> None:
        self._future = future

    def result(self, timeout: float | None = None) -> Any:
        try:
            return self._future.result(timeout)
        except BrokenProcessPool as error:
            raise _lost_worker() from error
        except TimeoutError as error:
            if self._future.done():
                raise
            raise Locked(
                f"the call has not finished within {timeout} s",
                code="executor.timeout",
                hint="Wait longer; the call is still under way.",
            ) from error


def thread_executor(workers: int) -> PoolExecutor:
    """An executor over `workers` threads: for calls that wait, or compute outside the interpreter's lock."""
    return PoolExecutor(ThreadPoolExecutor(_at_least_one(workers), thread_name_prefix="charkh-call"))


def process_executor(workers: int) -> PoolExecutor:
    """An executor over `workers` processes; functions, arguments and results must be picklable.

    The processes are spawned, not forked: a fork of a process with threads can hang for ever.
    """
    context = multiprocessing.get_context("spawn")
    return PoolExecutor(ProcessPoolExecutor(_at_least_one(workers), mp_context=context))


def _at_least_one(workers: int) -> int:
    if workers < 1:
        raise Invalid(f"an executor needs a worker, not {workers}", code="executor.invalid", hint="Give 1 or more.")
    return workers


def _closed() -> Invalid:
    return Invalid("the executor has been closed", code="executor.closed", hint="Make a new executor.")


def _lost_worker() -> Unavailable:
    return Unavailable(
        "a worker process died while it ran a call",
        code="executor.worker_died",
        hint="It was killed or ran out of memory; give the step more memory or fewer workers, and run it again.",
    )
