"""To which addresses a token may be sent."""

from urllib.parse import urlsplit

from charkh.core.errors import Denied

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def refuse_plain(address: str) -> None:
    """Refuse an address over which a token would travel readably.

    Raises:
        Denied: it is neither encrypted nor on this machine.
    """
    parts = urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise Denied(
            f"{address} is not encrypted, and the token would be readable on the way",
            code="remote.not_https",
            hint="Use https://, or an SSH tunnel to 127.0.0.1.",
        )
