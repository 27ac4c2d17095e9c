"""What a recipe says about itself, and what it proposes for a table."""

import polars as pl
import pytest

from charkh.core.errors import Invalid
from charkh.recipes.apply import apply
from charkh.recipes.document import parse_recipe
from charkh.recipes.explain import explain
from charkh.recipes.operations.all import BEHAVIOURS
from charkh.recipes.recipe import Recipe
from charkh.recipes.suggest import suggest

FRAME = pl.DataFrame({"a": ["1", "NA", " 3"], "b": [1, 1, 2]})
RECIPE = parse_recipe(
    """{"steps": [
        {"op": "trim", "columns": ["a"], "note": "typed by hand"},
        {"op": "cast", "columns": {"a": "Int64"}, "on_error": "null"},
        {"op": "filter", "where": "b == 1", "when": "training"},
        {"op": "derive", "column": "c", "value": "a + b"},
        {"op": "drop", "columns": ["b"]}
    ]}"""
)


def test_each_step_is_a_sentence() -> None:
    explained = explain(RECIPE)
    assert [each.sentence for each in explained] == [
        "Trim white space around `a`.",
        "Read `a` as Int64; what cannot be read is missing.",
        "Keep rows where b == 1.",
        "Compute `c` as a + b.",
        "Drop `b`.",
    ]
    assert [each.live for each in explained] == [True, True, False, True, True]
    assert explained[0].note == "typed by hand"
    assert {each.effect for each in explained} == {None}


def test_effects_count_rows_and_cells() -> None:
    effects = [each.effect for each in explain(RECIPE, FRAME)]
    assert [effect.cells_changed for effect in effects if effect] == [1, 1, 0, 0, 0]
    assert [effect.rows for effect in effects if effect] == [3, 3, 2, 2, 2]
    assert [effect.rows_removed for effect in effects if effect] == [0, 0, 1, 0, 0]
    added, dropped = effects[3], effects[4]
    assert added is not None
    assert dropped is not None
    assert added.columns_added == ("c",)
    times = parse_recipe('{"steps": [{"op": "parse_time", "column": "t", "formats": ["%Y-%m-%d"]}]}')
    (parsed,) = explain(times, pl.DataFrame({"t": ["2026-01-31"]}))
    assert parsed.effect is not None
    assert parsed.effect.types_changed == (("t", "Datetime('us')"),)
    assert [effect.types_changed for effect in effects if effect] == [(), (("a", "Int64"),), (), (), ()]
    assert dropped.columns_removed == ("b",)


def test_explaining_what_cannot_be_applied_says_which_step() -> None:
    with pytest.raises(Invalid, match="step 3"):
        explain(RECIPE, FRAME.drop("b"))


def test_every_operation_has_a_sentence() -> None:
    examples = """{"tables": {"p": "p"}, "steps": [
        {"op": "rename", "columns": {"a": "b"}}, {"op": "drop", "columns": ["a", "b"]},
        {"op": "keep", "columns": ["a"]}, {"op": "case", "to": "upper"}, {"op": "trim", "collapse": true},
        {"op": "split_column", "column": "a", "separator": "-", "into": ["b", "c"]},
        {"op": "cast", "columns": {"a": "Int64"}},
        {"op": "parse_time", "column": "a", "formats": ["%Y"], "into": "t", "zone": "UTC"},
        {"op": "replace", "columns": ["a"], "find": "x", "by": "y", "regex": true},
        {"op": "set_null", "values": ["NA"]}, {"op": "fill", "columns": {"a": 1}},
        {"op": "map", "column": "a", "values": {"1": 1, "2": 2, "3": 3, "4": 4}, "otherwise": "null", "into": "b"},
        {"op": "bin", "column": "a", "edges": [1], "into": "b"}, {"op": "derive", "column": "a", "value": "1"},
        {"op": "lookup", "table": "p", "on": {"a": "k", "b": "b"}, "columns": {"x": "y"}, "missing": "error"},
        {"op": "filter", "where": "a > 1"}, {"op": "deduplicate"}, {"op": "deduplicate", "columns": ["a"]},
        {"op": "sort", "columns": ["a"], "descending": true}
    ]}"""
    explained = explain(parse_recipe(examples))
    assert {each.op for each in explained} == {behaviour.op for behaviour in BEHAVIOURS}
    assert all(each.sentence[0].isupper() and each.sentence.endswith(".") for each in explained)


MESSY = pl.DataFrame(
    {
        "city": ["Paris", "paris ", "PARIS", "Rome", "Rome"],
        "count": ["1", "2", "NA", "4", "5"],
        "price": ["1.5", "2", "3", "4", None],
        "zip": ["01234", "99999", "00001", "12345", "54321"],
        "day": ["2013-01-31", "2013-02-01", "n/a", "2013-02-03", "2013-02-04"],
        "at": ["2013-01-31T10:00:00Z"] * 4 + ["2013-02-01T00:00:00Z"],
        "either": ["01/02/2013", "02/03/2013", "03/04/2013", "04/05/2013", "05/06/2013"],
        "same": ["x"] * 5,
        "fine": ["a", "b", "c", "d", "e"],
    }
)


def test_suggestions_have_reasons_and_examples() -> None:
    found = {
        (each.operation.__struct_config__.tag, str(getattr(each.operation, "columns", ""))) for each in suggest(MESSY)
    }
    assert ("trim", "('city',)") in found
    assert ("cast", "{'count': 'Int64'}") in found
    assert ("cast", "{'price': 'Float64'}") in found
    assert ("set_null", "('count', 'day')") in found
    assert ("case", "('city',)") in found
    assert ("drop", "('same',)") in found
    assert all(each.reason for each in suggest(MESSY))


def test_what_is_no_number_or_could_be_two_dates_is_left_alone() -> None:
    named = {name for each in suggest(MESSY) for name in ("zip", "either", "fine") if name in str(each.operation)}
    assert named == set()


def test_suggestions_can_be_applied_in_their_order() -> None:
    recipe = Recipe(steps=tuple(each.operation for each in suggest(MESSY)))
    tidy = apply(recipe, MESSY)
    assert tidy["city"].to_list() == ["Paris", "Paris", "Paris", "Rome", "Rome"]
    assert tidy["count"].to_list() == [1, 2, None, 4, 5]
    assert tidy.schema["day"] == pl.Date
    assert tidy.schema["at"] == pl.Datetime("us")
    assert suggest(tidy) == ()


def test_nothing_is_suggested_for_nothing() -> None:
    assert suggest(pl.DataFrame()) == ()
    assert suggest(pl.DataFrame({"a": [], "b": []}, schema={"a": pl.String, "b": pl.Int64})) == ()
    assert suggest(pl.DataFrame({"a": [None, None]}, schema={"a": pl.String})) != ()
