"""Put a function around a method of every class below one, those that are defined later too."""

from collections.abc import Callable, Iterator
from typing import Any

from charkh.bridges.autolog.patching import Around, all_of, put_around


def put_around_all(root: type, method: str, around: Around) -> Callable[[], None]:
    """Let calls of `method` go through `around` in `root` and in each class below it that defines it itself."""
    undos = [put_around(each, method, around) for each in (root, *_below(root)) if method in vars(each)]
    original: Any = vars(root).get("__init_subclass__")
    inherited: Any = root.__init_subclass__

    def of_new_class(cls: Any, **named: Any) -> None:
        # The root's own function, or what it inherits; both have to be told which class is new.
        if original is not None:
            original.__get__(None, cls)(**named)
        else:
            inherited.__func__(cls, **named) if hasattr(inherited, "__func__") else inherited(**named)
        if method in vars(cls):
            undos.append(put_around(cls, method, around))

    root.__init_subclass__ = classmethod(of_new_class)  # pyright: ignore[reportAttributeAccessIssue]

    def undo() -> None:
        if original is not None:
            root.__init_subclass__ = original
        else:
            del root.__init_subclass__
        all_of(undos)()

    return undo


def _below(root: type) -> Iterator[type]:
    seen: set[type] = set()
    waiting = list(root.__subclasses__())
    while waiting:
        each = waiting.pop()
        if each not in seen:
            seen.add(each)
            waiting += each.__subclasses__()
            yield each
