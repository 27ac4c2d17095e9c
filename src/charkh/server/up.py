"""`charkh up`: the API, the endpoints and the scheduler in one process, drained on SIGTERM."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Collection, Coroutine, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from charkh.bridges.mlflow.application import MlflowApplication
from charkh.core.errors import Unavailable
from charkh.endpoints.application import Application
from charkh.endpoints.connections import authority, listening_options
from charkh.endpoints.door import Door
from charkh.endpoints.ending import SPARE, end_within
from charkh.endpoints.following import following
from charkh.endpoints.loop import run as run_loop
from charkh.endpoints.offer import Offer
from charkh.endpoints.serve import announce, grpc_beside, numeric_address, refuse_a_taken_port
from charkh.server.assistants import Assistants
from charkh.server.beside import Beside
from charkh.server.doors import Doors, open_doors
from charkh.server.front import Asgi, Front
from charkh.server.later import Later
from charkh.server.looking import looking, open_paths
from charkh.server.makers import makers_of
from charkh.server.offering import Offering
from charkh.workspace.unloading import unloaded_of
from charkh.workspace.workspace import Workspace

GRACE = 10.0
"""Seconds that a round of the loops has to finish."""

_log = logging.getLogger("charkh.server")


class Ready(NamedTuple):
    """What somebody needs to call the server: its address, the token, and the endpoints that answer."""

    address: str
    token: str
    endpoints: tuple[str, ...]


def up(
    workspace: Workspace,
    *,
    host: str = "",
    port: int = 0,
    every: float = 60.0,
    open_inference: bool = False,
    ready: Callable[[Ready], None] | None = None,
    shared: bool = False,
    hosts: Collection[str] = (),
    certificate: Path | None = None,
    key: Path | None = None,
    tensorboard: Collection[Path] = (),
    meters: int | None = None,
    unloads: int = -1,
    resumes: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT; then finish the requests under way, and end, whatever a model does.

    Args:
        workspace: what is served.
        host: address to listen on; the settings' by default.
        port: TCP port; the settings' by default.
        every: seconds between two turns of the loops; 0 for none.
        open_inference: endpoints ask for no token; on loopback only.
        ready: called when the server listens.
        shared: other processes of the same server listen there, too.
        hosts: further names under which clients may call, beside those of the settings.
        certificate: file of the TLS certificate chain; the settings' by default, and plain HTTP without one.
        key: file of its private key.
        tensorboard: folders of event files that are followed, beside those of the settings.
        meters: the table of meters that the other processes of the same server share.
        unloads: the names of unloaded models that they share; negative for none.
        resumes: another process of the same server answered until now, and this one takes its place.

    Raises:
        Denied: it would listen beyond this machine, and nobody is a user yet.
        Unavailable: the address cannot be listened on.
    """
    settings = workspace.settings.server
    address, number = (host or settings.host).strip("[]"), port or settings.port
    doors = open_doors(workspace, address, hosts=hosts, certificate=certificate, key=key)
    listened = numeric_address(address, number)
    if not shared:
        refuse_a_taken_port(listened, number)
    offering = Offering(workspace, resumes=resumes)
    offered = offering()
    door = Door(
        address,
        token=doors.token,
        open_inference=open_inference,
        hosts=doors.hosts,
        without_token=open_paths(workspace),
        knows=doors.may_infer,
    )
    beneath = contextlib.ExitStack()
    watch = beneath.enter_context(looking(workspace, table=meters, instance=f"{doors.name}:{number}"))

    def again() -> Offer:
        watch.holds()
        return offering()

    inference = Application(
        offered,
        door,
        reload=again,
        watch=watch,
        makers=makers_of(workspace),
        unloaded=unloaded_of(unloads),
    )
    mlflow = MlflowApplication(workspace, doors.gatekeeper)
    later = Later(lambda: _api(workspace, doors))
    assistants = Assistants(workspace, doors.gatekeeper)
    front = Front(later, inference, doors.doorkeeper, mlflow, doors.traffic, assistants)
    told = Ready(
        address=f"{doors.scheme}://{_authority(doors.name)}:{number}",
        token=doors.token,
        endpoints=tuple(each.name for each in offered.servables),
    )
    listening = None if ready is None else lambda: ready(told)
    beside = Beside(workspace, every, tensorboard)
    grace = workspace.settings.serving.grace_seconds
    grpc = grpc_beside(
        inference,
        address,
        workspace.settings.serving.grpc_port,
        grace=grace,
        shared=shared,
        certificate=doors.certificate,
        key=doors.key,
    )
    try:
        run_loop(
            _with(
                (grpc, following(inference)),
                _serve(front, inference, listened, number, listening, doors, grace, (later, beside)),
            )
        )
    finally:
        mlflow.close()
        doors.traffic.close()
        beside.stop(GRACE)
        offering.close()
        beneath.close()


def _api(workspace: Workspace, doors: Doors) -> Asgi:
    # Here, because neither MLflow's protocol nor the endpoints need what it loads.
    from charkh.server.application import api

    return api(workspace, doors.doorkeeper)


async def _with(
    beside: Sequence[contextlib.AbstractAsyncContextManager[None]], serving: Coroutine[Any, Any, None]
) -> None:
    try:
        async with contextlib.AsyncExitStack() as stack:
            for each in beside:
                await stack.enter_async_context(each)
            await serving
    finally:
        serving.close()


async def _serve(
    front: Front,
    inference: Application,
    host: str,
    port: int,
    listening: Callable[[], None] | None,
    doors: Doors,
    grace: float,
    afterwards: tuple[Later, Beside],
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        stop.set()
        end_within(grace + GRACE + SPARE)

    with contextlib.suppress(ValueError, NotImplementedError):  # outside the main thread there are no signals
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
    server = _server(front, host, port, doors)
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop.wait())
    beside: list[asyncio.Task[Any]] = [stopping, asyncio.create_task(inference.watch())]
    if listening is not None:
        beside.append(asyncio.create_task(announce(port, listening)))
    started = asyncio.create_task(_start(*afterwards))
    beside.append(started)
    try:
        await asyncio.wait({serving, stopping, started}, return_when=asyncio.FIRST_COMPLETED)
        if started.done() and started.exception() is None:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            if not await inference.drain(grace):
                inference.give_up()
            server.stop()
        await serving
        if started.done():
            # A server that cannot have its API ends with the reason.
            started.result()
    except (OSError, RuntimeError) as error:
        raise Unavailable(
            f"cannot listen on {authority(host, port)}: {error}",
            code="server.cannot_listen",
            hint="Another process may have the port: choose another one with --port.",
        ) from error
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        inference.close()


async def _start(later: Later, beside: Beside) -> None:
    """What follows once the server listens."""
    await later.soon()
    await asyncio.to_thread(beside.start)


def _authority(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _server(front: Front, host: str, port: int, doors: Doors) -> Any:
    # Granian is imported when something is served: no other command needs its start-up time.
    from granian.constants import Interfaces
    from granian.server.embed import Server

    return Server(
        front,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        **listening_options(),
        ssl_cert=doors.certificate,
        ssl_key=doors.key,
    )
