"""What Python's garbage collector is spared while clients wait: a look through everything that a server has loaded."""

import gc


def settle() -> None:
    """Free what is garbage now, and have the collector pass over the rest from here on; for a process that only serves.

    A look through all of it takes a twentieth of a second, in which nobody is answered, and would come every few
    seconds under load.
    """
    gc.collect()
    gc.freeze()
