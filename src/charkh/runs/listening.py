"""Who hears what is logged: a study's pruner, and a step that remembers its metrics to say them again."""

import contextlib
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar

Listener = Callable[[Mapping[str, float], int | None, str], None]
"""Called with the values, the step and the context of each `log`, after they have been recorded."""

_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("charkh_listeners", default=())

listeners = _listeners.get
"""Who listens now; empty where nobody does."""


@contextlib.contextmanager
def listening(listener: Listener) -> Generator[None]:
    """Let `listener` hear every `log` of the block's own thread or task, whatever run it goes to.

    What it raises, the caller of `log` sees.
    """
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)


def tell(values: Mapping[str, float], step: int | None, context: str) -> None:
    """Tell who listens what has been logged."""
    for listener in _listeners.get():
        listener(values, step, context)
