"""What a step call asks before it runs: is a pipeline being executed or planned around it, or is it a plain call?"""

import contextlib
from collections.abc import Generator, Mapping
from contextvars import ContextVar
from typing import Any, Protocol


class Around(Protocol):
    """The execution, or the plan, that steps are called in."""

    def call(self, step: Any, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """The output of a `charkh.pipelines.step.Step`, or a stand-in for it in a plan."""
        ...


_around: ContextVar[Around | None] = ContextVar("charkh_pipeline", default=None)
_inside: ContextVar[str] = ContextVar("charkh_step", default="")


def around() -> Around | None:
    """What steps are called in; None for plain calls."""
    return _around.get()


def inside_step() -> str:
    """Name of the cached step whose body this is, or empty.

    What a cached step looks up by a moving name (the latest version of a dataset, an alias) is no part of its key.
    """
    return _inside.get()


@contextlib.contextmanager
def enter_pipeline(execution: Around) -> Generator[None]:
    """Let the steps that are called inside the block belong to `execution`."""
    token = _around.set(execution)
    try:
        yield
    finally:
        _around.reset(token)


@contextlib.contextmanager
def enter_step(name: str) -> Generator[None]:
    """The body of a cached step: steps that it calls are plain functions, whose code is part of its key."""
    token, mark = _around.set(None), _inside.set(name)
    try:
        yield
    finally:
        _inside.reset(mark)
        _around.reset(token)
