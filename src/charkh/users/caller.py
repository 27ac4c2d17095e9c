"""Who asks: the caller of one request, and what it may do where. Pure data."""

from typing import Literal

import msgspec

from charkh.users.scopes import EVERYTHING, Noun, reaches

Role = Literal["reader", "writer", "admin"]
ROLES: tuple[Role, ...] = ("reader", "writer", "admin")
"""In order: who has one may do what those before it may."""


class Grant(msgspec.Struct, frozen=True):
    """One role over one scope, as `charkh.users.scopes.parse_scope` writes it."""

    role: Role
    scope: str


WHOLE_ADMIN = Grant("admin", EVERYTHING)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, as a gatekeeper admitted it.

    Attributes:
        name: under which it records; the store's actor for the owner's own token.
        user: id of the user; empty for the owner's token.
        token: id of the token; empty for the owner's, and for who signed in at a provider.
        grants: what its user may do.
        limits: what its token may do of that; None where the token may do all of it.
        asked: the role that this request asked for when it was admitted.
    """

    name: str
    user: str = ""
    token: str = ""
    grants: tuple[Grant, ...] = ()
    limits: tuple[Grant, ...] | None = None
    asked: Role = "reader"

    def role(self, noun: Noun, name: str) -> Role | None:
        """Its role over one thing; None for none at all."""
        held = _highest(self.grants, noun, name)
        return held if self.limits is None else _lower(held, _highest(self.limits, noun, name))

    def may(self, role: Role, noun: Noun, name: str) -> bool:
        """Whether it has at least this role over one thing."""
        return covers(self.role(noun, name), role)

    def may_everywhere(self, role: Role) -> bool:
        """Whether it has at least this role over the whole workspace."""
        return _has_whole(self.grants, role) and (self.limits is None or _has_whole(self.limits, role))

    def may_somewhere(self, role: Role) -> bool:
        """Whether it has at least this role over anything."""
        return any(covers(grant.role, role) for grant in self.grants) and (
            self.limits is None or any(covers(grant.role, role) for grant in self.limits)
        )


def covers(held: Role | None, needed: Role) -> bool:
    """Whether who holds `held` may do what needs `needed`."""
    return held is not None and ROLES.index(held) >= ROLES.index(needed)


def visible_projects(caller: Caller, role: Role = "reader") -> tuple[str, ...] | None:
    """The projects in which a caller has a role, each with all below it; None for all of them."""
    if caller.may_everywhere(role):
        return None
    named = {
        grant.scope.removeprefix("project:")
        for grant in (*caller.grants, *(caller.limits or ()))
        if grant.scope.startswith("project:")
    }
    return tuple(sorted(name for name in named if caller.may(role, "project", name)))


def _highest(grants: tuple[Grant, ...], noun: Noun, name: str) -> Role | None:
    held = {grant.role for grant in grants if reaches(grant.scope, noun, name)}
    return next((role for role in reversed(ROLES) if role in held), None)


def _lower(one: Role | None, other: Role | None) -> Role | None:
    return one if one is None or (other is not None and covers(other, one)) else other


def _has_whole(grants: tuple[Grant, ...], role: Role) -> bool:
    return any(grant.scope == EVERYTHING and covers(grant.role, role) for grant in grants)
