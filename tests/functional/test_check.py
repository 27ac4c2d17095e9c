"""Checks on the command line: a suite is read off a table, holds, and sets failing rows aside."""

import pytest
from tests.functional.conftest import Charkh

SUITE = """
at_most = 0.5
[[rule]]
id = "grown"
check = "range"
column = "age"
min = 0
reason = "born in the future"
"""


@pytest.fixture
def people(charkh: Charkh) -> Charkh:
    charkh.write("people.csv", "name,age\nann,30\nbob,-1\ncid,40\n")
    charkh("dataset", "add", "people", "people.csv")
    charkh.write("checks/people.toml", SUITE)
    return charkh


def test_failing_rows_go_to_quarantine_and_the_rest_is_kept(people: Charkh) -> None:
    result = people.json("check", "run", "checks/people.toml", "people", "--as", "people.good")
    assert result["ok"]
    assert result["kept"]["made"]["rows"] == 2
    assert result["check"]["ran"]["failed_rows"] == 1
    quarantine = people.json("dataset", "show", "people.quarantine")
    assert result["check"]["ran"]["quarantine"] in str(quarantine)
    assert [each["ran"]["name"] for each in people.json("check", "list")] == ["people"]
    assert len(people.json("check", "list", "--of", "people")) == 1
    assert people.json("check", "list", "other") == []
    said = people("check", "show", "people")
    assert "born in the future" in said
    assert 'check = "range"' in said


def test_a_suite_that_does_not_hold_exits_with_the_gates_code(people: Charkh) -> None:
    people.write("strict.toml", SUITE.replace("0.5", "0.1"))
    said = people.fails(4, "check", "run", "strict.toml", "people", "--as", "people.good")
    assert "1 of 3 rows" in said
    people.fails(13, "dataset", "show", "people.good")
    assert people.json("check", "show", "strict")["check"]["ran"]["ok"] is False


def test_an_inferred_suite_holds_on_its_table(people: Charkh) -> None:
    assert "# " in people("check", "infer", "people")
    people("check", "infer", "people", "--out", "checks/first.toml")
    assert people.json("check", "run", "checks/first.toml", "people")["ok"]
    people.fails(14, "check", "infer", "people", "--out", "checks/first.toml")


def test_mistakes_are_named(people: Charkh) -> None:
    people.write("bad.toml", '[[rule]]\ncheck = "not_nul"\ncolumns = ["a"]\n')
    assert "'not_null'" in people.fails(2, "check", "run", "bad.toml", "people")
    people.write("gone.toml", '[[rule]]\ncheck = "not_null"\ncolumns = ["agee"]\n')
    assert "did you mean 'age'?" in people.fails(4, "check", "run", "gone.toml", "people")
    people.fails(13, "check", "run", "nowhere.toml", "people")
    people.fails(13, "check", "show", "nothing")
