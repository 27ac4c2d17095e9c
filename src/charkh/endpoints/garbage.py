"""What memory is spared while clients wait: looks through all that is loaded, and going back to the system."""

import gc

_KEPT = 32 * 1024 * 1024 - 64 * 1024
"""Bytes of the longest block, but for its edge, from which glibc learns (malloc(3), M_MMAP_THRESHOLD)."""


def settle() -> None:
    """Free what is garbage now, and have the collector pass over the rest from here on; for a process that only serves.

    A look through all of it takes a twentieth of a second, in which nobody is answered, and would come every few
    seconds under load. What is loaded now, holds itself in a circle and is let go of later stays in memory.

    Memory that goes back to the system as soon as a few requests have left it costs each of its pages a fault when it
    is used again: twice the size of a block that was freed once stays here.
    """
    gc.collect()
    gc.freeze()
    bytes(_KEPT)
