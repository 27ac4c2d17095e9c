"""What is made anew in the child of a fork: locks that another thread held, the parent's files and connections."""

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something that a fork copies but must not share."""

    def after_fork(self) -> None:
        """Called in the child, before anything else of charkh runs there."""
        ...


def watch_forks(item: Forkable) -> None:
    """Have `after_fork` called in the child of every fork, for as long as the item lives."""
    _watched.add(item)


_watched: "weakref.WeakSet[Forkable]" = weakref.WeakSet()


def _in_child() -> None:
    for item in list(_watched):
        item.after_fork()


os.register_at_fork(after_in_child=_in_child)
