"""Who may come in: the Host and Origin of a request, and the bearer token. Every path has a policy.

A page that a browser shows may reach a server on this machine under a name that resolves here (DNS rebinding) or by
a form (CSRF). The name that the client used must be one of ours, and what a browser sends from another origin is
refused, whether or not a token is asked for.
"""

import hmac
from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

from charkh.core.errors import Denied

REMEMBERED = 64
"""Names with their ports that are known without taking them apart."""
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
WITHOUT_TOKEN = frozenset({"/v2/health/live", "/v2/health/ready"})
"""Paths that say nothing but whether the server is up."""


class Headers(Protocol):
    """The headers of a request by lower-case name."""

    def get(self, key: str, default: str, /) -> str: ...


class Refusal(NamedTuple):
    """Why a request does not come in."""

    status: int
    error: str


class Door:
    """The policy of one server.

    Args:
        host: address that it listens on.
        token: bearer token that every path but the health ones needs; empty only with `open_inference`.
        open_inference: no token is asked for; on loopback only.
        hosts: further names under which clients may call, such as `models.example.org`.
        without_token: further paths that ask for none; on loopback only.
        knows: says of an `Authorization` header and a path whether somebody else than the token's owner may come in.

    Raises:
        Denied: it would let anyone in: no token without `open_inference`, or `open_inference` beyond loopback.
    """

    def __init__(
        self,
        host: str,
        *,
        token: str | None = None,
        open_inference: bool = False,
        hosts: Collection[str] = (),
        without_token: Collection[str] = (),
        knows: Callable[[str, str], bool] | None = None,
    ) -> None:
        local = is_loopback(host)
        if open_inference and not local:
            raise Denied(
                f"open inference on {host} would let anyone in",
                code="endpoint.open_beyond_loopback",
                hint="Listen on 127.0.0.1, or give a token.",
            )
        if not token and not open_inference:
            raise Denied(
                "an endpoint needs a token",
                code="endpoint.no_token",
                hint="Give one, or ask for open inference on loopback.",
            )
        if without_token and not local:
            raise Denied(
                f"{', '.join(without_token)} on {host} would let anyone in",
                code="endpoint.open_beyond_loopback",
                hint="Listen on 127.0.0.1, or ask for a token: `[metrics] open = false`.",
            )
        self._knows = knows
        self._without_token = WITHOUT_TOKEN | {*without_token}
        self._bearer = b"" if open_inference or not token else f"Bearer {token}".encode()
        names = {*LOOPBACK, *hosts} if local else {host, *hosts, *LOOPBACK}
        # Beyond loopback any name will do: there the token, which no browser adds by itself, is the guard.
        self._ours: set[str] = set()
        self._names = None if not local and not hosts else {name.lower() for name in names}

    def refuses(self, path: str, host: str, headers: Headers) -> Refusal | None:
        """Why this request does not come in; None when it does.

        Args:
            path: of the request.
            host: authority that the client named, with or without a port.
            headers: of the request.
        """
        if host not in self._ours and not self._is_ours(host):
            return Refusal(403, f"this server is not called {host[:80]!r}")
        origin = headers.get("origin", "")
        if headers.get("sec-fetch-site", "") == "cross-site" or (origin and origin.partition("://")[2] != host):
            return Refusal(403, "a page of another origin may not call this server")
        if self._bearer and path not in self._without_token:
            given = headers.get("authorization", "")
            is_owner = hmac.compare_digest(given.encode("utf-8", "replace"), self._bearer)
            if not is_owner and (self._knows is None or not self._knows(given, path)):
                return Refusal(401, "this path needs the token: the header `Authorization: Bearer TOKEN`")
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether the server is called so; what it is called with a port is remembered, as often as it may be."""
        ours = self._names is None or _without_port(host) in self._names
        if ours and len(self._ours) < REMEMBERED:
            self._ours.add(host)
        return ours


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's alone."""
    return host in {"localhost", "::1", "[::1]"} or host.startswith("127.")


def _without_port(authority: str) -> str:
    name, colon, port = authority.lower().rpartition(":")
    return name if colon and port.isdigit() else authority.lower()
