"""What a caller may do where: scopes, roles, and what a token takes away from its user."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Denied, Invalid, Unauthenticated
from charkh.users.caller import ROLES, WHOLE_ADMIN, Caller, Grant, Role, covers, visible_projects
from charkh.users.gatekeeper import credentials_in
from charkh.users.scopes import parse_scope, reaches

SCOPES = st.sampled_from(["*", "project:flights", "project:flights/delay", "project:taxi", "model:delay*", "dataset:x"])
GRANTS = st.lists(st.builds(Grant, st.sampled_from(ROLES), SCOPES), max_size=4).map(tuple)
THINGS = st.sampled_from(
    [
        ("project", "flights"),
        ("project", "flights/delay"),
        ("project", "flightsX"),
        ("project", "taxi/a/b"),
        ("model", "delay-2"),
        ("model", "other"),
        ("dataset", "x"),
        ("dataset", "xy"),
    ]
)


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("*", "*"),
        ("flights/", "project:flights"),
        ("flights", "project:flights"),
        (" a b/c ", "project:a b/c"),
        ("model:delay*", "model:delay*"),
        ("project:model:x", "project:model:x"),
        ("odd:name", "project:odd:name"),
    ],
)
def test_a_scope_has_one_written_form(text: str, scope: str) -> None:
    assert parse_scope(text) == scope
    assert parse_scope(scope) == scope


@pytest.mark.parametrize("text", ["", "  ", "/", "model:", "a\nb", "x" * 301])
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_scope(text)


def test_a_project_reaches_what_lies_below_it_and_no_namesake() -> None:
    assert reaches("project:flights", "project", "flights/delay")
    assert not reaches("project:flights", "project", "flights-old")
    assert not reaches("project:flights", "model", "flights")
    assert reaches("model:d*", "model", "delay")
    assert not reaches("model:d", "model", "delay")


@given(GRANTS, st.none() | GRANTS, THINGS, st.sampled_from(ROLES))
def test_a_token_never_widens_and_everywhere_means_everywhere(
    grants: tuple[Grant, ...], limits: tuple[Grant, ...] | None, thing: tuple[str, str], role: Role
) -> None:
    noun, name = thing
    caller = Caller(name="ann", grants=grants, limits=limits)
    free = Caller(name="ann", grants=grants)
    assert not caller.may(role, noun, name) or free.may(role, noun, name)  # pyright: ignore[reportArgumentType]
    if caller.may_everywhere(role):
        assert caller.may(role, noun, name)  # pyright: ignore[reportArgumentType]
    if caller.may(role, noun, name):  # pyright: ignore[reportArgumentType]
        assert caller.may_somewhere(role)
    seen = visible_projects(caller, role)
    if noun == "project":
        listed = seen is None or any(name == each or name.startswith(f"{each}/") for each in seen)
        assert listed == caller.may(role, "project", name)


def test_roles_are_ordered_and_nothing_is_granted_by_default() -> None:
    assert [covers("writer", role) for role in ROLES] == [True, True, False]
    assert not covers(None, "reader")
    assert not Caller(name="x").may_somewhere("reader")
    assert Caller(name="x", grants=(WHOLE_ADMIN,)).may_everywhere("admin")


@pytest.mark.parametrize(
    ("header", "credentials"),
    [
        ("Bearer abc", ("", "abc")),
        ("bearer  abc ", ("", "abc")),
        (f"Basic {base64.b64encode(b'ann:se:cret').decode()}", ("ann", "se:cret")),
        ("Basic !!!", ("", "")),
        (f"Basic {base64.b64encode(bytes([255])).decode()}", ("", "")),
        ("abc", ("", "")),
        ("Digest abc", ("", "")),
        ("", ("", "")),
    ],
)
def test_bearer_and_basic_are_understood(header: str, credentials: tuple[str, str]) -> None:
    assert credentials_in(header) == credentials


def test_who_is_unknown_is_also_denied() -> None:
    assert issubclass(Unauthenticated, Denied)
