"""Serve models over HTTP in this process: loopback by default, drained on SIGTERM."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from pathlib import Path

from charkh.endpoints import connections
from charkh.endpoints.application import CONCURRENCY, MAX_BODY, Application
from charkh.endpoints.connections import cannot_listen
from charkh.endpoints.door import Door
from charkh.endpoints.following import following
from charkh.endpoints.garbage import settle
from charkh.endpoints.http.listen import listening
from charkh.endpoints.inference_server import RouteMaker
from charkh.endpoints.loop import run as run_loop
from charkh.endpoints.offer import Offer
from charkh.endpoints.servable import Servable
from charkh.endpoints.unloaded import Unloaded
from charkh.endpoints.watch import Watch

HOST = "127.0.0.1"
PORT = 7462
SWITCH = 0.0005
"""Seconds after which a thread that waits for the interpreter gets it."""


def serve(
    servables: Sequence[Servable] | Offer,
    host: str = HOST,
    port: int = PORT,
    *,
    token: str | None = None,
    open_inference: bool = False,
    hosts: Collection[str] = (),
    reload: Callable[[], Sequence[Servable] | Offer] | None = None,
    reload_every: float = 1.0,
    max_body: int = MAX_BODY,
    concurrency: int = CONCURRENCY,
    grace: float = 10.0,
    grpc_port: int = 0,
    shared: bool = False,
    without_token: Collection[str] = (),
    watch: Watch | None = None,
    makers: Sequence[RouteMaker] = (),
    unloaded: Unloaded | None = None,
    ready: Callable[[], None] | None = None,
    ending: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; then finish the requests under way and close the prediction logs.

    Args:
        servables: what is served first.
        host: address to listen on.
        port: TCP port.
        token: bearer token that clients send.
        open_inference: ask for no token; on loopback only.
        hosts: further names under which clients may call.
        reload: gives what is to be served now; asked once in `reload_every` seconds, in a thread, and it should
            return the same objects where nothing changed.
        reload_every: seconds between two questions.
        max_body: bytes of the longest request body.
        concurrency: requests that one slow model is asked or waits for at once.
        grace: seconds that requests under way have to finish.
        grpc_port: TCP port for the same protocol over gRPC; none by default.
        shared: other processes of the same server listen there, too.
        without_token: further paths that ask for no token; on loopback only.
        watch: what looks on; without, nothing is counted and there is no `/metrics`.
        makers: give further paths, such as that of feedback.
        unloaded: names of models that clients have unloaded; of this process alone by default.
        ready: called when the server listens.
        ending: called when it is told to end.

    Raises:
        Denied: it would let anyone in.
        Unavailable: the address cannot be listened on.
    """
    door = Door(host, token=token, open_inference=open_inference, hosts=hosts, without_token=without_token)
    application = Application(
        servables,
        door,
        reload=reload,
        max_body=max_body,
        concurrency=concurrency,
        watch=watch,
        makers=makers,
        unloaded=unloaded,
    )
    beside = grpc_beside(application, host, grpc_port, max_message=max_body, grace=grace, shared=shared)
    every = reload_every if reload else 0.0
    run_loop(_serve(application, host, port, beside, every, grace, shared=shared, ready=ready, ending=ending))


async def run(
    application: Application,
    host: str,
    port: int,
    *,
    stop: asyncio.Event,
    grace: float = 10.0,
    shared: bool = False,
    ready: Callable[[], None] | None = None,
) -> None:
    """Serve in the running event loop until `stop` is set; for those who have a loop of their own.

    Args:
        application: what answers.
        host: address to listen on.
        port: TCP port.
        stop: ends it.
        grace: seconds that requests under way have to finish.
        shared: other processes of the same server listen there, too.
        ready: called when it listens.

    Raises:
        Unavailable: the address cannot be listened on.
    """
    try:
        address = numeric_address(host, port)
        if not shared:
            refuse_a_taken_port(address, port)
        async with listening(application, address, port, patience=connections.PATIENCE, shared=shared):
            if ready is not None:
                ready()
            await stop.wait()
            if not await application.drain(grace):
                application.give_up()
    finally:
        application.close()


async def _serve(
    application: Application,
    host: str,
    port: int,
    beside: contextlib.AbstractAsyncContextManager[None],
    every: float,
    grace: float,
    *,
    shared: bool,
    ready: Callable[[], None] | None,
    ending: Callable[[], None] | None,
) -> None:
    # A model that computes in Python would keep the loop waiting for five milliseconds at each of its steps.
    sys.setswitchinterval(SWITCH)
    settle()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        stop.set()
        if ending is not None:
            ending()

    with contextlib.suppress(ValueError, NotImplementedError):  # outside the main thread there are no signals
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
    watching = asyncio.create_task(application.watch(every)) if every else None
    try:
        async with beside, following(application):
            await run(application, host, port, stop=stop, grace=grace, shared=shared, ready=ready)
    finally:
        if watching is not None:
            watching.cancel()


@contextlib.asynccontextmanager
async def grpc_beside(
    application: Application,
    host: str,
    port: int,
    *,
    max_message: int = MAX_BODY,
    grace: float = 10.0,
    shared: bool = False,
    certificate: Path | None = None,
    key: Path | None = None,
) -> AsyncGenerator[None]:
    """Answer over gRPC what `application` answers, while the block runs.

    Args:
        application: whose answers they are.
        host: address to listen on.
        port: TCP port; 0 for no gRPC.
        max_message: bytes of the longest request.
        grace: seconds that calls under way have at the end.
        shared: other processes of the same server listen there, too.
        certificate: file of the TLS certificate chain; none by default.
        key: file of its private key.

    Raises:
        Unavailable: the extra is not installed, or the address cannot be listened on.
    """
    if not port:
        yield
        return
    # gRPC is an extra.
    from charkh.endpoints.grpc.listen import listening

    address = numeric_address(host, port)
    if not shared:
        refuse_a_taken_port(address, port)
    async with listening(
        application.respond,
        address,
        port,
        max_message=max_message,
        grace=grace,
        shared=shared,
        certificate=certificate,
        key=key,
    ):
        yield


def numeric_address(host: str, port: int) -> str:
    """The address that a name such as `localhost` means on this machine, as numbers and without brackets.

    Raises:
        Unavailable: it means none.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, OverflowError, UnicodeError) as error:
        raise cannot_listen(host, port, error) from error
    addresses = [str(each[4][0]) for each in found]
    return next((address for address in addresses if ":" not in address), addresses[0])


def refuse_a_taken_port(address: str, port: int) -> None:
    """Granian shares its port with any other process of this user (SO_REUSEPORT), which would split the requests.

    Args:
        address: in numbers.
        port: TCP port.

    Raises:
        Unavailable: somebody listens there already, or the address is none of this machine.
    """
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except (OSError, OverflowError) as error:
            raise cannot_listen(address, port, error) from error


async def announce(port: int, ready: Callable[[], None]) -> None:
    """Call `ready` as soon as this very process listens there: a neighbour that shares the port does not count."""
    while not _listens(port):
        await asyncio.sleep(0.01)
    ready()


def _listens(port: int) -> bool:
    return any(_is_listener(int(each.name), port) for each in Path("/dev/fd").iterdir())


def _is_listener(descriptor: int, port: int) -> bool:
    try:
        found = socket.socket(fileno=descriptor)
    except OSError:
        return False  # no socket, as most are
    try:
        if found.family not in {socket.AF_INET, socket.AF_INET6}:
            return False
        return found.getsockname()[1] == port and bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False  # it was closed meanwhile
    finally:
        found.detach()
