"""Users' part of the catalog: users, what they may do, their tokens; and the decisions that need the lock."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Boolean, Column, Connection, Float, LargeBinary, MetaData, String, Table, select

from charkh.core.clock import seconds
from charkh.core.errors import Conflict
from charkh.core.events import Draft, Event, body_of
from charkh.core.ids import new_id
from charkh.ports.folding import add_rows, keep_rows
from charkh.ports.projections import Command, Description, Projection, Query
from charkh.users.caller import Grant, Role
from charkh.users.user import (
    DENIED_KIND,
    DISABLED_KIND,
    GRANTED_KIND,
    MADE_KIND,
    SIGNED_IN_KIND,
    TOKEN_MADE_KIND,
    TOKEN_REVOKED_KIND,
    Refusal,
    Sort,
    Token,
    TokenMade,
    TokenRevoked,
    User,
    UserDenied,
    UserDisabled,
    UserGranted,
    UserMade,
    UserSignedIn,
    folded_name,
)

_metadata = MetaData()
_users = Table(
    "user_made",
    _metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("created", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_disabled = Table(
    "user_disabled",
    _metadata,
    Column("id", String, primary_key=True),
    Column("disabled", Boolean, nullable=False),
    Column("stamp", String, nullable=False),
)
_grants = Table(
    "user_grant",
    _metadata,
    Column("user", String, primary_key=True),
    Column("scope", String, primary_key=True),
    Column("role", String, nullable=False),
    Column("stamp", String, nullable=False),
)
_tokens = Table(
    "user_token",
    _metadata,
    Column("id", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("created", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_revoked = Table(
    "user_token_revoked",
    _metadata,
    Column("id", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)

_seen = Table(
    "user_seen",
    _metadata,
    Column("event", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("user", String, nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

_decode_made = msgspec.msgpack.Decoder(UserMade).decode
_decode_denied = msgspec.msgpack.Decoder(UserDenied).decode
_decode_token = msgspec.msgpack.Decoder(TokenMade).decode


class MakeUser(Command, frozen=True, kw_only=True):
    """Make a user of a name that nobody has, nor one that could be taken for it."""

    name: str
    sort: Sort = "person"
    issuer: str = ""
    external: str = ""


class RevokedTokens(Query[tuple[str, ...]], frozen=True, kw_only=True):
    """Ids of every token and every browser session that was ended, in order."""


class Refusals(Query[tuple[Refusal, ...]], frozen=True, kw_only=True):
    """The newest refusals that were recorded: of a user (an id), or of nobody that is known where it is empty."""

    user: str
    limit: int = 100


class Users(Query[tuple[User, ...]], frozen=True, kw_only=True):
    """Every user with its grants and tokens, in the order in which they were made."""


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add users and tokens, keep the latest of what changes, and the first end of a token."""
    by_kind: dict[str, list[dict[str, object]]] = {kind: [] for kind in _ROWS}
    for event in events:
        by_kind[event.kind].append(_ROWS[event.kind](event))
    keep_rows(connection, _users, by_kind[MADE_KIND], stamp="stamp", keep="earliest")
    keep_rows(connection, _tokens, by_kind[TOKEN_MADE_KIND], stamp="stamp", keep="earliest")
    keep_rows(connection, _disabled, by_kind[DISABLED_KIND], stamp="stamp")
    keep_rows(connection, _grants, by_kind[GRANTED_KIND], stamp="stamp")
    keep_rows(connection, _revoked, by_kind[TOKEN_REVOKED_KIND], stamp="stamp", keep="earliest")
    add_rows(connection, _seen, [*by_kind[SIGNED_IN_KIND], *by_kind[DENIED_KIND]])


def _made_row(event: Event) -> dict[str, object]:
    made = body_of(event, UserMade)
    return {
        "id": made.user,
        "name": made.name,
        "body": bytes(event.body),
        "actor": event.actor,
        "created": seconds(event.clock),
        "stamp": event.stamp,
    }


def _disabled_row(event: Event) -> dict[str, object]:
    body = body_of(event, UserDisabled)
    return {"id": body.user, "disabled": body.disabled, "stamp": event.stamp}


def _granted_row(event: Event) -> dict[str, object]:
    body = body_of(event, UserGranted)
    return {"user": body.user, "scope": body.scope, "role": body.role, "stamp": event.stamp}


def _token_row(event: Event) -> dict[str, object]:
    made = body_of(event, TokenMade)
    return {"id": made.token, "body": bytes(event.body), "created": seconds(event.clock), "stamp": event.stamp}


def _revoked_row(event: Event) -> dict[str, object]:
    return {"id": body_of(event, TokenRevoked).token, "at": seconds(event.clock), "stamp": event.stamp}


def _seen_row(event: Event) -> dict[str, object]:
    body = body_of(event, UserDenied) if event.kind == DENIED_KIND else body_of(event, UserSignedIn)
    return {
        "event": event.id,
        "kind": event.kind,
        "user": body.user,
        "at": seconds(event.clock),
        "body": bytes(event.body),
    }


_ROWS: dict[str, Callable[[Event], dict[str, object]]] = {
    MADE_KIND: _made_row,
    DISABLED_KIND: _disabled_row,
    GRANTED_KIND: _granted_row,
    TOKEN_MADE_KIND: _token_row,
    TOKEN_REVOKED_KIND: _revoked_row,
    SIGNED_IN_KIND: _seen_row,
    DENIED_KIND: _seen_row,
}


def decide_make(connection: Connection, command: MakeUser) -> Sequence[Draft]:
    taken = {folded_name(name): name for name in connection.execute(select(_users.c.name)).scalars()}
    rival = taken.get(folded_name(command.name))
    if rival is not None:
        raise Conflict(
            f"there is a user {rival!r} already",
            code="user.exists",
            hint="Choose another name; `charkh user list` shows those that are taken.",
        )
    made = UserMade(
        user=new_id(), name=command.name, sort=command.sort, issuer=command.issuer, external=command.external
    )
    return [Draft(kind=MADE_KIND, subject=f"user:{made.user}", body=made)]


def users(connection: Connection, _query: Users) -> tuple[User, ...]:
    disabled = {row.id for row in connection.execute(select(_disabled)) if row.disabled}
    revoked: dict[str, float] = {row.id: row.at for row in connection.execute(select(_revoked))}
    grants: dict[str, list[Grant]] = {}
    for row in connection.execute(select(_grants).order_by(_grants.c.scope)):
        if row.role:
            role: Role = row.role
            grants.setdefault(row.user, []).append(Grant(role, row.scope))
    tokens: dict[str, list[Token]] = {}
    for row in connection.execute(select(_tokens).order_by(_tokens.c.stamp.desc())):
        made = _decode_token(row.body)
        tokens.setdefault(made.user, []).append(_token(made, row.created, revoked.get(made.token)))
    found = connection.execute(select(_users).order_by(_users.c.stamp)).all()
    return tuple(
        User(
            id=row.id,
            name=row.name,
            sort=made.sort,
            disabled=row.id in disabled,
            grants=tuple(grants.get(row.id, ())),
            tokens=tuple(tokens.get(row.id, ())),
            created=row.created,
            made_by=row.actor,
            issuer=made.issuer,
            external=made.external,
        )
        for row, made in ((row, _decode_made(row.body)) for row in found)
    )


def revoked_tokens(connection: Connection, _query: RevokedTokens) -> tuple[str, ...]:
    return tuple(connection.execute(select(_revoked.c.id).order_by(_revoked.c.id)).scalars())


def refusals(connection: Connection, query: Refusals) -> tuple[Refusal, ...]:
    statement = select(_seen).where(_seen.c.kind == DENIED_KIND, _seen.c.user == query.user)
    rows = connection.execute(statement.order_by(_seen.c.at.desc(), _seen.c.event.desc()).limit(query.limit))
    return tuple(Refusal(at=row.at, denied=_decode_denied(row.body)) for row in rows)


def _token(made: TokenMade, created: float, revoked: float | None) -> Token:
    return Token(
        id=made.token,
        user=made.user,
        digest=made.digest,
        label=made.label,
        limits=made.limits,
        expires=made.expires,
        created=created,
        revoked=revoked,
        grants=made.grants,
    )


def portray(connection: Connection, identifier: str) -> Description | None:
    row: Any = connection.execute(select(_users).where(_users.c.id == identifier)).first()
    return None if row is None else Description(title=f"user {row.name}", lines=(("made by", row.actor),))


PROJECTION = Projection(
    name="user",
    version=2,
    tables=_metadata,
    kinds=frozenset(_ROWS),
    fold=fold,
    answers={Users: users, RevokedTokens: revoked_tokens, Refusals: refusals},
    portraits={"user": portray},
    decisions={MakeUser: decide_make},
)
