"""Where a process listens, how many clients it holds at once, and how long each has to say what it wants."""

import resource
from typing import Any

from charkh.core.errors import Unavailable

PATIENCE = 30.0
"""Seconds that a client has for a head, for a body, and to read its answer."""
MOST = 8192
"""Connections of one process; each takes about 20 kB. More of them wait to be accepted."""
BACKLOG = 4096
"""Clients that the system holds until they are accepted."""
APART = 256
"""Descriptors for everything else: files, sockets, pipes."""


def listening_options() -> dict[str, Any]:
    """What Granian's servers are given: HTTP/1.1 alone, whose first byte has to come in time as well.

    Told to guess the version, Granian waits for ever for a client that says nothing (its `http="auto"`).
    """
    # Granian is imported when something is served.
    from granian.constants import HTTPModes
    from granian.http import HTTP1Settings

    return {
        "http": HTTPModes.http1,
        "http1_settings": HTTP1Settings(header_read_timeout=int(PATIENCE * 1000)),
        "backlog": BACKLOG,
        "backpressure": room_for_connections(),
        "websockets": False,
        "log_enabled": False,
    }


def room_for_connections() -> int:
    """How many connections this process may hold; its limit of descriptors is raised as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + APART
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MOST if soft == resource.RLIM_INFINITY else max(soft // 2, min(MOST, soft - APART))


def authority(host: str, port: int) -> str:
    """A host and its port as addresses name them: in IPv6's form, in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def cannot_listen(host: str, port: int, error: Exception) -> Unavailable:
    """What is raised where an address cannot be listened on."""
    return Unavailable(
        f"cannot listen on {authority(host, port)}: {error}",
        code="endpoint.cannot_listen",
        hint="Another process may have the port: choose another one.",
    )
