"""Every operation: what it does to a table, and what it says when it cannot."""

import datetime
import math
from typing import Any

import msgspec
import polars as pl
import pytest

from charkh.core.errors import CharkhError, Invalid, NotFound
from charkh.recipes.apply import apply, prepare
from charkh.recipes.document import parse_recipe
from charkh.recipes.operations import lookup
from charkh.recipes.operations.all import BEHAVIOURS
from charkh.recipes.operations.operation import Tables
from charkh.recipes.operations.types import Cast
from charkh.recipes.recipe import Recipe

PLANES = pl.DataFrame({"tailnum": ["N1", "N2", None], "year": [2004, 1998, 1], "seats": [55, 182, 1]})
FRAME = pl.DataFrame(
    {
        "s": [" b a ", "NA", None],
        "n": ["12", " 7 ", "x"],
        "i": [1, -999, 3],
        "x": [1.0, 2.5, math.nan],
        "t": ["2013-01-31 05:15", "2013-02-30 00:00", None],
        "p": ["a-b-c", "a", None],
        "plane": ["N2", "N9", None],
    }
)


def steps(*operations: dict[str, Any], tables: dict[str, str] | None = None) -> Recipe:
    return parse_recipe(msgspec.json.encode({"recipe": 1, "tables": tables or {}, "steps": operations}))


def after(operation: dict[str, Any], frame: pl.DataFrame = FRAME, tables: Tables | None = None) -> pl.DataFrame:
    names = {operation["table"]: "planes"} if "table" in operation else {}
    return apply(steps(operation, tables=names), frame, tables=tables or {})


@pytest.mark.parametrize(
    ("operation", "column", "wanted"),
    [
        ({"op": "rename", "columns": {"i": "j"}}, "j", [1, -999, 3]),
        ({"op": "cast", "columns": {"n": "Int64"}, "on_error": "null"}, "n", [12, 7, None]),
        ({"op": "cast", "columns": {"x": "Int64"}, "on_error": "null"}, "x", [1, None, None]),
        ({"op": "cast", "columns": {"i": "String"}}, "i", ["1", "-999", "3"]),
        ({"op": "cast", "columns": {"i": "Int8"}, "on_error": "null"}, "i", [1, None, 3]),
        ({"op": "cast", "columns": {"i": "Boolean"}, "on_error": "null"}, "i", [True, None, None]),
        ({"op": "cast", "columns": {"i": "Float32"}}, "i", [1.0, -999.0, 3.0]),
        (
            {"op": "parse_time", "column": "t", "formats": ["%Y-%m-%d %H:%M"], "on_error": "null"},
            "t",
            [datetime.datetime(2013, 1, 31, 5, 15), None, None],
        ),
        (
            {
                "op": "parse_time",
                "column": "t",
                "formats": ["%d.%m.%Y", "%Y-%m-%d %H:%M"],
                "to": "date",
                "into": "d",
                "on_error": "null",
            },
            "d",
            [datetime.date(2013, 1, 31), None, None],
        ),
        ({"op": "trim", "columns": ["s"]}, "s", ["b a", "NA", None]),
        ({"op": "trim"}, "n", ["12", "7", "x"]),
        ({"op": "trim", "collapse": True}, "s", ["b a", "NA", None]),
        ({"op": "case", "to": "title", "columns": ["s"]}, "s", [" B A ", "Na", None]),
        ({"op": "case", "to": "upper"}, "s", [" B A ", "NA", None]),
        ({"op": "case", "to": "lower"}, "s", [" b a ", "na", None]),
        ({"op": "replace", "columns": ["p"], "find": "-", "by": "+"}, "p", ["a+b+c", "a", None]),
        (
            {"op": "replace", "columns": ["p"], "find": "(.)-(.)", "by": "$2$1", "regex": True},
            "p",
            ["ba-c", "a", None],
        ),
        ({"op": "set_null", "values": ["NA", -999]}, "s", [" b a ", None, None]),
        ({"op": "set_null", "values": ["NA", -999]}, "i", [1, None, 3]),
        ({"op": "fill", "columns": {"s": "?"}}, "s", [" b a ", "NA", "?"]),
        ({"op": "fill", "columns": {"x": 0}}, "x", [1.0, 2.5, 0.0]),
        ({"op": "map", "column": "p", "values": {"a": "A"}}, "p", ["a-b-c", "A", None]),
        ({"op": "map", "column": "i", "values": {"1": 10, "3": 30}, "otherwise": "null"}, "i", [10, None, 30]),
        (
            {"op": "map", "column": "i", "values": {"1": "one"}, "otherwise": "null", "into": "w"},
            "w",
            ["one", None, None],
        ),
        ({"op": "bin", "column": "x", "edges": [1, 2]}, "x", ["1 to 2", "2 and more", None]),
        ({"op": "bin", "column": "i", "edges": [0], "labels": ["low", "high"]}, "i", ["high", "low", "high"]),
        ({"op": "derive", "column": "double", "value": "i * 2"}, "double", [2, -1998, 6]),
        ({"op": "derive", "column": "one", "value": "1"}, "one", [1, 1, 1]),
        ({"op": "split_column", "column": "p", "separator": "-", "into": ["l", "r"]}, "r", ["b-c", None, None]),
        ({"op": "filter", "where": "i > 0"}, "i", [1, 3]),
        ({"op": "sort", "columns": ["i"]}, "i", [-999, 1, 3]),
        ({"op": "sort", "columns": ["s"], "descending": True}, "i", [-999, 1, 3]),
    ],
)
def test_what_an_operation_gives(operation: dict[str, Any], column: str, wanted: list[Any]) -> None:
    assert after(operation)[column].to_list() == wanted


def test_columns_are_dropped_and_kept() -> None:
    assert after({"op": "drop", "columns": ["s", "n"]}).columns == ["i", "x", "t", "p", "plane"]
    assert after({"op": "drop", "columns": ["s", "no"], "missing_ok": True}).columns[0] == "n"
    assert after({"op": "keep", "columns": ["x", "i"]}).columns == ["x", "i"]
    split = {"op": "split_column", "column": "p", "separator": "-", "into": ["p", "r"]}
    assert after(split).columns == ["s", "n", "i", "x", "t", "plane", "p", "r"]


def test_of_equal_rows_one_is_kept() -> None:
    frame = pl.DataFrame({"k": [1, 2, 1], "v": ["a", "b", "c"]})
    assert after({"op": "deduplicate", "columns": ["k"]}, frame)["v"].to_list() == ["a", "b"]
    assert after({"op": "deduplicate", "columns": ["k"], "keep": "last"}, frame)["v"].to_list() == ["b", "c"]
    assert after({"op": "deduplicate"}, pl.concat([frame, frame])).equals(frame)


LOOKUP = {"op": "lookup", "table": "planes", "on": {"plane": "tailnum"}, "columns": {"year": "built", "seats": "seats"}}


@pytest.mark.parametrize("small", [0, 100])
def test_a_lookup_adds_columns_by_key(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "SMALL", small)
    result = after(LOOKUP, tables={"planes": PLANES})
    assert result.columns == [*FRAME.columns, "built", "seats"]
    assert result["built"].to_list() == [1998, None, None]
    assert result.schema["seats"] == pl.Int64
    with pytest.raises(Invalid, match=r"2 rows are not in 'planes', such as .*N9"):
        after({**LOOKUP, "missing": "error"}, tables={"planes": PLANES})


@pytest.mark.parametrize("small", [0, 100])
def test_a_lookup_by_several_keys_of_other_widths(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "SMALL", small)
    right = pl.DataFrame(
        {
            "a": pl.Series([1, 2], dtype=pl.Int16),
            "t": pl.Series([datetime.datetime(2013, 1, 1)] * 2, dtype=pl.Datetime("ms")),
            "v": ["x", "y"],
        }
    )
    left = right.select(pl.col("a").cast(pl.Int64).reverse(), pl.col("t").cast(pl.Datetime("ns")))
    operation = {"op": "lookup", "table": "r", "on": {"a": "a", "t": "t"}, "columns": {"v": "v"}}
    assert after(operation, left, {"r": right})["v"].to_list() == ["y", "x"]


def test_a_lookup_needs_its_table_and_unique_keys() -> None:
    with pytest.raises(NotFound, match=r"step 1 \(lookup .*'planes' was not given"):
        after(LOOKUP)
    with pytest.raises(Invalid, match=r"not unique, such as .*N1"):
        after(LOOKUP, tables={"planes": pl.concat([PLANES, PLANES])})
    with pytest.raises(Invalid, match="holds Int64"):
        after({**LOOKUP, "on": {"i": "tailnum"}}, tables={"planes": PLANES})
    with pytest.raises(Invalid, match="two columns named 's'"):
        after({**LOOKUP, "columns": {"year": "s"}}, tables={"planes": PLANES})


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ({"op": "cast", "columns": {"n": "Int64"}}, r"step 1 \(cast n\): .*1 values .* no Int64, such as 'x' in row 2"),
        ({"op": "cast", "columns": {"x": "Int64"}}, r"no Int64, such as 2.5 in row 1"),
        ({"op": "cast", "columns": {"t": "Date"}}, "not cast to Date"),
        ({"op": "parse_time", "column": "t", "formats": ["%Y-%m-%d %H:%M"]}, "'2013-02-30 00:00' in row 1"),
        ({"op": "parse_time", "column": "x", "formats": ["%Y"]}, "holds Float64"),
        ({"op": "rename", "columns": {"i": "s"}}, "two columns named 's'"),
        ({"op": "drop", "columns": ["plan"]}, "no column 'plan'"),
        ({"op": "trim", "columns": ["i"]}, "holds Int64, not text"),
        ({"op": "fill", "columns": {"i": 0.5}}, "holds Int64"),
        ({"op": "fill", "columns": {"i": "x"}}, "holds Int64"),
        ({"op": "map", "column": "p", "values": {"a": "A"}, "otherwise": "error"}, "1 values .* such as 'a-b-c'"),
        ({"op": "map", "column": "p", "values": {"a": 1}}, "cannot be kept"),
        ({"op": "map", "column": "x", "values": {"1.0": 1}}, "holds Float64"),
        ({"op": "bin", "column": "s", "edges": [1]}, "holds String"),
        ({"op": "derive", "column": "y", "value": "s + 1"}, "not a text"),
        ({"op": "filter", "where": "i + 1"}, "not a truth value"),
        ({"op": "sort", "columns": ["ii"]}, "no column 'ii'"),
    ],
)
def test_an_error_names_the_step_and_shows_the_value(operation: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words) as error:
        after(operation)
    assert error.value.hint
    assert error.value.facts["step"] == 1


def test_a_column_without_any_value_fits_everywhere() -> None:
    frame = pl.DataFrame({"z": [None, None], "p": ["a", None]})
    for operation in (
        {"op": "cast", "columns": {"z": "Int64"}},
        {"op": "parse_time", "column": "z", "formats": ["%Y"]},
        {"op": "trim", "columns": ["z"]},
        {"op": "case", "to": "upper", "columns": ["z"]},
        {"op": "fill", "columns": {"z": 3}},
        {"op": "map", "column": "z", "values": {"a": "b"}},
        {"op": "bin", "column": "z", "edges": [1]},
        {"op": "split_column", "column": "z", "separator": "-", "into": ["l", "r"]},
        {"op": "derive", "column": "y", "value": "z + 1"},
    ):
        assert after(operation, frame).height == 2
        assert after(operation, frame.clear()).height == 0


def test_times_get_a_zone_and_times_that_do_not_exist_are_errors() -> None:
    frame = pl.DataFrame({"t": ["2013-03-10 01:30", "2013-03-10 02:30"]})
    operation = {"op": "parse_time", "column": "t", "formats": ["%Y-%m-%d %H:%M"], "zone": "America/New_York"}
    with pytest.raises(Invalid, match="02:30"):
        after(operation, frame)
    times = after({**operation, "on_error": "null"}, frame)["t"]
    assert times.dtype == pl.Datetime("us", "America/New_York")
    assert times.null_count() == 1


def test_times_that_say_their_offset_are_converted() -> None:
    operation = {"op": "parse_time", "column": "t", "formats": ["%Y-%m-%d %H:%M%z"]}
    frame = pl.DataFrame({"t": ["2013-03-10 01:30+0200"]})
    moment = datetime.datetime(2013, 3, 9, 23, 30)
    assert after(operation, frame)["t"].dt.replace_time_zone(None).to_list() == [moment]
    assert after(operation, frame).schema["t"] == pl.Datetime("us", "UTC")
    there = after({**operation, "zone": "America/New_York"}, frame)["t"]
    assert there.dtype == pl.Datetime("us", "America/New_York")
    assert there.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_list() == [moment]
    again = after({**operation, "zone": "UTC"}, there.to_frame())["t"]
    assert again.dt.replace_time_zone(None).to_list() == [moment]
    with pytest.raises(Invalid, match="offset"):
        after({**operation, "formats": ["%Y", "%Y%z"]}, frame)


def test_parsing_what_is_a_time_already_changes_nothing() -> None:
    operation = {"op": "parse_time", "column": "t", "formats": ["%Y-%m-%d %H:%M"], "on_error": "null"}
    once = after(operation)
    assert after({**operation, "on_error": "error"}, once).equals(once)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "filter", "where": "i > 0"},
        {"op": "deduplicate"},
        {"op": "sort", "columns": ["i"]},
    ],
)
def test_steps_that_remove_or_move_rows_are_not_for_live_requests(operation: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="live request") as error:
        apply(steps(operation), FRAME, live=True)
    assert "training" in error.value.hint
    left_out = steps({**operation, "when": "training"})
    assert apply(left_out, FRAME, live=True).equals(FRAME)


def test_steps_for_training_are_left_out_of_live_requests() -> None:
    recipe = steps(
        {"op": "derive", "column": "late", "value": "i > 0", "when": "training"},
        {"op": "derive", "column": "j", "value": "i + 1"},
    )
    assert "late" in apply(recipe, FRAME).columns
    assert apply(recipe, FRAME.drop("x"), live=True).columns[-1] == "j"


def test_only_the_three_operations_on_rows_are_not_row_wise() -> None:
    assert {behaviour.op for behaviour in BEHAVIOURS if not behaviour.row_wise} == {"filter", "deduplicate", "sort"}


def test_a_recipe_made_by_hand_is_validated_when_it_is_prepared() -> None:
    with pytest.raises(CharkhError, match=r"step 1 \(cast i\): there is no type 'Int65'"):
        prepare(Recipe(steps=(Cast(columns={"i": "Int65"}),)))
