"""Checks on the command line: a suite is read off a table, holds, and sets failing rows aside."""

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


def test_failing_rows_go_to_quarantine_and_the_rest_is_kept(charkh: Charkh) -> None:
    charkh.write("people.csv", "name,age\nann,30\nbob,-1\ncid,40\n")
    charkh("dataset", "add", "people", "people.csv")
    charkh.write("checks/people.toml", SUITE)
    result = charkh.json("check", "run", "checks/people.toml", "people", "--as", "people.good")
    assert result["ok"]
    assert result["kept"]["made"]["rows"] == 2
    assert result["check"]["ran"]["failed_rows"] == 1
    assert result["check"]["ran"]["quarantine"] in charkh("dataset", "show", "people.quarantine", "--json")
    assert len(charkh.json("check", "list", "--of", "people")) == 1
    said = charkh("check", "show", "people")
    assert "born in the future" in said
    assert 'check = "range"' in said
    assert "about       people@1\n" in said
    assert "quarantine  people.quarantine@1\n" in said
    assert "\tpeople@1\t" in charkh("check", "list")
    shown = charkh("dataset", "show", "people.quarantine")
    assert "quarantined from  people@1\n" in shown

    charkh.write("warning.toml", SUITE.replace("[[rule]]", '[[rule]]\nseverity = "warning"\nat_most = 0.5'))
    assert "grown\ttolerated\t" in charkh("check", "run", "warning.toml", "people")
    assert "grown\ttolerated\t1\t" in charkh("check", "show", "warning")

    charkh.write("strict.toml", SUITE.replace("0.5", "0.1"))
    assert "1 of 3 rows" in charkh.fails(4, "check", "run", "strict.toml", "people", "--as", "people.strict")
    charkh.fails(13, "dataset", "show", "people.strict")
    assert charkh.json("check", "show", "strict")["check"]["ran"]["ok"] is False


def test_an_inferred_suite_holds_on_its_table(charkh: Charkh) -> None:
    charkh.write("people.csv", "name,age\nann,30\nbob,-1\n")
    charkh("dataset", "add", "people", "people.csv")
    charkh("check", "infer", "people", "--out", "checks/first.toml")
    assert charkh.json("check", "run", "checks/first.toml", "people")["ok"]
    charkh.fails(14, "check", "infer", "people", "--out", "checks/first.toml")
    charkh.write("bad.toml", '[[rule]]\ncheck = "not_nul"\ncolumns = ["a"]\n')
    assert "'not_null'" in charkh.fails(2, "check", "run", "bad.toml", "people")
    charkh.write("gone.toml", '[[rule]]\ncheck = "not_null"\ncolumns = ["agee"]\n')
    assert "did you mean 'age'?" in charkh.fails(4, "check", "run", "gone.toml", "people")
    charkh.fails(13, "check", "run", "nowhere.toml", "people")
