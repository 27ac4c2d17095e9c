"""Put a function around one of a library's, and take it away again."""

import functools
from collections.abc import Callable
from typing import Any, cast

Around = Callable[..., Any]
"""Called with the original function, then with what that was called with; what it returns, the caller gets."""

_ABSENT = object()


def put_around(owner: Any, name: str, around: Around) -> Callable[[], None]:
    """Let calls of `owner.name` go through `around`; the answer undoes it.

    Args:
        owner: a module or a class; of a class only what it defines itself is touched.
        name: of the function.
        around: gets the original as its first argument.
    """
    before = cast(Any, vars(owner).get(name, _ABSENT))
    original: Any = getattr(owner, name)

    @functools.wraps(original)
    def through(*arguments: Any, **named: Any) -> Any:
        return around(original, *arguments, **named)

    setattr(owner, name, through)

    def undo() -> None:
        if vars(owner).get(name) is not through:
            return
        if before is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, before)

    return undo


def all_of(undos: list[Callable[[], None]]) -> Callable[[], None]:
    """One function that undoes everything, the last first."""

    def undo() -> None:
        for each in reversed(undos):
            each()

    return undo
