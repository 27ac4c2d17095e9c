"""Who may call a route: a policy on every one of them, and a server that does not start without.

Who asks is the gatekeeper's to say (`charkh.users.gatekeeper`), by a bearer token or by a browser's cookie: a browser
gets the token once as a link, and then keeps a cookie that no other site can send and that is not the token.
"""

import asyncio
import hashlib
import ipaddress
from collections.abc import Collection
from enum import Enum
from typing import TYPE_CHECKING, Any

from charkh.core.errors import Bug, Unauthenticated
from charkh.server.asking import asked_by
from charkh.users.caller import ROLES, Caller, Role
from charkh.users.gatekeeper import Gatekeeper, allow, not_allowed, unknown_caller

if TYPE_CHECKING:
    # What raises it imports it: the port listens before the framework is loaded.
    from litestar import Litestar
    from litestar.connection import ASGIConnection
    from litestar.exceptions import NotAuthorizedException
    from litestar.handlers import BaseRouteHandler

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})
ANY = frozenset({"0.0.0.0", "::", "[::]"})  # noqa: S104 (names that no server is called by)
JSON = "application/json"


class Policy(Enum):
    """What a caller must show, and the role that it must have.

    `opt={"policy": …, "role": …}` of a route asks for another role; with `"scoped": True` the role need not be held
    over the whole workspace, because everything that the handler touches goes through the store of `workspace_of`.
    """

    OPEN = "open"
    """Nothing: liveness, and the pages through which one signs in."""
    READ = "read"
    """A reader."""
    WRITE = "write"
    """A writer, and JSON where there is a body; for a browser's cookie also a request from the server's own page."""
    ADMIN = "admin"
    """An admin; else as `WRITE`, and for what only reads as `READ`."""
    EXCHANGE = "exchange"
    """A writer by a bearer token, with a body of any kind: another charkh, never a browser."""


_ROLES: dict[Policy, Role] = {
    Policy.READ: "reader",
    Policy.WRITE: "writer",
    Policy.ADMIN: "admin",
    Policy.EXCHANGE: "writer",
}
READING = frozenset({"GET", "HEAD"})


def require_policies(app: "Litestar") -> None:
    """Refuse an application with a route that has no policy.

    Raises:
        Bug: one has none.
    """
    from litestar.routes import HTTPRoute

    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            raise Bug(f"{route.path} is no HTTP route and carries no policy")
        for handler in route.route_handlers:
            if handler.http_methods == {"OPTIONS"}:  # the framework's own; `guard` asks it for the token
                continue
            if not isinstance(handler.opt.get("policy"), Policy) or handler.opt.get("role", "reader") not in ROLES:
                raise Bug(f"{'/'.join(sorted(handler.http_methods))} {route.path} has no policy")


class Doorkeeper:
    """Lets a request through or not, by the policy of its route.

    Args:
        gatekeeper: says who asks.
        hosts: host names under which this server may be addressed; others are refused, so that a page of
            another site cannot reach it by a name of its own (DNS rebinding).
        secure: the server speaks TLS, so its cookies travel by nothing else.
        numbers: it may be addressed by a number, too: it listens on every address of this machine. Rebinding needs a
            name.

    Attributes:
        gatekeeper: as given.
        secure: as given.
        cookie: name of the browser's cookie. Cookies do not know ports: the servers of two workspaces need two names.
    """

    def __init__(
        self, gatekeeper: Gatekeeper, hosts: Collection[str], *, secure: bool = False, numbers: bool = False
    ) -> None:
        self.gatekeeper = gatekeeper
        self.secure = secure
        self._hosts = {host.lower() for host in hosts}
        self._numbers = numbers
        name = f"charkh_{hashlib.sha256(gatekeeper.identity).hexdigest()[:12]}"
        self.cookie = f"__Host-{name}" if secure else name

    async def guard(self, connection: "ASGIConnection[Any, Any, Any, Any]", handler: "BaseRouteHandler") -> None:
        """Raise what the caller is told when it may not pass; else let the handler act as this caller."""
        policy = handler.opt.get("policy")
        if policy is Policy.OPEN:
            return
        method = str(connection.scope.get("method", ""))
        # The framework's own OPTIONS carry no policy, and whoever has a role anywhere may ask.
        role: Role = handler.opt.get("role") or (_ROLES[policy] if isinstance(policy, Policy) else "reader")
        if self.gatekeeper.is_stale:
            await asyncio.to_thread(self.gatekeeper.refresh)
        changes = isinstance(policy, Policy) and policy is not Policy.READ and method not in READING
        caller = self.holder_of(connection, browsers=policy is not Policy.EXCHANGE, changes=changes)
        if isinstance(policy, Policy) and not handler.opt.get("scoped") and not caller.may_everywhere(role):
            raise not_allowed(role, everywhere=True)
        asked_by(allow(caller, role))
        if changes and policy is not Policy.EXCHANGE and not _is_json(connection):
            from litestar.exceptions import HTTPException

            raise HTTPException("a body must be application/json", status_code=415)

    def holder_of(
        self, connection: "ASGIConnection[Any, Any, Any, Any]", *, browsers: bool = True, changes: bool = False
    ) -> Caller:
        """Who asks, by what the request shows.

        Args:
            connection: the request.
            browsers: a cookie counts, too.
            changes: the request changes something: with a cookie it must come from a page of this server.

        Raises:
            NotAuthorizedException: nobody that is known.
            PermissionDeniedException: a page of another site sent it.
        """
        try:
            return self.gatekeeper.identify(connection.headers.get("authorization", ""))
        except Unauthenticated as error:
            caller = self.gatekeeper.holder_of_session(connection.cookies.get(self.cookie, "")) if browsers else None
            if caller is None:
                raise _not_authorized() from error
        if changes and connection.headers.get("sec-fetch-site", "") != "same-origin":
            from litestar.exceptions import PermissionDeniedException

            raise PermissionDeniedException("only a page of this server may do this")
        return caller

    def knows_host(self, header: str) -> bool:
        """Whether a `Host` header names this server."""
        name = header.lower()
        if not name.endswith("]"):
            head, colon, port = name.rpartition(":")
            name = head if colon and port.isdecimal() else name
        return name in self._hosts or (self._numbers and _is_number(name))


def _is_number(name: str) -> bool:
    try:
        return not ipaddress.ip_address(name.strip("[]")).is_unspecified
    except ValueError:
        return False


def _not_authorized() -> "NotAuthorizedException":
    from litestar.exceptions import NotAuthorizedException

    return NotAuthorizedException(unknown_caller().message, headers={"WWW-Authenticate": 'Bearer realm="charkh"'})


def host_names(host: str, more: Collection[str] = ()) -> frozenset[str]:
    """The names under which a server that binds `host` is addressed, those that the operator added included."""
    return LOOPBACK | {name.lower() for name in (host, *more) if name not in ANY}


def _is_json(connection: "ASGIConnection[Any, Any, Any, Any]") -> bool:
    """Whether there is no body, or one that no form and no plain text of another site can be."""
    headers = connection.headers
    empty = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == JSON or (empty and not kind)
