"""The JSON document: exact round trips, identity by content, and errors that name the nearest right word."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.recipes.document import format_recipe, parse_recipe
from charkh.recipes.operations.columns import Drop, Keep, Rename, SplitColumn
from charkh.recipes.operations.rows import Deduplicate, Filter, Sort
from charkh.recipes.operations.text import Case, Replace, Trim
from charkh.recipes.operations.types import TYPES, Cast, ParseTime
from charkh.recipes.operations.values import Bin, Derive, Fill, MapValues, SetNull
from charkh.recipes.recipe import Recipe, is_live, step_lines

names = st.text(min_size=1, max_size=8)
unique = st.lists(names, min_size=2, max_size=4, unique=True).map(tuple)
texts = st.text(max_size=12)
scalars = st.one_of(
    st.booleans(), st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False, width=32), texts
)
common = {"when": st.sampled_from(["always", "training"]), "note": texts}
operations = st.one_of(
    st.builds(Rename, columns=st.dictionaries(names, names, min_size=1), **common),
    st.builds(Drop, columns=unique, missing_ok=st.booleans(), **common),
    st.builds(Keep, columns=unique, **common),
    st.builds(SplitColumn, column=names, separator=names, into=unique, **common),
    st.builds(Cast, columns=st.dictionaries(names, st.sampled_from(sorted(TYPES))), **common),
    st.builds(ParseTime, column=names, formats=st.just(("%Y-%m-%d",)), into=texts, **common),
    st.builds(Trim, columns=unique, collapse=st.booleans(), **common),
    st.builds(Case, to=st.sampled_from(["lower", "upper", "title"]), **common),
    st.builds(Replace, columns=unique, find=names, by=texts, **common),
    st.builds(SetNull, values=st.lists(scalars.filter(lambda v: not isinstance(v, bool))).map(tuple), **common),
    st.builds(Fill, columns=st.dictionaries(names, scalars), **common),
    st.builds(MapValues, column=names, values=st.dictionaries(texts, texts, min_size=1), **common),
    st.builds(Bin, column=names, edges=st.sets(st.floats(-9, 9), min_size=1).map(sorted).map(tuple), **common),
    st.builds(Derive, column=names, value=st.sampled_from(["a + 1", "hour(t)", "'x'"]), **common),
    st.builds(Filter, where=st.just("a > 0"), **common),
    st.builds(Deduplicate, columns=unique, **common),
    st.builds(Sort, columns=unique, descending=st.booleans(), **common),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(operations, max_size=5).map(tuple), texts, st.dictionaries(names, names, max_size=2))
def test_a_round_trip_is_exact(steps: tuple[Any, ...], description: str, tables: dict[str, str]) -> None:
    recipe = Recipe(description=description, tables=tables, steps=steps)
    again = parse_recipe(format_recipe(recipe))
    assert again == recipe
    assert [type(step) for step in again.steps] == [type(step) for step in steps]
    assert format_recipe(again) == format_recipe(recipe)
    assert again.digest == recipe.digest


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_json_cannot_say_is_refused(number: float) -> None:
    with pytest.raises(Invalid) as raised:
        format_recipe(Recipe(steps=(Trim(), Fill(columns={"a": number}))))
    assert raised.value.code == "recipe.not_finite"
    assert "step 2" in raised.value.message


def test_the_digest_is_of_the_content_and_not_of_its_writing() -> None:
    tight = '{"steps":[{"columns":{"a":"b"},"op":"rename"}],"recipe":1}'
    loose = json.dumps({"recipe": 1, "description": "", "steps": [{"op": "rename", "columns": {"a": "b"}}]}, indent=8)
    assert parse_recipe(tight).digest == parse_recipe(loose).digest
    assert parse_recipe(tight).id == parse_recipe(tight).digest[:32]
    other = parse_recipe(tight.replace('"b"', '"c"'))
    assert other.digest != parse_recipe(tight).digest


def document(**step: Any) -> bytes:
    return msgspec.json.encode({"recipe": 1, "steps": [{"op": "trim"}, step]})


@pytest.mark.parametrize(
    ("step", "words", "hint"),
    [
        ({"op": "renam", "columns": {}}, "step 2: there is no operation 'renam'", "'rename'"),
        ({"columns": {}}, "step 2 names no operation", "rename"),
        ({"op": "rename", "column": {"a": "b"}}, r"step 2 \(rename\): unknown key 'column'", "'columns'"),
        ({"op": "rename"}, "missing required field `columns`", "Mend"),
        ({"op": "case", "to": "loud"}, "to: Invalid enum value 'loud'", "It is one of: lower, title, upper."),
        ({"op": "cast", "columns": {"a": "Int46"}}, "there is no type 'Int46'", "'Int64'"),
        ({"op": "derive", "column": "a", "value": "b +"}, "the end", "quotes"),
        ({"op": "derive", "column": "a", "value": "weekdya(t)"}, "weekdya", "'weekday'"),
        ({"op": "filter", "where": "eval('1')"}, "eval", "year"),
        ({"op": "replace", "columns": ["a"], "find": "(", "by": "", "regex": True}, "no regular expression", "Rust"),
        ({"op": "replace", "columns": ["a"], "find": "", "by": ""}, "find", "Saint"),
        ({"op": "parse_time", "column": "t", "formats": []}, "empty", "formats"),
        ({"op": "parse_time", "column": "t", "formats": ["%Y-%m-%d"], "zone": "Mars/Base"}, "zone", "New_York"),
        ({"op": "bin", "column": "a", "edges": [2, 1]}, "ascending", "edges"),
        ({"op": "bin", "column": "a", "edges": [1], "labels": ["x"]}, "2 bins", "label"),
        ({"op": "map", "column": "a", "values": {}}, "all text", "values"),
        ({"op": "map", "column": "a", "values": {"x": 1, "y": "z"}}, "all text", "values"),
        ({"op": "split_column", "column": "a", "separator": "", "into": ["x", "y"]}, "separator", "into"),
        ({"op": "keep", "columns": []}, "distinct", "columns"),
        ({"op": "sort", "columns": []}, "empty", "columns"),
        ({"op": "lookup", "table": "p", "on": {}, "columns": {"a": "b"}}, "keys", "tailnum"),
        ({"op": "lookup", "table": "p", "on": {"a": "a"}, "columns": {"b": "b"}}, "which dataset 'p' is", "tables"),
    ],
)
def test_a_mistake_names_its_step_and_the_nearest_right_word(step: dict[str, Any], words: str, hint: str) -> None:
    with pytest.raises(Invalid, match=words) as error:
        parse_recipe(document(**step), "tidy.json")
    assert error.value.message.startswith("tidy.json, step 2")
    assert hint in error.value.hint


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"recipe": 1}', '{"recipe": 2, "steps": []}', '{"steps": [1]}', '{"stepz": [], "steps": []}'],
)
def test_what_is_no_recipe_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="tidy") as error:
        parse_recipe(text, "tidy.json")
    assert error.value.hint


def test_the_lines_of_an_event_name_columns_but_no_values() -> None:
    recipe = parse_recipe(document(op="map", column="city", values={"secret value": "other"}))
    assert step_lines(recipe.steps) == ("trim", "map city")


def test_a_recipe_says_whether_it_is_for_live_requests() -> None:
    assert is_live(parse_recipe('{"steps": [{"op": "trim"}, {"op": "sort", "columns": ["a"], "when": "training"}]}'))
    assert not is_live(parse_recipe('{"steps": [{"op": "filter", "where": "a > 0"}]}'))
