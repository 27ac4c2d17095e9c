"""`/api/users`: users, their roles and tokens, for admins; and who one is, for everybody."""

import time

import msgspec
from litestar import get, post
from litestar.datastructures import State
from litestar.params import FromQuery, JSONBody

from charkh.core.quantities import parse_duration
from charkh.server.asking import who_asks
from charkh.server.handlers.opened import doorkeeper_of, workspace_of
from charkh.server.policy import Policy
from charkh.users.caller import Grant
from charkh.users.find import find_user, list_users
from charkh.users.make import grant, make_user, set_disabled
from charkh.users.token import Minted, make_token, parse_limit, revoke_token
from charkh.users.user import Sort, Token, User


class NewUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user to make, perhaps with a role at once."""

    name: str
    sort: Sort = "person"
    role: str = ""
    scope: str = "*"


class NewGrant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A role over a scope; an empty one takes it away."""

    name: str
    role: str
    scope: str = "*"
    reason: str = ""


class NewToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to make: `limits` such as `writer:flights/`, `expires` such as `90d`."""

    name: str
    label: str = ""
    limits: tuple[str, ...] = ()
    expires: str = ""


class Disabling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user to shut out, or to let in again."""

    name: str
    disabled: bool = True
    reason: str = ""


class Revocation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to revoke, by its id."""

    token: str
    reason: str = ""


class Myself(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and what it may do."""

    name: str
    user: str
    token: str
    grants: tuple[Grant, ...]
    limits: tuple[Grant, ...] | None


@get("/api/users", opt={"policy": Policy.ADMIN}, sync_to_thread=True)
def show_users(state: State) -> tuple[User, ...]:
    """Every user, with grants and tokens; no secrets, there are none."""
    return tuple(_without_digests(user) for user in list_users(workspace_of(state).store))


@get("/api/users/user", opt={"policy": Policy.ADMIN}, sync_to_thread=True)
def show_user(state: State, name: FromQuery[str]) -> User:
    """The user of this name or id."""
    return _without_digests(find_user(workspace_of(state).store, name))


@get("/api/users/me", opt={"policy": Policy.READ, "scoped": True}, sync_to_thread=False)
def show_myself() -> Myself:
    """Who asks."""
    caller = who_asks()
    return Myself(name=caller.name, user=caller.user, token=caller.token, grants=caller.grants, limits=caller.limits)


@post("/api/users", opt={"policy": Policy.ADMIN}, sync_to_thread=True, status_code=201)
def add(state: State, data: JSONBody[NewUser]) -> User:
    """Make a user."""
    store = workspace_of(state).store
    user = make_user(store, data.name, sort=data.sort)
    if data.role:
        user = grant(store, user.id, data.role, data.scope)
    return _told(state, user)


@post("/api/users/grant", opt={"policy": Policy.ADMIN}, sync_to_thread=True, status_code=200)
def give_role(state: State, data: JSONBody[NewGrant]) -> User:
    """Let a user have a role over a scope, or take it away."""
    return _told(state, grant(workspace_of(state).store, data.name, data.role, data.scope, reason=data.reason))


@post("/api/users/disable", opt={"policy": Policy.ADMIN}, sync_to_thread=True, status_code=200)
def disable(state: State, data: JSONBody[Disabling]) -> User:
    """Shut a user out, or let it in again."""
    store = workspace_of(state).store
    return _told(state, set_disabled(store, data.name, disabled=data.disabled, reason=data.reason))


@post("/api/users/token", opt={"policy": Policy.ADMIN}, sync_to_thread=True, status_code=201)
def mint(state: State, data: JSONBody[NewToken]) -> Minted:
    """Make a token; its secret is in this answer and nowhere else."""
    limits = [parse_limit(text) for text in data.limits] if data.limits else None
    expires = time.time() + parse_duration(data.expires) if data.expires else 0.0
    minted = make_token(workspace_of(state).store, data.name, label=data.label, limits=limits, expires=expires)
    doorkeeper_of(state).gatekeeper.forget()
    return minted


@post("/api/users/revoke", opt={"policy": Policy.ADMIN}, sync_to_thread=True, status_code=200)
def revoke(state: State, data: JSONBody[Revocation]) -> Token:
    """Revoke a token at once."""
    token = revoke_token(workspace_of(state).store, data.token, reason=data.reason)
    doorkeeper_of(state).gatekeeper.forget()
    return msgspec.structs.replace(token, digest="")


def _told(state: State, user: User) -> User:
    """What has changed counts from the next request on."""
    doorkeeper_of(state).gatekeeper.forget()
    return _without_digests(user)


def _without_digests(user: User) -> User:
    tokens = tuple(msgspec.structs.replace(token, digest="") for token in user.tokens)
    return msgspec.structs.replace(user, tokens=tokens)


HANDLERS = (show_users, show_user, show_myself, add, give_role, disable, mint, revoke)
