"""Make a user, say what it may do, and take it away again."""

from charkh.core.errors import Invalid
from charkh.core.events import Draft
from charkh.ports.store import Store
from charkh.users.caller import ROLES, Role
from charkh.users.find import find_user
from charkh.users.index import MakeUser
from charkh.users.scopes import parse_scope
from charkh.users.user import (
    DISABLED_KIND,
    GRANTED_KIND,
    SORTS,
    Sort,
    User,
    UserDisabled,
    UserGranted,
    bounded_text,
    parse_user_name,
)


def make_user(store: Store, name: str, *, sort: Sort = "person", issuer: str = "", external: str = "") -> User:
    """Make a user; it may do nothing yet.

    Args:
        store: where it is to be known.
        name: as it will stand in the facts that it records.
        sort: a person, or a service account.
        issuer: address of the OpenID provider that knows it.
        external: what the provider calls it.

    Raises:
        Invalid: it is no name for a user, or no sort of one.
        Conflict: there is one whose name is the same or could be taken for it.
    """
    if sort not in SORTS:
        raise Invalid(f"{sort!r} is no sort of user", code="user.bad_sort", hint=f"Say {' or '.join(SORTS)}.")
    command = MakeUser(name=parse_user_name(name), sort=sort, issuer=issuer, external=external)
    (made,) = store.commands.decide(command)
    return find_user(store, made.subject.removeprefix("user:"))


def grant(store: Store, name: str, role: str, scope: str, *, reason: str = "") -> User:
    """Let a user have a role over a scope from now on, in place of the one that it has there.

    Args:
        store: where the user is.
        name: or id of the user.
        role: reader, writer or admin; empty to take away what it has over exactly this scope.
        scope: see `charkh.users.scopes`.
        reason: why, in a sentence.

    Raises:
        NotFound: there is no such user.
        Invalid: it is no role, or no scope.
    """
    user = find_user(store, name)
    body = UserGranted(
        user=user.id, scope=parse_scope(scope), role=parse_role(role) if role else "", reason=bounded_text(reason)
    )
    store.record(Draft(kind=GRANTED_KIND, subject=f"user:{user.id}", body=body), durable=True)
    return find_user(store, user.id)


def set_disabled(store: Store, name: str, *, disabled: bool = True, reason: str = "") -> User:
    """Shut a user out with every token and session, or let it in again.

    Raises:
        NotFound: there is no such user.
    """
    user = find_user(store, name)
    if user.disabled != disabled:
        body = UserDisabled(user=user.id, disabled=disabled, reason=bounded_text(reason))
        store.record(Draft(kind=DISABLED_KIND, subject=f"user:{user.id}", body=body), durable=True)
    return find_user(store, user.id)


def parse_role(text: str) -> Role:
    """The role that is written so.

    Raises:
        Invalid: there is none.
    """
    for role in ROLES:
        if role == text:
            return role
    raise Invalid(f"{text[:40]!r} is no role", code="user.bad_role", hint=f"Roles are {', '.join(ROLES)}.")
