"""Says who a request is from, and whether it may come in: every door of the server asks here.

The owner's token is the one in the store's file; `Bearer TOKEN` and `Basic name:TOKEN` are both understood, because
some clients can only be told a user name and a password.
"""

import base64
import binascii
import hmac

import msgspec

from charkh.core.errors import Denied, Unauthenticated
from charkh.ports.store import Store
from charkh.users.caller import WHOLE_ADMIN, Caller, Role


class Gatekeeper:
    """Admits callers by what they show.

    Args:
        store: where the users are.
        token: the owner's, from the store's file.
    """

    def __init__(self, store: Store, token: str) -> None:
        self._store = store
        self._token = token.encode()
        self._owner = Caller(name=store.actor, grants=(WHOLE_ADMIN,))

    def admit(self, authorization: str, role: Role, project: str = "") -> Caller:
        """Who shows this `Authorization` header, if it may do what needs `role`.

        Without a project, the role must be held somewhere: what the request may reach with it is the guarded store's
        to say (`charkh.users.acting.store_for`).

        Args:
            authorization: the header's value; empty where there is none.
            role: what the request needs.
            project: name of the one project that the request is about.

        Raises:
            Unauthenticated: nothing that is known was shown.
            Denied: the caller has not this role there.
        """
        caller = self.identify(authorization)
        allowed = caller.may(role, "project", project) if project else caller.may_somewhere(role)
        if not allowed:
            raise not_allowed(role)
        return msgspec.structs.replace(caller, asked=role)

    def identify(self, authorization: str) -> Caller:
        """Who shows this header.

        Raises:
            Unauthenticated: nobody that is known here.
        """
        _, secret = credentials_in(authorization)
        if hmac.compare_digest(secret.encode("utf-8", "replace"), self._token):
            return self._owner
        raise unknown_caller()


def credentials_in(authorization: str) -> tuple[str, str]:
    """The name, or an empty one, and the secret in an `Authorization` header; both empty where it has none."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return "", value.strip()
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, secret


def unknown_caller() -> Unauthenticated:
    """What everybody is told whose token is missing, wrong, expired or revoked."""
    return Unauthenticated(
        "the token is missing or wrong: send the header `Authorization: Bearer TOKEN`",
        hint="`charkh up` prints the owner's token, `charkh user token NAME` makes one for a user.",
    )


def not_allowed(role: Role) -> Denied:
    """What a known caller is told that lacks a role."""
    return Denied(
        f"this needs the role of {'an' if role == 'admin' else 'a'} {role}",
        code="user.not_allowed",
        hint="Ask an admin for it: charkh user grant NAME ROLE SCOPE.",
    )
