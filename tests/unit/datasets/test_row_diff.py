"""Differences between tables, row by row, against a naive implementation over dictionaries."""

import math
from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.datasets.row_diff import RowDiff, RowDiffSummary, diff_rows
from charkh.datasets.schema_diff import RenamedColumn, RetypedColumn, SchemaDiff

CELLS = {
    "i": st.one_of(st.none(), st.integers(-2, 2)),
    "f": st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.5, math.nan, -math.nan, math.inf])),
    "s": st.one_of(st.none(), st.sampled_from(["", "a", "b"])),
}
SCHEMA = {"i": pl.Int64, "f": pl.Float64, "s": pl.String}
ROWS = st.lists(st.fixed_dictionaries(CELLS).map(lambda row: {name: row[name] for name in SCHEMA}), max_size=12)


def plain(row: dict[str, Any]) -> tuple[Any, ...]:
    """A row whose NaNs are equal to each other, and whose zeros have no sign."""
    return tuple(
        ("nan" if math.isnan(cell) else cell + 0.0) if isinstance(cell, float) else cell for cell in row.values()
    )


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA)


def counted(table: pl.DataFrame) -> Counter[tuple[Any, ...]]:
    return Counter(plain(row) for row in table.rows(named=True))


@given(ROWS, ROWS)
def test_keyless_is_the_difference_of_multisets(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> None:
    diff = diff_rows(frame(old), frame(new))
    before, after = counted(frame(old)), counted(frame(new))
    assert counted(diff.added) == after - before
    assert counted(diff.removed) == before - after
    assert diff.unchanged == (before & after).total()
    assert diff.same == (before == after)
    assert diff.old.is_empty()


@given(ROWS, ROWS, st.sampled_from([["i"], ["s"], ["i", "s"], ["f"], ["s", "f"]]))
def test_keyed_is_what_dictionaries_say(old: list[dict[str, Any]], new: list[dict[str, Any]], key: list[str]) -> None:
    def by_key(rows: list[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
        return {plain({name: row[name] for name in key}): row for row in rows}

    before, after = by_key(old), by_key(new)
    diff = diff_rows(frame(list(before.values())), frame(list(after.values())), key=key)
    assert counted(diff.added) == Counter(plain(row) for k, row in after.items() if k not in before)
    assert counted(diff.removed) == Counter(plain(row) for k, row in before.items() if k not in after)
    changed = {k for k in before.keys() & after.keys() if plain(before[k]) != plain(after[k])}
    assert {plain({name: row[name] for name in key}) for row in diff.old.rows(named=True)} == changed
    assert diff.old.height == diff.new.height == len(changed)
    assert diff.unchanged == len(before.keys() & after.keys()) - len(changed)
    cells: Counter[str] = Counter()
    for each in changed:
        first, second = plain(before[each]), plain(after[each])
        cells.update(name for name, a, b in zip(SCHEMA, first, second, strict=True) if a != b)
    assert diff.cells == cells
    assert diff.changed_cells().height == cells.total()
    for one, other in zip(diff.old.select(key).rows(), diff.new.select(key).rows(), strict=True):
        assert plain(dict(enumerate(one))) == plain(dict(enumerate(other)))  # type: ignore[arg-type]


@given(ROWS)
def test_a_table_does_not_differ_from_itself_in_any_order(rows: list[dict[str, Any]]) -> None:
    assert diff_rows(frame(rows), frame(rows[::-1])).same


OLD = pl.DataFrame({"id": [1, 2, 3, 4], "name": ["a", "b", None, "d"], "n": [1, 2, 3, 4]})
NEW = pl.DataFrame({"id": [5, 4, 3, 2], "name": ["e", "D", "c", "b"], "n": [5, 4, 3, 20]})


def test_changed_cells_are_told() -> None:
    diff = diff_rows(OLD, NEW, key=["id"])
    assert diff.added.rows() == [(5, "e", 5)]
    assert diff.removed.rows() == [(1, "a", 1)]
    assert diff.cells == {"name": 2, "n": 1}
    assert diff.unchanged == 0
    assert set(diff.changed_cells().rows()) == {(3, "name", None, "c"), (4, "name", "d", "D"), (2, "n", "2", "20")}
    assert diff.changed_cells(1).height == 2
    assert diff.summary(1) == RowDiffSummary(
        key=("id",),
        schema=SchemaDiff(),
        added=1,
        removed=1,
        changed=3,
        unchanged=0,
        cells={"name": 2, "n": 1},
        added_sample=({"id": "5", "name": "e", "n": "5"},),
        removed_sample=({"id": "1", "name": "a", "n": "1"},),
        changed_sample=({"id": "3", "column": "name", "old": None, "new": "c"},),
    )


def test_no_change_has_no_cells() -> None:
    diff = diff_rows(OLD, OLD, key=["id"])
    assert diff.same
    assert diff.changed_cells().schema == {
        "id": pl.Int64(),
        "column": pl.String(),
        "old": pl.String(),
        "new": pl.String(),
    }


@pytest.mark.parametrize("which", ["old", "new"])
def test_two_rows_of_one_key_are_refused_with_an_example(which: str) -> None:
    twice = pl.concat([OLD, OLD.tail(2)])
    tables = (twice, NEW) if which == "old" else (OLD, twice)
    with pytest.raises(Invalid, match=rf"4 rows of the {which} table share their key .* id=3, name=None") as refused:
        diff_rows(*tables, key=["id", "name"])
    assert refused.value.facts["example"] == {"id": "3", "name": "None"}


def test_a_key_that_is_no_column_is_refused() -> None:
    with pytest.raises(Invalid, match="the new table has no column 'n'"):
        diff_rows(OLD, NEW.drop("n"), key=["id", "n"])


def test_columns_that_differ_are_reported_and_not_compared() -> None:
    new = OLD.drop("n").with_columns(more=pl.lit(1), id=pl.col("id").cast(pl.Float64))
    for diff in (diff_rows(OLD, new), diff_rows(OLD, new, key=["id"])):
        assert diff.schema == SchemaDiff(
            added=("more",), removed=("n",), retyped=(RetypedColumn(name="id", old="Int64", new="Float64"),)
        )
        assert diff.unchanged == 4
        assert not diff.same
    added = diff_rows(OLD.head(3), new)
    assert added.added.rows() == [(4.0, "d", 1)]
    assert added.added.columns == ["id", "name", "more"]


@pytest.mark.parametrize(
    ("old", "new", "equal"),
    [
        (pl.Series([1, 2]), pl.Series([1.0, 2.0]), True),
        (pl.Series([2**62]), pl.Series([2**62], dtype=pl.UInt64), True),
        (pl.Series([2**62 + 1]), pl.Series([2**62], dtype=pl.UInt64), False),
        (pl.Series([1, 2]), pl.Series(["1", "2"]), True),
        (pl.Series(["a", "b"]), pl.Series(["a", "b"], dtype=pl.Categorical), True),
        (pl.Series(["a"], dtype=pl.Enum(["a"])), pl.Series(["a"], dtype=pl.Enum(["b", "a"])), True),
        (pl.Series([None], dtype=pl.Null), pl.Series([None], dtype=pl.Int64), True),
        (pl.Series([None], dtype=pl.Null), pl.Series([1]), False),
        (pl.Series([None], dtype=pl.Null), pl.Series([[1]]), False),
        (pl.Series([[1, 2], []]), pl.Series([[1, 2], []]), True),
        (pl.Series([[1, 2], None]), pl.Series([[1, 2], []]), False),
        (pl.Series([{"a": 1}]), pl.Series([{"a": 2}]), False),
        (pl.Series([b"x"]), pl.Series([b"x"]), True),
        (pl.Series([b"x"]), pl.Series([b"y"]), False),
    ],
)
def test_types_are_compared_by_value(old: pl.Series, new: pl.Series, equal: bool) -> None:
    first, second = pl.DataFrame({"v": old}).with_row_index("k"), pl.DataFrame({"v": new}).with_row_index("k")
    keyless, keyed = diff_rows(first, second), diff_rows(first, second, key=["k"])
    assert (keyless.added.height == 0) == (keyless.removed.height == 0) == (keyed.old.height == 0) == equal
    assert keyed.changed_cells().height == keyed.old.height


def test_the_last_copies_are_the_added_ones() -> None:
    old = pl.DataFrame({"x": [1, 2]})
    new = pl.DataFrame({"x": [1, 1, 2, 1], "tag": ["a", "b", "c", "d"]})
    assert diff_rows(old, new).added.rows() == [(1, "b"), (1, "d")]


def test_tables_without_a_common_column() -> None:
    diff = diff_rows(pl.DataFrame({"a": [7]}), pl.DataFrame({"b": [1, 2]}))
    assert (diff.removed.height, diff.added.height, diff.unchanged) == (1, 2, 0)


def test_empty_tables() -> None:
    empty = OLD.clear()
    for key in (None, ["id"]):
        assert diff_rows(empty, empty, key=key).same
        assert diff_rows(empty, OLD, key=key).added.equals(OLD)
        assert diff_rows(OLD, empty, key=key).removed.equals(OLD)


@pytest.mark.parametrize(
    ("old", "new", "equal"),
    [
        ([[math.nan]], [[-math.nan]], True),
        ([[math.nan]], [[None]], False),
        ([[0.0]], [[-0.0]], True),
        ([{"a": math.nan, "b": None}], [{"a": math.nan, "b": None}], True),
        ([{"a": math.nan}], [{"a": None}], False),
        ([[{"a": [1, None]}]], [[{"a": [1, None]}]], True),
        ([[{"a": [1, None]}]], [[{"a": [1]}]], False),
        ([None], [[]], False),
    ],
)
def test_nested_cells_are_compared_to_their_ends(old: list[Any], new: list[Any], equal: bool) -> None:
    dtype = pl.DataFrame({"v": [*old, *new]}).schema["v"]
    first = pl.DataFrame({"k": [1], "v": pl.Series(old, dtype=dtype)})
    second = pl.DataFrame({"k": [1], "v": pl.Series(new, dtype=dtype)})
    keyless, keyed = diff_rows(first, second), diff_rows(first, second, key=["k"])
    assert (keyless.added.height == 0) == (keyless.removed.height == 0) == (keyed.old.height == 0) == equal


def test_changed_cells_that_are_nested_are_said_as_json() -> None:
    old, new = pl.DataFrame({"k": [1, 2], "v": [[1], None]}), pl.DataFrame({"k": [1, 2], "v": [[1, 2], [3]]})
    assert diff_rows(old, new, key=["k"]).changed_cells()["old"].to_list() == ["[1]", None]
    assert diff_rows(old, new, key=["k"]).changed_cells()["new"].to_list() == ["[1,2]", "[3]"]


@pytest.mark.parametrize("key", [None, ["id"]])
def test_a_renamed_column_is_one_column(key: list[str] | None) -> None:
    new = OLD.rename({"name": "title"})
    diff = diff_rows(OLD, new, key=key)
    assert diff.schema == SchemaDiff(renamed=(RenamedColumn(old="name", new="title"),))
    assert (diff.added.height, diff.removed.height, diff.unchanged, diff.cells) == (0, 0, 4, {})
    more = diff_rows(OLD, pl.concat([new, new.head(1).with_columns(id=pl.lit(9, pl.Int64))]), key=key)
    assert (more.added.height, more.removed.height, more.unchanged) == (1, 0, 4)
    other = diff_rows(OLD, new.with_columns(title=pl.lit("x")), key=key)
    assert other.schema == SchemaDiff(added=("title",), removed=("name",))


def test_many_rows_are_exact() -> None:
    size = 50_000
    old = pl.DataFrame({"id": range(size), "a": [number % 7 for number in range(size)]})
    new = pl.concat(
        [
            old[100:].with_columns(a=pl.when(pl.col("id") % 1000 == 5).then(-1).otherwise("a")),
            old[:30].with_columns(id=pl.col("id") + size),
        ]
    )
    for diff, changed in ((diff_rows(old, new, key=["id"]), 49), (diff_rows(old, new), 0)):
        assert isinstance(diff, RowDiff)
        moved = 49 - changed
        assert (diff.added.height, diff.removed.height, diff.old.height) == (30 + moved, 100 + moved, changed)
        assert diff.unchanged == size - 100 - 49
