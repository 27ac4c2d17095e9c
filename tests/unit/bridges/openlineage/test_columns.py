"""Which column comes from which, as a recipe says it; and where a person reads a repository."""

import pytest

from charkh.bridges.openlineage.columns import _traced
from charkh.bridges.openlineage.facets import uuid_of
from charkh.bridges.openlineage.jobs import _web_address
from charkh.recipes.operations.columns import Drop, Rename, SplitColumn
from charkh.recipes.operations.operation import Step
from charkh.recipes.operations.text import Trim
from charkh.recipes.operations.values import Bin, Derive


def traced(*steps: Step) -> dict[str, tuple[list[str], bool]]:
    return {name: (sorted(origins), touched) for name, (origins, touched) in _traced({"a", "b"}, list(steps)).items()}


@pytest.mark.parametrize(
    ("steps", "column", "expected"),
    [
        ((), "a", (["a"], False)),
        ((Trim(columns=("a",)),), "a", (["a"], True)),
        ((Trim(columns=("a",)),), "b", (["b"], False)),
        ((Rename(columns={"a": "x"}),), "x", (["a"], True)),
        ((Rename(columns={"a": "b", "b": "a"}),), "a", (["b"], True)),
        ((Derive(column="sum", value="a + b * 2"),), "sum", (["a", "b"], True)),
        ((Derive(column="a", value="a + b"),), "a", (["a", "b"], True)),
        ((Derive(column="one", value="1"),), "one", ([], True)),
        ((SplitColumn(column="a", separator="-", into=("x", "y")),), "y", (["a"], True)),
        ((Bin(column="a", edges=(0.0, 1.0), into="bin"),), "bin", (["a"], True)),
        ((Rename(columns={"a": "x"}), Derive(column="y", value="x + b")), "y", (["a", "b"], True)),
    ],
)
def test_columns_are_traced(steps: tuple[Step, ...], column: str, expected: tuple[list[str], bool]) -> None:
    assert traced(*steps)[column] == expected


def test_a_column_that_is_gone_leaves_what_was_made_of_it() -> None:
    assert traced(Derive(column="y", value="a"), Drop(columns=("a",)))["y"] == (["a"], True)


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("git@github.com:ann/flights.git", "https://github.com/ann/flights"),
        ("https://github.com/ann/flights.git", "https://github.com/ann/flights"),
        ("ssh://git@example.com/ann/flights.git", "https://example.com/ann/flights"),
        ("svn://example.com/trunk", "svn://example.com/trunk"),
        ("/srv/git/flights.git", ""),
        ("", ""),
    ],
)
def test_a_repository_is_read_where_people_read_it(remote: str, address: str) -> None:
    assert _web_address(remote) == address


def test_every_id_is_a_uuid_and_always_the_same() -> None:
    assert uuid_of("01a2144083117d46b9989f215af53bcc") == "01a21440-8311-7d46-b998-9f215af53bcc"
    assert uuid_of("odd") == uuid_of("odd") != uuid_of("other")
