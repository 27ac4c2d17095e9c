"""A long request body, which is read when it is asked for, and no further than it may be long."""

import asyncio
from collections.abc import Callable


class Body:
    """A body that comes in parts.

    Args:
        wanted: called when somebody wants it.
        length: bytes that the client announces; None where it does not say.

    Attributes:
        is_wanted: somebody waits for it.
        is_complete: all of it has come.
    """

    def __init__(self, wanted: Callable[[], None], length: int | None) -> None:
        self.is_wanted = False
        self.is_complete = False
        self._wanted = wanted
        self._length = length
        self._parts: list[bytes] = []
        self._size = 0
        self._limit = 0
        self._end: asyncio.Future[None] | None = None
        self._error: Exception | None = None

    async def read(self, limit: int) -> bytes | None:
        """All of it; None where it is longer than `limit` bytes.

        Raises:
            TimeoutError: it did not come in time.
            ConnectionError: the client is gone.
        """
        if self._length is not None and self._length > limit:
            return None
        if self._error is not None:
            raise self._error
        self._limit = limit
        if not self.is_complete and self._size <= limit:
            self.is_wanted = True
            self._end = asyncio.get_running_loop().create_future()
            self._wanted()
            try:
                await self._end
            finally:
                self.is_wanted = False
        return b"".join(self._parts) if self._size <= limit else None

    def add(self, part: bytes) -> None:
        """Another part has come."""
        self._size += len(part)
        self._parts.append(part)
        if self.is_wanted and self._size > self._limit:
            self._parts.clear()
            self._over()

    def finish(self) -> None:
        """All of it has come."""
        self.is_complete = True
        self._over()

    def fail(self, error: Exception) -> None:
        """It will not come."""
        self._error = error
        if self._end is not None and not self._end.done():
            self._end.set_exception(error)

    def _over(self) -> None:
        if self._end is not None and not self._end.done():
            self._end.set_result(None)
