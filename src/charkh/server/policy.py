"""Who may call a route: a policy on every one of them, and a server that does not start without.

Loopback by default, with one bearer token from a file that only its owner can read. A browser gets the
token once as a link and keeps it as a cookie that no other site can send.
"""

import hmac
from collections.abc import Collection
from enum import Enum
from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

from charkh.core.errors import Bug

COOKIE = "charkh_token"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})


class Policy(Enum):
    """What a caller must show."""

    OPEN = "open"
    """Nothing: liveness, and the page that takes the token."""
    READ = "read"
    """The token."""
    WRITE = "write"
    """The token, and for a browser's cookie also a request from the server's own page."""


def require_policies(app: Litestar) -> None:
    """Refuse an application with a route that has no policy.

    Raises:
        Bug: one has none.
    """
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            raise Bug(f"{route.path} is no HTTP route and carries no policy")
        for handler in route.route_handlers:
            if handler.http_methods == {"OPTIONS"}:
                continue
            if not isinstance(handler.opt.get("policy"), Policy):
                raise Bug(f"{'/'.join(sorted(handler.http_methods))} {route.path} has no policy")


class Doorkeeper:
    """Lets a request through or not, by the policy of its route.

    Args:
        token: what a caller must show.
        hosts: host names under which this server may be addressed; others are refused, so that a page of
            another site cannot reach it by a name of its own (DNS rebinding).
    """

    def __init__(self, token: str, hosts: Collection[str]) -> None:
        self._token = token.encode()
        self._hosts = {host.lower() for host in hosts}

    def guard(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Raise what the caller is told when it may not pass."""
        if not self.knows_host(connection.headers.get("host", "")):
            raise PermissionDeniedException("this server is not addressed by that name")
        policy = handler.opt.get("policy")
        if policy is Policy.OPEN:
            return
        if self.knows_bearer(connection.headers.get("authorization", "")):
            return
        if not self.knows(connection.cookies.get(COOKIE, "")):
            raise NotAuthorizedException(
                "the token is missing or wrong", headers={"WWW-Authenticate": 'Bearer realm="charkh"'}
            )
        if policy is Policy.WRITE and connection.headers.get("sec-fetch-site", "") != "same-origin":
            raise PermissionDeniedException("a page of another site may not do this")

    def knows(self, token: str) -> bool:
        """Whether this is the token; takes the same time for every wrong one."""
        return hmac.compare_digest(token.encode(), self._token)

    def knows_bearer(self, header: str) -> bool:
        """Whether an `Authorization` header carries the token."""
        scheme, _, token = header.partition(" ")
        return scheme.lower() == "bearer" and self.knows(token.strip())

    def knows_host(self, header: str) -> bool:
        """Whether a `Host` header names this server."""
        name = header.lower()
        if not name.endswith("]"):
            head, colon, port = name.rpartition(":")
            name = head if colon and port.isdecimal() else name
        return name in self._hosts


def host_names(host: str) -> frozenset[str]:
    """The names under which a server that binds `host` is addressed."""
    return LOOPBACK if host in LOOPBACK else LOOPBACK | {host.lower()}
