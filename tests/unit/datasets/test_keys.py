"""Guessing the columns that tell rows apart: never a wrong guess."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from charkh.datasets import keys
from charkh.datasets.keys import guess_key

OLD = pl.DataFrame({"id": [1, 2, 3, 4], "name": ["a", "b", None, "d"], "n": [1, 2, 3, 4]})
NEW = pl.DataFrame({"id": [5, 4, 3, 2], "name": ["e", "D", "c", "b"], "n": [5, 4, 3, 20]})


def guess(old: pl.DataFrame, new: pl.DataFrame) -> tuple[str, ...]:
    return guess_key(old.lazy(), new.lazy())


def test_the_first_column_that_tells_rows_apart() -> None:
    assert guess(OLD, NEW) == ("id",)
    assert guess(OLD.drop("id"), NEW) == ("n",)
    assert guess(OLD.select("name"), NEW) == ()
    assert guess(OLD, NEW.drop("id", "n")) == ()


def test_the_column_that_rows_have_in_common() -> None:
    old = pl.DataFrame({"place": [1, 2, 3], "id": ["x", "y", "z"]})
    new = pl.DataFrame({"place": [11, 12, 13], "id": ["y", "z", "x"]})
    assert guess(old, new) == ("id",)


def test_as_few_columns_as_will_do() -> None:
    table = pl.DataFrame({"a": [1, 1, 2, 2], "b": [1, 2, 1, 2], "c": [1, 1, 1, 1], "f": [0.1, 0.2, 0.3, 0.4]})
    assert guess(table, table) == ("a", "b")
    cube = pl.DataFrame(
        [(x, y, z) for x in range(2) for y in range(2) for z in range(2)], schema=["x", "y", "z"], orient="row"
    )
    assert guess(cube, cube) == ("x", "y", "z")


def test_what_tells_rows_apart_in_the_sample_alone_is_no_key(monkeypatch: object) -> None:
    many = keys.SAMPLE + 10
    table = pl.DataFrame({"a": [*range(many - 1), 0], "b": [1] * many})
    assert guess(table, table) == ()
    gap = pl.DataFrame({"a": [*range(many - 1), None]})
    assert guess(gap, gap) == ()


def test_an_empty_table_and_another_type_have_no_key() -> None:
    assert guess(OLD.clear(), NEW) == ()
    assert guess(OLD.select("id"), NEW.select(pl.col("id").cast(pl.String))) == ()


CELL = st.one_of(st.none(), st.integers(0, 3))
TABLES = st.lists(st.tuples(CELL, CELL, CELL, CELL), min_size=1, max_size=8)


@given(TABLES, TABLES)
def test_a_guess_tells_every_row_apart(old: list[tuple[int, ...]], new: list[tuple[int, ...]]) -> None:
    frames = [pl.DataFrame(rows, schema=dict.fromkeys("abcd", pl.Int64), orient="row") for rows in (old, new)]
    key = guess(*frames)
    if key:
        for frame in frames:
            assert not frame.select(key).is_duplicated().any()
            assert not frame.select(pl.any_horizontal(pl.col(key).is_null()).any()).item()
    else:
        singles = [
            name for name in "abcd" if all(f[name].n_unique() == f.height and not f[name].null_count() for f in frames)
        ]
        assert not singles
