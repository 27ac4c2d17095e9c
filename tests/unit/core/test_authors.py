"""Versions that were made apart are told apart by who made them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.authors import distinct_refs, is_authored_by, refs_of, the_one
from charkh.core.errors import Conflict
from charkh.core.refs import parse_version_ref


class Version:
    def __init__(self, identifier: str, actor: str) -> None:
        self.id = identifier
        self.actor = actor
        self.ref = "flights@3"


def test_a_user_is_enough_where_users_differ() -> None:
    assert distinct_refs([Version("1", "ann@a"), Version("2", "bob@a")]) == ("flights@3~ann", "flights@3~bob")


def test_an_actor_without_a_machine_is_a_user() -> None:
    assert distinct_refs([Version("1", "ann"), Version("2", "bob")]) == ("flights@3~ann", "flights@3~bob")


def test_the_machine_stands_where_users_are_equal() -> None:
    assert distinct_refs([Version("1", "ann@a"), Version("2", "ann@b")]) == ("flights@3~ann@a", "flights@3~ann@b")


def test_the_id_stands_where_nothing_else_differs() -> None:
    versions = [Version("0" * 24 + "1" * 8, "ann@a"), Version("0" * 24 + "2" * 8, "ann@a")]
    assert distinct_refs(versions) == ("flights@3~11111111", "flights@3~22222222")
    assert is_authored_by(versions[0], versions[0].id), "the whole id goes on meaning it"
    assert not is_authored_by(versions[0], "1111111")
    twins = [Version("1" * 32, "ann@a"), Version("2" * 24 + "1" * 8, "ann@a")]
    assert distinct_refs(twins) == (f"flights@3~{twins[0].id}", f"flights@3~{twins[1].id}")


@given(st.lists(st.sampled_from(["ann@a", "ann@b", "bob@a", "bob@b"]), min_size=1, max_size=6))
def test_each_reference_means_exactly_one(actors: list[str]) -> None:
    versions = [Version(f"{number:032x}", actor) for number, actor in enumerate(actors)]
    refs = distinct_refs(versions)
    assert len(set(refs)) == len(versions)
    for version, ref in zip(versions, refs, strict=True):
        assert the_one(parse_version_ref(ref), versions, "dataset") is version


def test_several_are_a_conflict_that_lists_them() -> None:
    versions = [Version("1", "ann@a"), Version("2", "bob@a")]
    with pytest.raises(Conflict) as raised:
        the_one(parse_version_ref("flights@3"), versions, "dataset")
    assert raised.value.code == "dataset.ambiguous"
    assert raised.value.facts["refs"] == ["flights@3~ann", "flights@3~bob"]


def test_nobody_else_is_meant() -> None:
    assert the_one(parse_version_ref("flights@3~eve"), [Version("1", "ann@a")], "dataset") is None
    assert not is_authored_by(Version("1", "ann@a"), "an")


def test_only_those_that_share_a_number_are_told_apart() -> None:
    first, ann, bob = Version("1", "ann@a"), Version("2", "ann@a"), Version("3", "bob@a")
    first.ref = "flights@2"
    assert refs_of([bob, first, ann]) == {"3": "flights@3~bob", "1": "flights@2", "2": "flights@3~ann"}
