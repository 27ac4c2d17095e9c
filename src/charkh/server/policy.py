"""Who may call a route: a policy on every one of them, and a server that does not start without.

Loopback by default, with one bearer token from a file that only its owner can read. A browser gets the
token once as a link, and then keeps a cookie that no other site can send and that is not the token.
"""

import hashlib
import hmac
from collections.abc import Collection
from enum import Enum
from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

from charkh.core.errors import Bug

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})
JSON = "application/json"


class Policy(Enum):
    """What a caller must show."""

    OPEN = "open"
    """Nothing: liveness, and the page that takes the token."""
    READ = "read"
    """The token."""
    WRITE = "write"
    """The token, and JSON where there is a body; for a browser's cookie also a request from the server's own page."""
    EXCHANGE = "exchange"
    """The token as a bearer, with a body of any kind: another charkh, never a browser."""


def require_policies(app: Litestar) -> None:
    """Refuse an application with a route that has no policy.

    Raises:
        Bug: one has none.
    """
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            raise Bug(f"{route.path} is no HTTP route and carries no policy")
        for handler in route.route_handlers:
            if handler.http_methods == {"OPTIONS"}:  # the framework's own; `guard` asks it for the token
                continue
            if not isinstance(handler.opt.get("policy"), Policy):
                raise Bug(f"{'/'.join(sorted(handler.http_methods))} {route.path} has no policy")


class Doorkeeper:
    """Lets a request through or not, by the policy of its route.

    Args:
        token: what a caller must show.
        hosts: host names under which this server may be addressed; others are refused, so that a page of
            another site cannot reach it by a name of its own (DNS rebinding).

    Attributes:
        cookie: name of the browser's cookie. Cookies do not know ports: the servers of two workspaces need two names.
        session: its value, made from the token; as a bearer it is worth nothing.
    """

    def __init__(self, token: str, hosts: Collection[str]) -> None:
        self._token = token.encode()
        self._hosts = {host.lower() for host in hosts}
        self.cookie = f"charkh_{hashlib.sha256(self._token).hexdigest()[:12]}"
        self.session = hmac.new(self._token, b"charkh browser session", hashlib.sha256).hexdigest()

    def guard(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Raise what the caller is told when it may not pass."""
        policy = handler.opt.get("policy")
        if policy is Policy.OPEN:
            return
        if not self.knows_bearer(connection.headers.get("authorization", "")):
            if policy is Policy.EXCHANGE:
                raise _not_authorized()
            self._ask_browser(connection, policy)
        if policy is Policy.WRITE and not _is_json(connection):
            raise HTTPException("a body must be application/json", status_code=415)

    def knows(self, token: str) -> bool:
        """Whether this is the token; takes the same time for every wrong one."""
        return hmac.compare_digest(token.encode("utf-8", "replace"), self._token)

    def knows_bearer(self, header: str) -> bool:
        """Whether an `Authorization` header carries the token."""
        scheme, _, token = header.partition(" ")
        return scheme.lower() == "bearer" and self.knows(token.strip())

    def knows_session(self, connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
        """Whether the browser that asks has opened the link with the token before."""
        given = connection.cookies.get(self.cookie, "").encode("utf-8", "replace")
        return hmac.compare_digest(given, self.session.encode())

    def knows_host(self, header: str) -> bool:
        """Whether a `Host` header names this server."""
        name = header.lower()
        if not name.endswith("]"):
            head, colon, port = name.rpartition(":")
            name = head if colon and port.isdecimal() else name
        return name in self._hosts

    def _ask_browser(self, connection: ASGIConnection[Any, Any, Any, Any], policy: object) -> None:
        if not self.knows_session(connection):
            raise _not_authorized()
        if policy is Policy.WRITE and connection.headers.get("sec-fetch-site", "") != "same-origin":
            raise PermissionDeniedException("only a page of this server may do this")


def _not_authorized() -> NotAuthorizedException:
    return NotAuthorizedException(
        "the token is missing or wrong: send the header `Authorization: Bearer TOKEN`",
        headers={"WWW-Authenticate": 'Bearer realm="charkh"'},
    )


def host_names(host: str) -> frozenset[str]:
    """The names under which a server that binds `host` is addressed."""
    return LOOPBACK if host in LOOPBACK else LOOPBACK | {host.lower()}


def _is_json(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether there is no body, or one that no form and no plain text of another site can be."""
    headers = connection.headers
    empty = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == JSON or (empty and not kind)
