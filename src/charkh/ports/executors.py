"""Executors: where the calls of a pipeline run."""

from collections.abc import Callable
from typing import Any, Protocol


class Call(Protocol):
    """A call under way."""

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the call; raises what it raised, or `Locked` when `timeout` seconds have passed."""
        ...


class Executor(Protocol):
    """Runs calls.

    Order: none is promised between calls. Idempotence: a call may be made again after a crash, so it
    must publish its outcome by digest. Ownership: the submitter waits for what it submitted.
    """

    def submit(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Call:
        """Begin a call."""
        ...

    def close(self, *, cancel: bool = False) -> None:
        """Wait for the calls under way; with `cancel`, give up those that have not begun."""
        ...
