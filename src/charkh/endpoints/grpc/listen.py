"""Listen for gRPC in the running event loop, beside the REST server whose answers it gives."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from charkh.core.errors import Unavailable
from charkh.endpoints.connections import authority
from charkh.endpoints.route import Respond

MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes of the longest message that is taken, as of REST's longest body."""


@asynccontextmanager
async def listening(
    respond: Respond,
    host: str,
    port: int,
    *,
    max_message: int = MAX_MESSAGE,
    grace: float = 10.0,
    shared: bool = False,
    certificate: Path | None = None,
    key: Path | None = None,
) -> AsyncGenerator[None]:
    """Answer calls until the block ends; those under way then have `grace` seconds to finish.

    Args:
        respond: answers a request of REST, such as `Application.respond`.
        host: address to listen on, in numbers.
        port: TCP port.
        max_message: bytes of the longest message that is taken; a longer one gets RESOURCE_EXHAUSTED.
        grace: seconds that calls under way have at the end.
        shared: other processes of the same server listen there, too.
        certificate: file of the TLS certificate chain; plain HTTP/2 without one.
        key: file of its private key.

    Raises:
        Unavailable: the extra is not installed, or the address cannot be listened on.
    """
    server = _server(respond, max_message, shared=shared)
    address = authority(host, port)
    try:
        if certificate is not None and key is not None:
            bound = server.add_secure_port(address, _credentials(certificate, key))
        else:
            bound = server.add_insecure_port(address)
    except RuntimeError as error:
        raise _cannot_listen(address) from error
    if not bound:
        raise _cannot_listen(address)
    await server.start()
    try:
        yield
    finally:
        await server.stop(grace)


def require() -> None:
    """Refuse to serve gRPC where it is not installed.

    Raises:
        Unavailable: it is not.
    """
    try:
        import_module("google.protobuf")
        import_module("grpc.aio")
    except ImportError as error:
        raise Unavailable(
            f"gRPC needs a package that is not installed: {error.name}",
            code="endpoint.no_grpc",
            hint="Install it with: pip install 'charkh[grpc]'",
        ) from error


def _server(respond: Respond, max_message: int, *, shared: bool) -> Any:
    # Models may fork, and what gRPC does in the child of a fork brings that down now and then (a segmentation fault).
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    # gRPC is an extra, and loading it takes as long as the rest of the server.
    require()
    import grpc.aio

    from charkh.endpoints.grpc.service import Service

    options = [
        ("grpc.max_receive_message_length", max_message),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", int(shared)),
    ]
    return grpc.aio.server(handlers=Service(respond).handlers(), options=options)


def _credentials(certificate: Path, key: Path) -> Any:
    import grpc

    return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])


def _cannot_listen(address: str) -> Unavailable:
    return Unavailable(
        f"cannot listen for gRPC on {address}",
        code="endpoint.cannot_listen",
        hint="Another process may have the port: choose another one with --grpc-port.",
    )
