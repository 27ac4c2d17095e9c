"""Recipes on the command line: from a messy table to a version that says what made it."""

import json

from tests.functional.conftest import Charkh

ROWS = "city,when,count\n Paris,2013-01-31,1\nRome ,2013-02-01,NA\nRome,2013-02-02,3\n"


def test_suggestions_become_a_recipe_that_is_applied(charkh: Charkh) -> None:
    charkh.write("rows.csv", ROWS)
    charkh("dataset", "add", "rows", "rows.csv")
    found = charkh.json("recipe", "suggest", "rows", "--out", "recipes/tidy.json")
    assert {each["operation"]["op"] for each in found} >= {"trim"}
    assert all(each["reason"] for each in found)
    assert "Trim white space" in charkh("recipe", "explain", "recipes/tidy.json", "rows")
    assert found[0]["reason"] in charkh("recipe", "explain", "recipes/tidy.json"), "the reason is kept in the file"
    charkh.write("types.json", '{"steps": [{"op": "cast", "columns": {"count": "Float64"}, "on_error": "null"}]}')
    assert "1 cell changed, count is Float64 now" in charkh("recipe", "explain", "types.json", "rows")
    made = charkh.json("recipe", "apply", "recipes/tidy.json", "rows", "--as", "rows.tidy")
    assert made["dataset"]["made"]["rows"] == 3
    assert made["recipe"]["recorded"]["name"] == "tidy"
    shown = charkh.json("recipe", "show", "tidy")
    assert shown["recipe"]["steps"] == json.loads((charkh.folder / "recipes/tidy.json").read_text())["steps"]
    assert "rows.tidy@" in charkh("recipe", "apply", "tidy", "rows", "--as", "rows.tidy")
    assert [each["recorded"]["name"] for each in charkh.json("recipe", "list")] == ["tidy"]

    charkh.fails(14, "recipe", "suggest", "rows", "--out", "recipes/tidy.json")
    charkh.write("bad.json", '{"steps": [{"op": "renam", "columns": {}}]}')
    assert "'rename'" in charkh.fails(2, "recipe", "explain", "bad.json")
    charkh.write("wrong.json", '{"steps": [{"op": "cast", "columns": {"city": "Int64"}}]}')
    said = charkh.fails(2, "recipe", "apply", "wrong.json", "rows", "--as", "x")
    assert "step 1 (cast city)" in said
    assert "' Paris'" in said
    charkh.fails(13, "recipe", "explain", "nowhere.json")
    charkh.fails(13, "recipe", "show", "wrong")
