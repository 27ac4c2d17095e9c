"""How many threads hash one content: those of a parent are not in the child of a fork, which would wait for ever."""

import os

from blake3 import blake3

_threads = [blake3.AUTO]


def hash_threads() -> int:
    """For `blake3(max_threads=…)`: as many as there are processors, but one in the child of a fork."""
    return _threads[0]


def _one_thread() -> None:
    _threads[0] = 1


os.register_at_fork(after_in_child=_one_thread)
