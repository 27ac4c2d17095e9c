"""The event loop of a server: libuv's, which other threads wake at a fraction of the cost of asyncio's own."""

import asyncio
from collections.abc import Coroutine
from typing import Any


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` in a new event loop until it returns.

    Raises:
        BaseException: whatever `main` raises.
    """
    # Imported when something is served.
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)
