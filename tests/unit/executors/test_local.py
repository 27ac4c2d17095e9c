"""The local executors pass the suite, and keep what it cannot ask of every executor."""

import contextvars
import os

import pytest

from charkh.core.errors import Invalid, Unavailable
from charkh.executors.local import InlineExecutor, process_executor, thread_executor
from charkh.ports.executors import Executor
from charkh.testing.executors import ExecutorSuite

ambient: contextvars.ContextVar[str] = contextvars.ContextVar("ambient", default="nothing")


class TestInline(ExecutorSuite):
    waits = False

    def make(self) -> Executor:
        return InlineExecutor()


class TestThreads(ExecutorSuite):
    def make(self) -> Executor:
        return thread_executor(2)

    def test_a_call_sees_the_submitters_context(self, executor: Executor) -> None:
        token = ambient.set("run 1")
        call = executor.submit(ambient.get)
        ambient.reset(token)
        assert call.result() == "run 1"


class TestProcesses(ExecutorSuite):
    def make(self) -> Executor:
        return process_executor(1)

    def test_a_call_runs_elsewhere(self, executor: Executor) -> None:
        assert executor.submit(os.getpid).result() != os.getpid()

    def test_a_dead_worker_is_named(self, executor: Executor) -> None:
        with pytest.raises(Unavailable) as raised:
            executor.submit(os._exit, 9).result()
        assert raised.value.code == "executor.worker_died"


@pytest.mark.parametrize("make", [thread_executor, process_executor])
def test_no_workers_is_refused(make: type) -> None:
    with pytest.raises(Invalid):
        make(0)
