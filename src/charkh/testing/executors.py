"""The suite that every executor passes: inherit `ExecutorSuite` and say how one is made."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator

import pytest

from charkh.core.errors import Invalid, Locked
from charkh.ports.executors import Executor


def add(left: int, right: int, *, scale: int = 1) -> int:
    """A call with positional and named arguments."""
    return (left + right) * scale


def fail(message: str) -> None:
    """A call that raises its own error."""
    raise KeyError(message)


def run_out_of_time() -> None:
    """A call whose own error is a timeout, which must not be mistaken for the wait's."""
    raise TimeoutError("of the call")


def doze(seconds: float) -> float:
    """A call that is still under way for a moment."""
    time.sleep(seconds)
    return seconds


class ExecutorSuite(ABC):
    """What `charkh.ports.executors.Executor` promises.

    Attributes:
        waits: whether a call may still be under way when `submit` has returned.
    """

    waits = True

    @abstractmethod
    def make(self) -> Executor:
        """A fresh executor with at least one worker."""

    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        executor = self.make()
        yield executor
        executor.close(cancel=True)

    def test_a_result_comes_back(self, executor: Executor) -> None:
        assert executor.submit(add, 2, 3, scale=10).result() == 50

    def test_a_result_can_be_asked_for_twice(self, executor: Executor) -> None:
        call = executor.submit(add, 2, 3)
        assert call.result() == call.result() == 5

    def test_an_error_keeps_its_type(self, executor: Executor) -> None:
        with pytest.raises(KeyError, match="missing"):
            executor.submit(fail, "missing").result()

    def test_a_timeout_of_the_call_is_the_calls_own(self, executor: Executor) -> None:
        with pytest.raises(TimeoutError, match="of the call") as raised:
            executor.submit(run_out_of_time).result(timeout=60)
        assert not isinstance(raised.value, Locked)

    def test_many_calls_all_come_back(self, executor: Executor) -> None:
        calls = [executor.submit(add, number, 1) for number in range(50)]
        assert [call.result() for call in calls] == list(range(1, 51))

    def test_waiting_can_be_given_up(self, executor: Executor) -> None:
        if not self.waits:
            pytest.skip("this executor has finished every call when submit returns")
        call = executor.submit(doze, 0.5)
        with pytest.raises(Locked):
            call.result(timeout=0.001)
        assert call.result() == 0.5

    def test_closing_waits_for_calls_under_way(self) -> None:
        executor = self.make()
        calls = [executor.submit(doze, 0.01) for _ in range(3)]
        executor.close()
        assert [call.result(timeout=0.001) for call in calls] == [0.01] * 3

    def test_a_closed_executor_refuses(self) -> None:
        executor = self.make()
        executor.close()
        with pytest.raises(Invalid):
            executor.submit(add, 1, 2)
