"""Recipes on the command line: from a messy table to a version that says what made it."""

import json

import pytest
from tests.functional.conftest import Charkh

ROWS = "city,when,count\n Paris,2013-01-31,1\nRome ,2013-02-01,NA\nRome,2013-02-02,3\n"


@pytest.fixture
def messy(charkh: Charkh) -> Charkh:
    charkh.write("rows.csv", ROWS)
    charkh("dataset", "add", "rows", "rows.csv")
    return charkh


def test_suggestions_become_a_recipe_that_is_applied(messy: Charkh) -> None:
    found = messy.json("recipe", "suggest", "rows", "--out", "recipes/tidy.json")
    assert {each["operation"]["op"] for each in found} >= {"trim"}
    assert all(each["reason"] for each in found)
    made = messy.json("recipe", "apply", "recipes/tidy.json", "rows", "--as", "rows.tidy")
    assert made["dataset"]["made"]["rows"] == 3
    assert made["recipe"]["recorded"]["name"] == "tidy"
    messy.fails(14, "recipe", "suggest", "rows", "--out", "recipes/tidy.json")
    recorded = messy.json("recipe", "list")
    assert [each["recorded"]["name"] for each in recorded] == ["tidy"]
    shown = messy.json("recipe", "show", "tidy")
    assert shown["recipe"]["steps"] == json.loads((messy.folder / "recipes/tidy.json").read_text())["steps"]
    assert "Trim white space" in messy("recipe", "show", "tidy")
    again = messy("recipe", "apply", "tidy", "rows", "--as", "rows.tidy")
    assert "rows.tidy@" in again


def test_a_recipe_is_explained_with_its_effects(messy: Charkh) -> None:
    messy.write("r.json", '{"steps": [{"op": "trim", "columns": ["city"]}, {"op": "drop", "columns": ["when"]}]}')
    explained = messy.json("recipe", "explain", "r.json", "rows")
    assert [each["effect"]["cells_changed"] for each in explained] == [2, 0]
    assert "Drop `when`." in messy("recipe", "explain", "r.json")


def test_mistakes_are_named(messy: Charkh) -> None:
    messy.write("bad.json", '{"steps": [{"op": "renam", "columns": {}}]}')
    assert "'rename'" in messy.fails(2, "recipe", "explain", "bad.json")
    messy.write("wrong.json", '{"steps": [{"op": "cast", "columns": {"city": "Int64"}}]}')
    said = messy.fails(2, "recipe", "apply", "wrong.json", "rows", "--as", "x")
    assert "step 1 (cast city)" in said
    assert "' Paris'" in said
    messy.fails(13, "recipe", "explain", "nowhere.json")
    messy.fails(13, "recipe", "show", "nothing")
    messy.fails(13, "recipe", "suggest", "nothing")
    assert messy.json("recipe", "list") == []
