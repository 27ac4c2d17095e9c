"""Where a redirect may lead: in HTTP, with its encryption, and not from outside into a private network."""

import ipaddress
import socket
from urllib.parse import urlsplit

from charkh.core.errors import Denied


def refuse_detour(key: str, before: str, following: str) -> None:
    """Refuse a redirect that leaves HTTP, its encryption, or the public network.

    Args:
        key: the address that was asked for, as it may be shown.
        before: the address that answered.
        following: where it leads.

    Raises:
        Denied: it does.
    """
    old, new = urlsplit(before), urlsplit(following)
    why = ""
    if new.scheme not in {"http", "https"} or not new.hostname:
        why = f"to {new.scheme or 'nothing'}:, which is not HTTP"
    elif old.scheme == "https" and new.scheme == "http":
        why = "from https to http"
    elif new.hostname != old.hostname and _is_private(new.hostname) and not _is_private(old.hostname or ""):
        why = "from a public host to one of a private network"
    if why:
        raise Denied(
            f"{key} redirects {why}",
            code="source.redirect",
            hint="Name the address that it should be fetched from, if you trust it.",
        )


def _is_private(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except OSError:
        # A proxy may know the name; if nobody does, the request itself fails.
        return False
    return any(not ipaddress.ip_address(str(each[4][0]).partition("%")[0]).is_global for each in found)


def origin(url: str) -> tuple[str, str | None, int]:
    """Scheme, host and port: who is asked, and whom headers with credentials are for."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443}.get(parts.scheme, 80)
