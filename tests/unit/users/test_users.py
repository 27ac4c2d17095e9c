"""Users, their grants and their tokens: made, used, narrowed, and taken away at once."""

import base64
import time

import pytest

from charkh.core.clock import Clock
from charkh.core.errors import Conflict, Denied, Invalid, NotFound, Unauthenticated
from charkh.core.events import Draft, stamp_draft
from charkh.core.redact import REDACTED, redact
from charkh.ports.store import Store
from charkh.testing.projections import assert_order_free
from charkh.users.acting import store_for
from charkh.users.caller import Caller, Grant
from charkh.users.find import find_user, list_users
from charkh.users.gatekeeper import Gatekeeper
from charkh.users.index import PROJECTION, Refusals, RevokedTokens, Users
from charkh.users.make import grant, make_user, set_disabled
from charkh.users.token import find_token, id_in_token, make_token, parse_limit, revoke_token
from charkh.users.user import (
    DENIED_KIND,
    DISABLED_KIND,
    GRANTED_KIND,
    MADE_KIND,
    SIGNED_IN_KIND,
    TOKEN_MADE_KIND,
    TOKEN_REVOKED_KIND,
    TokenMade,
    TokenRevoked,
    UserDenied,
    UserDisabled,
    UserGranted,
    UserMade,
    UserSignedIn,
)
from unit.users.conftest import OWNER_TOKEN


def bearer(token: str) -> str:
    return f"Bearer {token}"


def basic(name: str, token: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{token}'.encode()).decode()}"


def test_before_the_first_user_the_owner_may_do_everything(store: Store, gatekeeper: Gatekeeper) -> None:
    for header in (bearer(OWNER_TOKEN), basic("anybody", OWNER_TOKEN)):
        caller = gatekeeper.admit(header, "admin", "any/project")
        assert (caller.name, caller.user) == (store.actor, "")
    assert not gatekeeper.has_users
    for header in (
        "",
        "Bearer",
        bearer("wrong"),
        OWNER_TOKEN,
        basic("x", ""),
        bearer("ck_" + "0" * 16 + "_" + "a" * 43),
    ):
        with pytest.raises(Unauthenticated):
            gatekeeper.admit(header, "reader")


def test_a_user_does_what_was_granted_and_nothing_else(store: Store, gatekeeper: Gatekeeper) -> None:
    make_user(store, "ann")
    secret = make_token(store, "ann", label="laptop").secret
    gatekeeper.forget()
    assert gatekeeper.has_users
    with pytest.raises(Denied) as nothing:
        gatekeeper.admit(bearer(secret), "reader")
    assert not isinstance(nothing.value, Unauthenticated), "who it is, is known"
    grant(store, "ann", "writer", "flights/")
    gatekeeper.forget()
    caller = gatekeeper.admit(bearer(secret), "writer", "flights/delay")
    assert (caller.name, caller.asked) == ("ann", "writer")
    assert gatekeeper.admit(basic("ann", secret), "reader").user == caller.user
    for role, project in (("admin", "flights"), ("reader", "taxi"), ("writer", "flightsX")):
        with pytest.raises(Denied):
            gatekeeper.admit(bearer(secret), role, project)  # pyright: ignore[reportArgumentType]
    with pytest.raises(Unauthenticated):
        gatekeeper.admit(basic("bob", secret), "reader")
    grant(store, "ann", "", "flights")
    gatekeeper.forget()
    with pytest.raises(Denied):
        gatekeeper.admit(bearer(secret), "reader")


def test_a_token_ends_when_it_is_revoked_or_its_user_disabled(store: Store, gatekeeper: Gatekeeper) -> None:
    make_user(store, "ci", sort="service")
    grant(store, "ci", "writer", "*")
    first, second = make_token(store, "ci"), make_token(store, "ci", expires=time.time() + 0.15)
    gatekeeper.forget()
    cookie = gatekeeper.session_of(gatekeeper.admit(bearer(first.secret), "writer"))
    assert (held := gatekeeper.holder_of_session(cookie)) is not None
    assert held.name == "ci"
    assert gatekeeper.admit(bearer(second.secret), "writer").token == second.id
    time.sleep(0.2)
    with pytest.raises(Unauthenticated):
        gatekeeper.admit(bearer(second.secret), "reader")
    revoke_token(store, first.secret, reason="lost")
    gatekeeper.forget()
    with pytest.raises(Unauthenticated):
        gatekeeper.admit(bearer(first.secret), "reader")
    assert gatekeeper.holder_of_session(cookie) is None, "a session dies with its token"
    third = make_token(store, "ci").secret
    set_disabled(store, "ci", reason="left")
    gatekeeper.forget()
    with pytest.raises(Unauthenticated):
        gatekeeper.admit(bearer(third), "reader")
    set_disabled(store, "ci", disabled=False)
    gatekeeper.forget()
    assert gatekeeper.admit(bearer(third), "reader").name == "ci"


def test_a_session_is_sealed(gatekeeper: Gatekeeper) -> None:
    cookie = gatekeeper.session_of(gatekeeper.admit(bearer(OWNER_TOKEN), "admin"))
    assert gatekeeper.holder_of_session(cookie) is not None
    for other in (cookie[:-1], f"owner.{'0' * 64}", "owner.", "owner", "", ".", "é.é", f"x{cookie}"):
        assert gatekeeper.holder_of_session(other) is None
    with pytest.raises(Unauthenticated):
        gatekeeper.admit(bearer(cookie), "reader")


def test_a_token_narrows_its_user(store: Store, gatekeeper: Gatekeeper) -> None:
    make_user(store, "ann")
    grant(store, "ann", "admin", "*")
    secret = make_token(store, "ann", limits=[parse_limit("writer:flights/"), parse_limit("reader")]).secret
    gatekeeper.forget()
    caller = gatekeeper.admit(bearer(secret), "writer", "flights/x")
    assert not caller.may("writer", "project", "taxi")
    assert caller.may("reader", "model", "any")
    assert not caller.may_somewhere("admin")


def test_secrets_are_shown_once_and_kept_nowhere(store: Store, gatekeeper: Gatekeeper) -> None:
    make_user(store, "ann")
    minted = make_token(store, "ann")
    assert id_in_token(minted.secret) == minted.id
    assert redact(f"my token is {minted.secret}") == f"my token is {REDACTED}"
    facts = b"".join(payload for batch in store.journal.read({}) for payload in batch.payloads)
    assert minted.id.encode() in facts
    assert minted.secret.rpartition("_")[2].encode() not in facts
    assert minted.secret not in repr(list_users(store))


def test_names_that_could_be_taken_for_each_other_are_refused(store: Store) -> None:
    make_user(store, "Ann@example.org")
    for name in ("Ann@example.org", "ann@EXAMPLE.org"):
        with pytest.raises(Conflict):
            make_user(store, name)
    for name in ("", "a b", " a", "a/b", "..", "-x", "a:b", "\uff41nn", "x" * 101, "a\n", "<script>", "%61"):
        with pytest.raises(Invalid):
            make_user(store, name)
    assert make_user(store, "مریم").name == "مریم"
    assert [user.name for user in list_users(store)] == ["Ann@example.org", "مریم"]


def test_what_is_not_there_is_said(store: Store) -> None:
    with pytest.raises(NotFound):
        find_user(store, "ann")
    with pytest.raises(NotFound):
        find_token(store, "0" * 16)
    make_user(store, "ann")
    with pytest.raises(Invalid):
        grant(store, "ann", "owner", "*")
    with pytest.raises(Invalid):
        make_token(store, "ann", expires=1.0)
    with pytest.raises(Invalid):
        parse_limit("flights/")


def test_what_a_caller_records_stands_under_its_name(store: Store) -> None:
    acting = store_for(store, Caller(name="ann", grants=(Grant("admin", "*"),)))
    made = make_user(acting, "bob")
    assert made.made_by == "ann"
    grant(acting, "bob", "reader", "*")
    actors = {event.actor for event in store.record()} | {user.made_by for user in list_users(store)}
    assert actors == {"ann"}


def test_facts_of_users_fold_in_any_order() -> None:
    clock = Clock()

    def fact(kind: str, body: object) -> bytes:
        return stamp_draft(Draft(kind=kind, subject="user:u1", body=body), clock, "ann").payload

    payloads = [
        fact(MADE_KIND, UserMade(user="u1", name="bob")),
        fact(MADE_KIND, UserMade(user="u2", name="bob", sort="service")),
        fact(GRANTED_KIND, UserGranted(user="u1", scope="*", role="reader")),
        fact(GRANTED_KIND, UserGranted(user="u1", scope="*", role="admin")),
        fact(GRANTED_KIND, UserGranted(user="u1", scope="project:x", role="writer")),
        fact(GRANTED_KIND, UserGranted(user="u1", scope="project:x", role="")),
        fact(TOKEN_MADE_KIND, TokenMade(token="t1", user="u1", digest="d", limits=(Grant("reader", "*"),))),
        fact(TOKEN_REVOKED_KIND, TokenRevoked(token="t1", user="u1")),
        fact(TOKEN_REVOKED_KIND, TokenRevoked(token="t1", user="u1", reason="again")),
        fact(DISABLED_KIND, UserDisabled(user="u1")),
        fact(DISABLED_KIND, UserDisabled(user="u1", disabled=False)),
        fact(DISABLED_KIND, UserDisabled(user="u2")),
    ]
    payloads += [
        fact(DENIED_KIND, UserDenied(user="u1", what="GET /api/users", reason="denied", times=3)),
        fact(SIGNED_IN_KIND, UserSignedIn(user="u1", how="link")),
    ]
    tables = assert_order_free([PROJECTION], payloads, [Users(), RevokedTokens(), Refusals(user="u1")])
    assert len(tables["user_seen"]) == 2
