"""Tokens of users: `ck_<id>_<secret>`, shown once, known by their digest, revocable at once."""

import hashlib
import re
import secrets
import time
from collections.abc import Sequence

import msgspec

from charkh.core.errors import Invalid, NotFound
from charkh.core.events import Draft
from charkh.ports.store import Store
from charkh.users.caller import Grant
from charkh.users.find import find_user, list_users
from charkh.users.make import parse_role
from charkh.users.scopes import EVERYTHING, parse_scope
from charkh.users.user import (
    MAX_LABEL,
    TOKEN_MADE_KIND,
    TOKEN_REVOKED_KIND,
    Token,
    TokenMade,
    TokenRevoked,
    bounded_text,
)

PREFIX = "ck"
MAX_TOKEN = 200
MAX_LIMITS = 50
_TOKEN = re.compile(r"ck_([0-9a-f]{16})_[A-Za-z0-9_-]{43}")


class Minted(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was just made; `secret` is the whole of what is sent, and is shown only now."""

    id: str
    user: str
    secret: str
    expires: float


def make_token(
    store: Store,
    name: str,
    *,
    label: str = "",
    limits: Sequence[Grant] | None = None,
    expires: float = 0.0,
    grants: Sequence[Grant] = (),
) -> Minted:
    """Make a token for a user.

    Args:
        store: where the user is.
        name: or id of the user.
        label: what it is for.
        limits: what it may do of what the user may; None for all of it.
        expires: seconds since the epoch; 0 for never.
        grants: what it may do beside what the user may, as a provider vouches.

    Raises:
        NotFound: there is no such user.
        Invalid: the label is too long, or the time to expire has passed.
    """
    user = find_user(store, name)
    if expires and expires <= time.time():
        raise Invalid("the token would have expired already", code="user.expired", hint="Give a later time.")
    if limits is not None and len(limits) > MAX_LIMITS:
        raise Invalid(f"a token has at most {MAX_LIMITS} limits", code="user.too_long", hint="Say it with fewer.")
    identifier = secrets.token_hex(8)
    secret = f"{PREFIX}_{identifier}_{secrets.token_urlsafe(32)}"
    made = TokenMade(
        token=identifier,
        user=user.id,
        digest=digest_of_token(secret),
        label=bounded_text(label, MAX_LABEL),
        limits=None if limits is None else tuple(limits),
        expires=expires,
        grants=tuple(grants),
    )
    store.record(Draft(kind=TOKEN_MADE_KIND, subject=f"user:{user.id}", body=made), durable=True)
    return Minted(id=identifier, user=user.name, secret=secret, expires=expires)


def revoke_token(store: Store, identifier: str, *, reason: str = "") -> Token:
    """Let a token be worth nothing from now on; a second time changes nothing.

    Raises:
        NotFound: there is no such token.
    """
    token = find_token(store, identifier)
    if token.revoked is None:
        body = TokenRevoked(token=token.id, user=token.user, reason=bounded_text(reason))
        store.record(Draft(kind=TOKEN_REVOKED_KIND, subject=f"user:{token.user}", body=body), durable=True)
    return find_token(store, token.id)


def end_session(store: Store, session: str, user: str) -> None:
    """Let a browser's session be worth nothing from now on."""
    body = TokenRevoked(token=session, user=user, reason="signed out")
    store.record(Draft(kind=TOKEN_REVOKED_KIND, subject=f"user:{user or 'owner'}", body=body), durable=True)


def find_token(store: Store, identifier: str) -> Token:
    """The token with this id; the whole token is understood, too.

    Raises:
        NotFound: there is none.
    """
    wanted = id_in_token(identifier) or identifier
    for user in list_users(store):
        for token in user.tokens:
            if token.id == wanted:
                return token
    raise NotFound("there is no token of that id", code="user.no_token", hint="`charkh user show NAME` lists them.")


def parse_limit(text: str) -> Grant:
    """A limit as it is typed: `writer`, or `writer:flights/`, `reader:model:delay*`.

    Raises:
        Invalid: it is no role, or no scope.
    """
    role, _, scope = text.partition(":")
    return Grant(parse_role(role), parse_scope(scope or EVERYTHING))


def id_in_token(secret: str) -> str:
    """The id that stands in a token; empty for what is none."""
    found = _TOKEN.fullmatch(secret) if len(secret) <= MAX_TOKEN else None
    return found[1] if found else ""


def digest_of_token(secret: str) -> str:
    """SHA-256 of a token, hex."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
