"""Splitting by time, and the columns that may not be there."""

from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.datasets.leaks import leaking_columns
from charkh.datasets.split import Split, split_by_time
from charkh.datasets.table import Table

START = datetime(2013, 1, 1)


def table(rows: int = 24 * 90) -> Table:
    """One row an hour from 1 January 2013, whose target depends on nothing here."""
    late = [(number * 7919) % 101 < 40 for number in range(rows)]
    frame = pl.DataFrame(
        {
            "at": [START + timedelta(hours=number) for number in range(rows)],
            "hour": [number % 24 for number in range(rows)],
            "origin": [("JFK", "LGA", "EWR")[number * 31 % 3] for number in range(rows)],
            "id": [f"f{number}" for number in range(rows)],
            "late": late,
        }
    )
    return Table(frame, ("dataset:d1",))


def split(of: Table, **more: Any) -> Split:
    return split_by_time(of, **{"target": "late", "time": "at", "drop": ["id"], **more})


def test_the_last_month_is_the_test() -> None:
    found = split(table())
    assert found.test.frame["at"].min() == datetime(2013, 3, 1)
    assert found.train.frame["at"].max() == datetime(2013, 2, 28, 23)
    assert found.train.X.columns == ["hour", "origin"]
    assert found.train.y.name == "late"
    assert len(found.train) + len(found.test) == 24 * 90
    assert found.test.frame.columns == ["at", "hour", "origin", "id", "late"]
    assert (found.target, found.time, found.origins) == ("late", "at", ("dataset:d1",))


@pytest.mark.parametrize(
    ("test", "first"),
    [
        ("7d", datetime(2013, 3, 25)),
        ("2w", datetime(2013, 3, 18)),
        ("12h", datetime(2013, 3, 31, 12)),
        ("90min", datetime(2013, 3, 31, 22)),
        ("1q", datetime(2013, 1, 1)),
        (0.1, datetime(2013, 3, 23)),
        ("0.5", datetime(2013, 2, 15)),
    ],
)
def test_windows(test: str | float, first: datetime) -> None:
    rows = table()
    if test == "1q":
        with pytest.raises(Invalid, match="no rows are left for training"):
            split(rows, test=test)
    else:
        assert split(rows, test=test).test.frame["at"].min() == first


def test_dates_and_zones() -> None:
    by_day = Table(table().frame.with_columns(pl.col("at").dt.date()))
    assert split(by_day).test.frame["at"].min() == date(2013, 3, 1)
    assert split(by_day, test="12h").test.frame["at"].min() == date(2013, 3, 31)
    zoned = Table(
        table().frame.with_columns(pl.col("at").dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin"))
    )
    assert split(zoned, test="1d").test.frame["at"].min().replace(tzinfo=None) == datetime(2013, 4, 1)  # type: ignore[union-attr]


@given(st.lists(st.integers(0, 200), min_size=2, max_size=60), st.sampled_from(["1d", "3d", 0.3, 0.9, "5h"]))
def test_no_row_of_the_test_is_earlier_than_training(hours: list[int], test: str | float) -> None:
    frame = pl.DataFrame({"at": [START + timedelta(hours=hour) for hour in hours], "x": hours, "late": hours})
    try:
        found = split_by_time(Table(frame), target="late", time="at", test=test, allow=["x"])
    except Invalid as error:
        assert error.code == "split.empty"
        return
    assert found.train.frame["at"].max() < found.test.frame["at"].min()  # type: ignore[operator]
    assert len(found.train) + len(found.test) == len(hours)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"target": "nothing"}, "split.no_column"),
        ({"time": "hour"}, "split.no_time"),
        ({"drop": ["nothing"]}, "split.no_column"),
        ({"drop": ["id", "hour", "origin"]}, "split.no_features"),
        ({"test": "soon"}, "split.window"),
        ({"test": 1.5}, "split.window"),
        ({"test": "0"}, "split.window"),
        ({"test": "9y"}, "split.empty"),
    ],
)
def test_what_cannot_be_split(more: dict[str, Any], code: str) -> None:
    with pytest.raises(Invalid) as refused:
        split(table(), **more)
    assert refused.value.code == code


def test_gaps_and_empty_tables() -> None:
    gaps = Table(table().frame.with_columns(late=pl.when(pl.col("hour") > 3).then("late")))
    with pytest.raises(Invalid, match="rows have no 'late'") as refused:
        split(gaps)
    assert refused.value.code == "split.gaps"
    with pytest.raises(Invalid, match="no rows"):
        split(Table(table().frame.clear()))


LEAKS = {
    "copy": pl.col("late"),
    "number": pl.col("late").cast(pl.Int8),
    "text": pl.col("late").cast(pl.String),
    "word": pl.when("late").then(pl.lit("yes")).otherwise(pl.lit("no")),
    "turned": ~pl.col("late"),
    "delay": pl.when("late").then(16 + pl.col("hour")).otherwise(pl.col("hour") - 20),
    "score": pl.when("late").then(20.0).otherwise(0.0) + pl.int_range(pl.len()) / 1000,
}


@pytest.mark.parametrize("name", LEAKS)
def test_columns_that_tell_the_target_are_refused(name: str) -> None:
    leaking = Table(table().frame.with_columns(LEAKS[name].alias(name)))
    with pytest.raises(Invalid, match=f"leak: {name}: ") as refused:
        split(leaking)
    assert refused.value.code == "split.leak"
    assert set(refused.value.facts["leaks"]) == {name}  # type: ignore[call-overload]
    assert name in split(leaking, allow=[name]).train.X.columns
    assert name not in split(leaking, drop=["id", name]).train.X.columns


def test_a_target_on_another_scale_is_refused() -> None:
    rows = table().frame.with_columns(price=(pl.int_range(pl.len()) * 7919 % 1009).cast(pl.Float64))
    leaking = Table(rows.with_columns(cents=pl.col("price") * 100 + 7, noisy=pl.col("price") + pl.col("hour")))
    with pytest.raises(Invalid, match="cents: it is the target on another scale") as refused:
        split(leaking, target="price", drop=["id", "late"])
    assert set(refused.value.facts["leaks"]) == {"cents"}  # type: ignore[call-overload]


def test_what_is_not_known_in_time_is_refused_by_name_and_by_content() -> None:
    rows = table().frame.with_columns(dep_delay=pl.int_range(pl.len()) * 31 % 97)
    leaking = Table(rows.with_columns(other=pl.col("dep_delay"), Dep_Delay=pl.col("dep_delay") * 2))
    with pytest.raises(Invalid) as refused:
        split(leaking, unknown=["dep_delay"])
    assert set(refused.value.facts["leaks"]) == {"dep_delay", "Dep_Delay", "other"}  # type: ignore[call-overload]
    with pytest.raises(Invalid, match="other: it is a copy of 'dep_delay'"):
        split(leaking, unknown=["dep_delay"], drop=["id", "dep_delay", "Dep_Delay"])
    assert split(table(), unknown=["dep_delay", "hour_of_arrival"]).train.X.columns == ["hour", "origin"]


def test_ids_and_luck_are_no_leaks() -> None:
    frame = table().frame
    few = frame.head(12).with_columns(same=pl.col("late").rank("dense"))
    assert leaking_columns(few.head(5), target="late", features=["same", "hour", "id"]) == {}
    assert leaking_columns(frame, target="late", features=["hour", "origin", "id", "at"]) == {}
    constant = frame.with_columns(late=pl.lit(True), one=pl.lit(True))
    assert leaking_columns(constant, target="late", features=["one", "hour"]) == {}
    rare = frame.with_columns(late=pl.int_range(pl.len()) == 5, site=pl.int_range(pl.len()) // 100)
    assert leaking_columns(rare, target="late", features=["site"]) == {}


def test_nested_columns_are_no_leaks_that_can_be_told() -> None:
    frame = table().frame.with_columns(pair=pl.concat_list("hour", "hour"))
    assert leaking_columns(frame, target="late", features=["pair"]) == {}


def test_a_table_keeps_its_origins() -> None:
    first = table()
    assert len(first) == first.frame.height
    assert first.columns == first.frame.columns
    made = first.having(first.frame.head(1), "recipe:r", "dataset:d1")
    assert made.origins == ("dataset:d1", "recipe:r")
    assert len(made) == 1
