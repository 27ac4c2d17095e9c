"""Slow models are asked in threads, beside the event loop; one that hangs leaves room for the others."""

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from charkh.endpoints.batching import Late

Result = TypeVar("Result")


class Ended(Exception):
    """The server ends, and waits no more."""

    def __init__(self) -> None:
        super().__init__("the server is shutting down")


class Threads:
    """So many places for requests that wait or run; called from the event loop alone.

    A model gets another place only while more are free than it has. Alone it has half of them, and each further one
    that fills up half of what is left, so that no model ever takes the last from all others. A place is held until its
    thread is done, whether anybody still waits for the answer or not.

    Args:
        places: in all; each has a thread, so that nobody waits for one.

    Attributes:
        held: places that are held.
    """

    def __init__(self, places: int) -> None:
        self.held = 0
        self._asked: set[asyncio.Future[Any]] = set()
        self._ended = False
        self._places = places
        self._pool = ThreadPoolExecutor(places, "charkh-infer")

    def has_room(self, holds: int) -> bool:
        """Whether a model that holds so many places gets one more."""
        return holds < self._places - self.held

    async def ask(self, work: Callable[[], Result], seconds: float, left: Callable[[], None]) -> Result:
        """What `work` gives.

        Args:
            work: done in a thread.
            seconds: to wait for it.
            left: called when the thread is done, which may be after this has returned.

        Raises:
            Late: it took longer.
            Ended: nobody waits any more.
        """
        asked = asyncio.get_running_loop().run_in_executor(self._pool, work)
        self._asked.add(asked)
        self.held += 1

        def done(_: "asyncio.Future[Result]") -> None:
            self._asked.discard(asked)
            self.held -= 1
            left()

        asked.add_done_callback(done)
        try:
            return await (asked if seconds == math.inf else _until(asked, seconds))
        except asyncio.CancelledError:
            if self._ended:
                raise Ended from None
            raise

    def give_up(self) -> None:
        """Wait for nobody any more."""
        self._ended = True
        for each in tuple(self._asked):
            each.cancel()

    def close(self) -> None:
        """Begin nothing more; what runs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def _until(asked: "asyncio.Future[Result]", seconds: float) -> Result:
    finished, _ = await asyncio.wait((asked,), timeout=seconds)
    if finished:
        return asked.result()
    # Its answer is nobody's any more; what it raises is still taken, so that nothing complains of it.
    asked.add_done_callback(lambda late: late.cancelled() or late.exception())
    raise Late
