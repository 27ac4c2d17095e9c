"""Ids are UUIDv7, unique, and sort by the time of their making."""

import time
import uuid

import pytest

from charkh.core.errors import Invalid
from charkh.core.ids import ID_PATTERN, created_at, new_id, parse_id


def test_an_id_is_a_uuid_of_version_7() -> None:
    identifier = new_id()
    assert ID_PATTERN.fullmatch(identifier)
    value = uuid.UUID(identifier)
    assert value.variant == uuid.RFC_4122
    assert value.version == 7


def test_ids_are_unique() -> None:
    assert len({new_id() for _ in range(20_000)}) == 20_000


def test_ids_sort_by_the_millisecond_of_their_making(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for millisecond in range(1_700_000_000_000, 1_700_000_000_300):
        monkeypatch.setattr(time, "time_ns", lambda now=millisecond: now * 1_000_000)
        made.append(new_id())
    assert made == sorted(made)
    assert [round(created_at(identifier) * 1000) for identifier in made] == list(
        range(1_700_000_000_000, 1_700_000_000_300)
    )


def test_an_id_is_read_with_dashes_and_in_capitals() -> None:
    identifier = new_id()
    assert parse_id(str(uuid.UUID(identifier)).upper()) == identifier


@pytest.mark.parametrize("text", ["", "1f3a", "g" * 32, "0" * 33, "0" * 31 + "\n", "../" + "0" * 29])
def test_what_is_no_id(text: str) -> None:
    with pytest.raises(Invalid, match="not an id"):
        parse_id(text)
