"""`charkh up`: the API, the endpoints and the scheduler in one process, drained on SIGTERM."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from typing import Any

from charkh.core.errors import Denied, Unavailable
from charkh.endpoints.application import Application
from charkh.endpoints.door import Door
from charkh.server.application import Front, api
from charkh.server.policy import LOOPBACK, Doorkeeper, host_names
from charkh.server.scheduler import Scheduler
from charkh.workspace.serving import Serving
from charkh.workspace.token import token_of
from charkh.workspace.workspace import Workspace

GRACE = 10.0
_log = logging.getLogger("charkh.server")


def up(
    workspace: Workspace,
    *,
    host: str = "",
    port: int = 0,
    every: float = 60.0,
    open_inference: bool = False,
    ready: Callable[[str, str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; then finish the requests under way.

    Args:
        workspace: what is served.
        host: address to listen on; the settings' by default.
        port: TCP port; the settings' by default.
        every: seconds between two turns of the loops; 0 for none.
        open_inference: endpoints ask for no token; on loopback only.
        ready: called with the address and the token when the server listens.

    Raises:
        Denied: it would listen beyond this machine, which needs users and is not built yet.
        NotFound: a model or recipe of an endpoint is not there.
        Unavailable: the address cannot be listened on.
    """
    settings = workspace.settings.server
    address, number = host or settings.host, port or settings.port
    if address not in LOOPBACK:
        raise Denied(
            f"charkh up does not listen on {address} yet",
            code="server.beyond_loopback",
            hint="Listening beyond this machine needs users, which are not built yet; use an SSH tunnel to 127.0.0.1.",
        )
    token = token_of(workspace.store_folder)
    serving = Serving(workspace)
    inference = Application(serving(), Door(address, token=token, open_inference=open_inference), reload=serving)
    front = Front(api(workspace, Doorkeeper(token, host_names(address))), inference)
    scheduler = Scheduler(workspace, every)
    asyncio.run(
        _serve(
            front, inference, scheduler, address, number, ready and (lambda: ready(f"http://{address}:{number}", token))
        )
    )


async def _serve(
    front: Front,
    inference: Application,
    scheduler: Scheduler,
    host: str,
    port: int,
    ready: Callable[[], None] | None,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ValueError, NotImplementedError):  # outside the main thread there are no signals
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
    server = _server(front, host, port)
    serving = asyncio.create_task(server.serve())
    others = [asyncio.create_task(inference.watch()), asyncio.create_task(scheduler.run(stop))]
    if ready is not None:
        others.append(asyncio.create_task(_announce(host, port, ready)))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            await inference.drain(GRACE)
            server.stop()
        await serving
    except (OSError, RuntimeError) as error:
        raise Unavailable(
            f"cannot listen on {host}:{port}: {error}",
            code="server.cannot_listen",
            hint="Another process may have the port: choose another one with --port.",
        ) from error
    finally:
        stop.set()
        for task in (*others, stopping):
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        inference.close()


async def _announce(host: str, port: int, ready: Callable[[], None]) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        ready()
        return


def _server(front: Front, host: str, port: int) -> Any:
    # Granian is imported when something is served: no other command needs its start-up time.
    from granian.constants import Interfaces
    from granian.server.embed import Server

    return Server(
        front,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        websockets=False,
        backlog=1024,
        backpressure=1024,
        log_enabled=False,
    )
