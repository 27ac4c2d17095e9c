"""Three-way merges of rows against a naive implementation over dictionaries, seen from both sides."""

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Invalid, NotFound
from charkh.datasets.merge_conflicts import Resolutions, read_resolutions, swap_sides
from charkh.datasets.merge_rows import PATH, PLACE, MergedRows, Sides, merge_rows

CELL = st.one_of(st.none(), st.integers(0, 2))
KEYED = st.dictionaries(st.integers(0, 5), st.tuples(CELL, CELL), max_size=6)
BAGS = st.lists(st.tuples(st.integers(0, 2), CELL), max_size=6)
ABSENT = "absent"


def side(rows: list[dict[str, Any]], columns: list[str], path: str = "a") -> pl.DataFrame:
    table = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.Int64), orient="row")
    return table.with_columns(pl.lit(path).alias(PATH)).with_row_index(PLACE).select(*columns, PATH, PLACE)


def keyed(rows: dict[int, tuple[Any, Any]]) -> pl.DataFrame:
    return side([{"k": key, "x": x, "y": y} for key, (x, y) in rows.items()], ["k", "x", "y"])


def merge(base: Any, ours: Any, theirs: Any, key: list[str], decided: Resolutions | None = None) -> MergedRows:
    return merge_rows(Sides(base, ours, theirs, {"a"}), key, decided or Resolutions())


def naive_cell(base: Any, ours: Any, theirs: Any) -> tuple[Any, bool]:
    """The cell, and whether it is a conflict."""
    if ours == theirs or theirs == base:
        return ours, False
    return (theirs, False) if ours == base else (None, True)


def naive(base: dict[int, Any], ours: dict[int, Any], theirs: dict[int, Any]) -> tuple[dict[int, Any], set[Any]]:
    merged, conflicts = {}, set()
    for key in {*base, *ours, *theirs}:
        b, o, t = (rows.get(key) for rows in (base, ours, theirs))
        if o is None or t is None:
            left = o or t
            if b is None:
                merged[key] = left
            elif left is not None and left != b:
                conflicts.add((key, "deleted", ""))
            continue
        cells = [naive_cell(ABSENT if b is None else b[n], o[n], t[n]) for n in range(2)]
        merged[key] = tuple(cell for cell, _ in cells)
        kind = "added" if b is None else "cell"
        conflicts |= {(key, kind, "xy"[n]) for n, (_, apart) in enumerate(cells) if apart}
    return merged, conflicts


def told(conflicts: pl.DataFrame) -> set[Any]:
    keys = conflicts["row"].str.json_decode(pl.Struct({"k": pl.Int64})).struct.field("k")
    return set(zip(keys, conflicts["conflict"], conflicts["column"], strict=True))


@given(KEYED, KEYED, KEYED)
def test_keyed_is_what_dictionaries_say(base: dict[int, Any], ours: dict[int, Any], theirs: dict[int, Any]) -> None:
    found = merge(keyed(base), keyed(ours), keyed(theirs), ["k"])
    merged, conflicts = naive(base, ours, theirs)
    assert told(found.conflicts) == conflicts
    rows = {k: (x, y) for k, x, y in found.rows.select("k", "x", "y").iter_rows()}
    apart = {key for key, _, _ in conflicts}
    assert {k: row for k, row in rows.items() if k not in apart} == {k: r for k, r in merged.items() if k not in apart}
    if not conflicts:
        assert found.rows.height == len(merged)


@given(KEYED, KEYED, KEYED)
def test_the_other_side_sees_the_same(base: dict[int, Any], ours: dict[int, Any], theirs: dict[int, Any]) -> None:
    one = merge(keyed(base), keyed(ours), keyed(theirs), ["k"])
    other = merge(keyed(base), keyed(theirs), keyed(ours), ["k"])
    assert one.rows.sort("k").equals(other.rows.sort("k")) or one.conflicts.height
    assert one.conflicts.sort(pl.all()).equals(swap_sides(other.conflicts).sort(pl.all()))


@given(KEYED, KEYED, KEYED, st.sampled_from(["ours", "theirs"]))
def test_a_side_is_taken(base: dict[int, Any], ours: dict[int, Any], theirs: dict[int, Any], take: Any) -> None:
    found = merge(keyed(base), keyed(ours), keyed(theirs), ["k"], Resolutions(take=take))
    assert found.conflicts.is_empty()
    chosen = ours if take == "ours" else theirs
    _, conflicts = naive(base, ours, theirs)
    rows = {k: {"x": x, "y": y} for k, x, y in found.rows.select("k", "x", "y").iter_rows()}
    for key, kind, column in conflicts:
        if kind == "deleted":
            assert (key in rows) == (key in chosen)
        else:
            assert rows[key][column] == chosen[key]["xy".index(column)]


@given(BAGS, BAGS, BAGS)
def test_keyless_counts_copies(base: list[Any], ours: list[Any], theirs: list[Any]) -> None:
    frames = [side([dict(zip("xy", row, strict=True)) for row in rows], ["x", "y"]) for rows in (base, ours, theirs)]
    found, other = merge(*frames, []), merge(frames[0], frames[2], frames[1], [])
    b, o, t = Counter(base), Counter(ours), Counter(theirs)
    rows = Counter(found.rows.select("x", "y").rows())
    apart = 0
    for row in {*b, *o, *t}:
        by_ours, by_theirs = o[row] - b[row], t[row] - b[row]
        if by_ours and by_theirs and by_ours != by_theirs:
            apart += 1
        else:
            assert rows[row] == b[row] + (by_ours or by_theirs)
    assert found.conflicts.height == apart
    assert swap_sides(other.conflicts).sort(pl.all()).equals(found.conflicts.sort(pl.all()))
    if not apart:
        assert Counter(other.rows.select("x", "y").rows()) == rows


@given(KEYED, KEYED)
def test_with_the_base_it_is_the_other_side_in_its_order(base: dict[int, Any], ours: dict[int, Any]) -> None:
    found = merge(keyed(base), keyed(ours), keyed(base), ["k"])
    assert found.rows.equals(keyed(ours).drop(PLACE))
    behind = merge_rows(Sides(keyed(base), keyed(base), keyed(ours), set()), ["k"], Resolutions())
    assert behind.rows.equals(keyed(ours).drop(PLACE))
    bags = merge_rows(Sides(keyed(base), keyed(base), keyed(ours), set()), [], Resolutions())
    assert bags.rows.equals(keyed(ours).drop(PLACE))


def test_columns_that_both_added() -> None:
    base = side([{"k": 1}, {"k": 2}], ["k"])
    ours = side([{"k": 1, "a": 5}, {"k": 2, "a": 6}, {"k": 3, "a": 7}], ["k", "a"])
    theirs = side([{"k": 1, "b": 8}, {"k": 4, "b": 9}], ["k", "b"])
    found = merge(base, ours, theirs, ["k"])
    assert found.rows.drop(PATH).sort("k").rows() == [(1, 5, 8), (3, 7, None), (4, None, 9)]
    assert found.rows.columns == ["k", "a", "b", PATH]
    assert found.conflicts.is_empty(), "a column more is no change of the row that the other deleted"


def test_a_column_that_one_removed_and_the_other_changed() -> None:
    base = side([{"k": 1, "x": 1}], ["k", "x"])
    without, changed = side([{"k": 1}], ["k"]), side([{"k": 1, "x": 2}], ["k", "x"])
    found = merge(base, without, changed, ["k"])
    assert found.conflicts.rows() == [("", "column", "x", "", "(not there)", "1 cells changed")]
    assert merge(base, without, changed, ["k"], Resolutions(take="ours")).rows.columns == ["k", PATH]
    assert merge(base, without, changed, ["k"], Resolutions(take="theirs")).rows["x"].to_list() == [2]
    assert merge(base, without, base, ["k"]).rows.columns == ["k", PATH]
    with pytest.raises(Invalid, match="columns of the two sides differ"):
        merge(base, without, changed, [])


def test_a_row_that_one_moved_to_another_file() -> None:
    base, edited = side([{"k": 1, "x": 1}], ["k", "x"]), side([{"k": 1, "x": 2}], ["k", "x"])
    moved = side([{"k": 1, "x": 1}], ["k", "x"], "b")
    for ours, theirs in ((moved, edited), (edited, moved)):
        assert merge(base, ours, theirs, ["k"]).rows.rows() == [(1, 2, "b")]


def test_decisions_are_read_from_a_file(tmp_path: Path) -> None:
    base = keyed({1: (0, 0), 2: (0, 0), 3: (0, 0), 4: (0, 0)})
    ours, theirs = keyed({1: (1, 1), 2: (1, 0), 3: (1, 0)}), keyed({1: (2, 2), 2: (2, 0), 4: (2, 0)})
    found = merge(base, ours, theirs, ["k"]).conflicts
    assert found.height == 5
    takes = ["value", "ours", "base", "theirs", "ours"]
    file = tmp_path / "conflicts.csv"
    lines = found.with_columns(take=pl.Series(takes), value=pl.Series(["7", "", "", "", ""]))
    lines.write_csv(file)
    decided = merge(base, ours, theirs, ["k"], read_resolutions(file))
    assert decided.conflicts.is_empty()
    wanted = {
        (row, column): {"value": 7, "ours": mine, "theirs": other, "base": 0}[take]
        for row, column, mine, other, take in lines.filter(pl.col("conflict") == "cell")
        .select(
            "row", "column", pl.col("ours").cast(int, strict=False), pl.col("theirs").cast(int, strict=False), "take"
        )
        .iter_rows()
    }
    rows = {k: {"x": x, "y": y} for k, x, y in decided.rows.select("k", "x", "y").iter_rows()}
    for (row, column), cell in wanted.items():
        assert rows[int(row.strip('{"k:}'))][column] == cell
    lines.with_columns(take=pl.lit("")).write_csv(file)
    assert merge(base, ours, theirs, ["k"], read_resolutions(file)).conflicts.equals(found)
    lines.with_columns(take=pl.lit("value"), value=pl.lit("no number")).write_csv(file)
    with pytest.raises(Invalid, match="is no Int64"):
        merge(base, ours, theirs, ["k"], read_resolutions(file))
    lines.with_columns(take=pl.lit("mine")).write_csv(file)
    with pytest.raises(Invalid, match="takes 'mine'"):
        read_resolutions(file)
    with pytest.raises(NotFound):
        read_resolutions(tmp_path / "nothing.csv")
    lines.drop("take").write_csv(file)
    with pytest.raises(Invalid, match="no column 'take'"):
        read_resolutions(file)


def test_copies_are_decided_on() -> None:
    one = {"x": 1, "y": 1}
    base, ours, theirs = side([one], ["x", "y"]), side([one] * 2, ["x", "y"]), side([one] * 4, ["x", "y"])
    (line,) = merge(base, ours, theirs, []).conflicts.rows()
    assert line == ('{"x":1,"y":1,"file":"a"}', "copies", "", "1", "2", "4")
    for take, count in (("ours", 2), ("theirs", 4)):
        assert merge(base, ours, theirs, [], Resolutions(take=take)).rows.height == count  # type: ignore[arg-type]
