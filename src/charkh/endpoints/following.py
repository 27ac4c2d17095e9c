"""A server unloads and loads what clients of its other processes ask for."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from charkh.endpoints.inference_server import InferenceServer
from charkh.endpoints.unloaded import EVERY


@contextlib.asynccontextmanager
async def following(server: InferenceServer) -> AsyncGenerator[None]:
    """Unload and load what clients of other processes ask for, while the block runs."""
    if not server.unloaded.is_shared:
        yield
        return
    task = asyncio.create_task(_follow(server))
    try:
        yield
    finally:
        task.cancel()


async def _follow(server: InferenceServer) -> None:
    while True:
        await asyncio.sleep(EVERY)
        if server.unloaded.look():
            server.reroute()
            server.unloaded.heed()
