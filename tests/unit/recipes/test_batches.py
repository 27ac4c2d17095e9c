"""Row-wise steps: a batch, a row and the whole table give the same values."""

import itertools
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.recipes.apply import apply, prepare
from charkh.recipes.document import parse_recipe
from charkh.recipes.operations import lookup
from charkh.recipes.operations.all import BEHAVIOURS

RIGHT = pl.DataFrame({"k": list(range(-3, 4)), "w": [f"w{k}" for k in range(-3, 4)]})
STEPS: tuple[dict[str, Any], ...] = (
    {"op": "rename", "columns": {"z": "y"}},
    {"op": "drop", "columns": ["u"]},
    {"op": "keep", "columns": ["s", "k", "x", "n", "t", "y"]},
    {"op": "trim", "columns": ["s"], "collapse": True},
    {"op": "case", "to": "title", "columns": ["s"]},
    {"op": "replace", "columns": ["s"], "find": "[ab]+", "by": "-", "regex": True},
    {"op": "set_null", "values": ["NA", 3]},
    {"op": "cast", "columns": {"n": "Int64"}, "on_error": "null"},
    {"op": "parse_time", "column": "t", "formats": ["%Y-%m-%d", "%d.%m.%Y"], "on_error": "null"},
    {"op": "fill", "columns": {"x": 0.5}},
    {"op": "map", "column": "y", "values": {"a": "first"}, "into": "named"},
    {"op": "bin", "column": "x", "edges": [-1, 0, 2.5], "into": "range"},
    {"op": "derive", "column": "later", "value": "t + days(k)"},
    {"op": "split_column", "column": "s", "separator": "-", "into": ["left", "right"], "keep": True},
    {"op": "lookup", "table": "r", "on": {"k": "k"}, "columns": {"w": "w"}},
)
RECIPE = parse_recipe(msgspec.json.encode({"tables": {"r": "r"}, "steps": STEPS}))
SCHEMA = {
    "s": pl.String,
    "k": pl.Int64,
    "x": pl.Float64,
    "n": pl.String,
    "t": pl.String,
    "z": pl.String,
    "u": pl.Boolean,
}
rows = st.fixed_dictionaries(
    {
        "s": st.one_of(st.none(), st.text(alphabet="abNA -", max_size=6)),
        "k": st.one_of(st.none(), st.integers(-5, 5)),
        "x": st.one_of(st.none(), st.floats(-4, 4, width=32), st.just(float("nan"))),
        "n": st.one_of(st.none(), st.sampled_from(["1", " 2", "3.0", "3.5", "x", "NA"])),
        "t": st.one_of(st.none(), st.sampled_from(["2013-01-31", "31.12.2012", "2013-02-30", ""])),
        "z": st.one_of(st.none(), st.sampled_from(["a", "b"])),
        "u": st.none(),
    }
)


def test_every_row_wise_operation_is_tried() -> None:
    assert {step["op"] for step in STEPS} == {behaviour.op for behaviour in BEHAVIOURS if behaviour.row_wise}


@settings(max_examples=60, deadline=None)
@given(st.lists(rows, max_size=8), st.lists(st.integers(0, 8), max_size=3), st.booleans())
def test_batches_give_the_same_as_the_whole(records: list[dict[str, Any]], cuts: list[int], live: bool) -> None:
    frame = pl.DataFrame(records, schema=SCHEMA)
    whole = apply(RECIPE, frame, tables={"r": RIGHT})
    ready = prepare(RECIPE, tables={"r": RIGHT}, live=live)
    places = sorted({0, len(records), *(min(cut, len(records)) for cut in cuts)})
    batches = [ready(frame[start:end]) for start, end in itertools.pairwise(places)]
    assert pl.concat([whole.clear(), *batches]).equals(whole)


@settings(max_examples=40, deadline=None)
@given(st.lists(rows, min_size=1, max_size=8))
def test_a_lookup_of_few_rows_gives_what_a_join_gives(records: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(records, schema=SCHEMA)
    few = apply(RECIPE, frame, tables={"r": RIGHT})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookup, "SMALL", 0)
        assert apply(RECIPE, frame, tables={"r": RIGHT}).equals(few)
