"""Says who a request is from, and whether it may come in: every door of the server asks here.

The owner's token is the one in the store's file; a user shows a token of its own, or an identity token of a provider.
`Bearer TOKEN` and `Basic name:TOKEN` are both understood, because some clients can only be told a name and a password.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec

from charkh.core.errors import Denied, Unauthenticated
from charkh.ports.store import Store
from charkh.runs.projects import list_projects
from charkh.users.caller import WHOLE_ADMIN, Caller, Role
from charkh.users.find import list_users
from charkh.users.index import RevokedTokens
from charkh.users.token import digest_of_token, end_session, id_in_token
from charkh.users.user import Token, User

FRESH = 1.0
"""Seconds for which what is known of the users is believed; what this process changes counts at once."""
OWNER = "owner"
SESSION = 30 * 24 * 3600.0
"""Seconds that a browser stays signed in at most."""
_NOBODY = "0" * 64


class Vouches(Protocol):
    """Somebody who vouches for callers, such as an OpenID provider (`charkh.users.vouched`)."""

    def prepare(self, token: str) -> bool:
        """Let `caller_of` know a token, on a thread that may wait; whether somebody was made a user."""
        ...

    def caller_of(self, token: str, users: tuple[User, ...]) -> Caller | None:
        """Who shows this token, among the users that are known; None for nobody. Calls nobody."""
        ...


class _Known(NamedTuple):
    tokens: Mapping[str, tuple[Token, User]]
    revoked: frozenset[str]
    users: tuple[User, ...]
    read: float


class Gatekeeper:
    """Admits callers by what they show.

    Args:
        store: where the users are.
        token: the owner's, from the store's file.

    Attributes:
        vouching: who vouches for callers that have no token of this store; None where nobody does.
    """

    def __init__(self, store: Store, token: str) -> None:
        self.vouching: Vouches | None = None
        self._store = store
        self._token = token.encode()
        self._owner = Caller(name=store.actor, grants=(WHOLE_ADMIN,))
        self._known: _Known | None = None
        self._lock = threading.Lock()

    @property
    def identity(self) -> bytes:
        """Bytes that no other store has; secret."""
        return self._token

    @property
    def is_stale(self) -> bool:
        """Whether the next question to the gatekeeper has to ask the store first."""
        known = self._known
        return known is None or time.monotonic() - known.read > FRESH

    def refresh(self) -> None:
        """Ask the store now, on a thread that may wait for it."""
        self._now()

    @property
    def has_users(self) -> bool:
        """Whether anybody has been made a user: the store belongs to a team."""
        return bool(self._now().users)

    def admit(self, authorization: str, role: Role, project: str = "") -> Caller:
        """Who shows this `Authorization` header, if it may do what needs `role`.

        Without a project, the role must be held somewhere: what the request may reach with it is the guarded store's
        to say (`charkh.users.acting.store_for`).

        Args:
            authorization: the header's value; empty where there is none.
            role: what the request needs.
            project: name or id of the one project that the request is about.

        Raises:
            Unauthenticated: nothing that is known was shown.
            Denied: the caller has not this role there.
        """
        caller = self.identify(authorization)
        is_id = project.isdecimal() and not caller.may_everywhere(role)
        return allow(caller, role, self._name_of(project) if is_id else project)

    def identify(self, authorization: str) -> Caller:
        """Who shows this header.

        Raises:
            Unauthenticated: nobody that is known here.
        """
        name, secret = credentials_in(authorization)
        caller = self.holder_of(secret, name)
        if caller is None:
            raise unknown_caller()
        return caller

    def holder_of(self, secret: str, name: str = "") -> Caller | None:
        """Whose token this is; with a name, only if it is that user's. None for nobody's."""
        # Every comparison is made, whatever the ones before it said.
        is_owner = hmac.compare_digest(secret.encode("utf-8", "replace"), self._token)
        found = self._now().tokens.get(id_in_token(secret))
        digest = found[0].digest if found else _NOBODY
        is_good = hmac.compare_digest(digest_of_token(secret), digest)
        if is_owner:
            return self._owner
        if found is not None and is_good:
            return _caller(*found, name)
        if self.vouching is None or not _is_vouched(secret):
            return None
        return self.vouching.caller_of(secret, self._now().users)

    def must_prepare(self, authorization: str) -> bool:
        """Whether `prepare` has to look at this header before it can be judged."""
        return self.vouching is not None and _is_vouched(credentials_in(authorization)[1])

    def prepare(self, authorization: str) -> None:
        """Ask the provider what it has to say of this header, on a thread that may wait for it.

        Raises:
            Unavailable: it does not answer.
        """
        if self.vouching is not None and self.vouching.prepare(credentials_in(authorization)[1]):
            self.forget()

    def sealed(self, text: str) -> str:
        """A text without dots that only this store can have said."""
        return f"{text}.{self._seal(text)}"

    def unsealed(self, text: str) -> str:
        """What `sealed` was given; empty for what this store never said."""
        said, _, seal = text.rpartition(".")
        return said if hmac.compare_digest(seal.encode("utf-8", "replace"), self._seal(said).encode()) else ""

    def session_of(self, caller: Caller) -> str:
        """What the cookie of a new session says: it counts as long as the token it stands for, a month at most."""
        said = f"{caller.token or OWNER}.{secrets.token_hex(16)}.{int(time.time() + SESSION)}"
        return self.sealed(said)

    def holder_of_session(self, cookie: str) -> Caller | None:
        """Whose session a cookie is; None where it is nobody's, was ended, or the token behind it counts no more."""
        said = self.unsealed(cookie).split(".")
        if len(said) != 3:
            return None
        token, session, until = said
        known = self._now()
        if time.time() > float(until) or session in known.revoked:
            return None
        if token == OWNER:
            return self._owner
        found = known.tokens.get(token)
        return None if found is None else _caller(*found, "")

    def end_session(self, cookie: str) -> None:
        """Let a session be worth nothing any more, on every server of this store."""
        caller = self.holder_of_session(cookie)
        if caller is not None:
            end_session(self._store, cookie.split(".")[1], caller.user)
            self.forget()

    def forget(self) -> None:
        """Ask the store anew at the next request: something about the users has changed."""
        self._known = None

    def _name_of(self, project: str) -> str:
        known = {each.id: each.name for each in list_projects(self._store, deleted=None)}
        return known.get(project, project)

    def _seal(self, said: str) -> str:
        text = f"charkh browser session {said}".encode("utf-8", "replace")
        return hmac.new(self._token, text, hashlib.sha256).hexdigest()

    def _now(self) -> _Known:
        known = self._known
        if known is None or self.is_stale:
            with self._lock:
                known = self._known
                if known is None or self.is_stale:
                    known = self._known = self._read()
        return known

    def _read(self) -> _Known:
        users = list_users(self._store)
        tokens = {token.id: (token, user) for user in users for token in user.tokens}
        revoked = frozenset(self._store.queries.ask(RevokedTokens()))
        return _Known(tokens=tokens, revoked=revoked, users=users, read=time.monotonic())


def allow(caller: Caller, role: Role, project: str = "") -> Caller:
    """The caller as it asks for `role`.

    Raises:
        Denied: it has not this role in the project, or without one anywhere.
    """
    if not (caller.may(role, "project", project) if project else caller.may_somewhere(role)):
        raise not_allowed(role)
    return msgspec.structs.replace(caller, asked=role)


def credentials_in(authorization: str) -> tuple[str, str]:
    """The name, or an empty one, and the secret in an `Authorization` header; both empty where it has none."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return "", value.strip()
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return name, secret


def unknown_caller() -> Unauthenticated:
    """What everybody is told whose token is missing, wrong, expired or revoked."""
    return Unauthenticated(
        "the token is missing or wrong: send the header `Authorization: Bearer TOKEN`",
        hint="`charkh up` prints the owner's token, `charkh user token NAME` makes one for a user.",
    )


def not_allowed(role: Role, *, everywhere: bool = False) -> Denied:
    """What a known caller is told that lacks a role, perhaps only because it must be over the whole workspace."""
    where = " over the whole workspace" if everywhere else ""
    return Denied(
        f"this needs the role of {'an' if role == 'admin' else 'a'} {role}{where}",
        code="user.not_allowed",
        hint=f"Ask an admin for it: charkh user grant NAME {role} SCOPE.",
    )


def _is_vouched(secret: str) -> bool:
    """Whether this looks like a signed token of a provider."""
    return secret.count(".") == 2


def _caller(token: Token, user: User, name: str) -> Caller | None:
    if user.disabled or not token.is_good(time.time()) or (name and name not in {user.name, user.id}):
        return None
    return Caller(
        name=user.name, user=user.id, token=token.id, grants=(*user.grants, *token.grants), limits=token.limits
    )
