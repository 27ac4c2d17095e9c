"""Users whom an OpenID provider vouches for: made when they come first, with what their groups are granted."""

import hashlib
import time

from charkh.core.errors import CharkhError, Conflict, Invalid
from charkh.ports.store import Store
from charkh.users.caller import Caller, Grant
from charkh.users.find import list_users
from charkh.users.make import make_user
from charkh.users.oidc import Identity, Provider
from charkh.users.token import make_token, parse_limit
from charkh.users.user import User, parse_user_name

EVERYBODY = "*"
SESSION = 12 * 3600.0
"""Seconds until somebody who signed in with a browser signs in again, and groups are read anew."""


class Vouching:
    """Turns what the provider vouches for into callers.

    Args:
        store: where the users are.
        provider: who vouches.
    """

    def __init__(self, store: Store, provider: Provider) -> None:
        self.provider = provider
        self._store = store
        self._grants = {
            group: tuple(parse_limit(text) for text in said) for group, said in provider.settings.grants.items()
        }

    def prepare(self, token: str) -> bool:
        """Let `caller_of` know this token, on a thread that may wait; whether somebody was made a user."""
        self.provider.prepare(token)
        identity = self.provider.identify(token)
        if identity is None or _known(list_users(self._store), identity) is not None:
            return False
        self.user_of(identity)
        return True

    def caller_of(self, token: str, users: tuple[User, ...]) -> Caller | None:
        """Who shows an identity token, among the users that are known; None for nobody. Calls nobody."""
        identity = self.provider.identify(token)
        user = None if identity is None else _known(users, identity)
        if identity is None or user is None or user.disabled:
            return None
        return Caller(name=user.name, user=user.id, grants=(*user.grants, *self.grants_of(identity)))

    def sign_in(self, identity: Identity) -> Caller:
        """The caller of a browser's new session; behind it stands a token that nobody sees and that can be revoked."""
        user = self.user_of(identity)
        grants = self.grants_of(identity)
        minted = make_token(self._store, user.id, label="browser session", expires=time.time() + SESSION, grants=grants)
        return Caller(name=user.name, user=user.id, token=minted.id, grants=(*user.grants, *grants))

    def user_of(self, identity: Identity) -> User:
        """The user whom the provider knows under this subject, made where there is none."""
        found = _known(list_users(self._store), identity)
        if found is not None:
            return found
        mark = hashlib.sha256(f"{identity.issuer} {identity.subject}".encode()).hexdigest()[:8]
        for name in (identity.name, f"{identity.name}-{mark}", f"user-{mark}"):
            # A name that somebody else has is not given away, whatever the provider says.
            try:
                return make_user(self._store, parse_user_name(name), issuer=identity.issuer, external=identity.subject)
            except (Invalid, Conflict):
                continue
        raise _nameless(identity)

    def grants_of(self, identity: Identity) -> tuple[Grant, ...]:
        """What the operator grants to the groups of somebody."""
        groups = (EVERYBODY, *identity.groups)
        return tuple(dict.fromkeys(each for group in groups for each in self._grants.get(group, ())))


def _known(users: tuple[User, ...], identity: Identity) -> User | None:
    pair = (identity.issuer, identity.subject)
    return next((user for user in users if (user.issuer, user.external) == pair), None)


def _nameless(identity: Identity) -> CharkhError:
    return Conflict(
        f"no user can be made of {identity.subject[:80]!r}",
        code="user.exists",
        hint="Every name that the provider gives is taken.",
    )
