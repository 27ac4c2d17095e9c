"""The flights year's recipes and checks, on a few flights: what is known before departure, live as in training."""

from pathlib import Path

import polars as pl
import pytest

from charkh import demo
from charkh.checks.document import parse_suite
from charkh.checks.result import REASONS
from charkh.checks.run import run
from charkh.recipes.apply import apply, prepare
from charkh.recipes.document import parse_recipe
from charkh.recipes.recipe import is_live

FOLDER = Path(demo.__file__).parent
TIDY = parse_recipe((FOLDER / "flights.json").read_bytes(), "flights.json")
FEATURES = parse_recipe((FOLDER / "features.json").read_bytes(), "features.json")
SUITE = parse_suite((FOLDER / "flights.toml").read_text(), "flights.toml")

HEADER = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,"
    "origin,dest,air_time,distance,hour,minute,time_hour"
)
LINES = (
    "2013,1,1,517,515,2,830,819,11,UA,1545,N1,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z",
    "2013,1,1,542,540,2,923,850,33,AA,1141,N2,JFK,MIA,160,1089,5,40,2013-01-01T10:00:00Z",
    "2013,1,1,NA,1630,NA,NA,1815,NA,EV,4308,NA,EWR,RDU,NA,416,16,30,2013-01-01T21:00:00Z",
    "2013,7,27,NA,106,NA,NA,245,NA,US,1632,NA,EWR,LGA,NA,17,1,6,2013-07-27T05:00:00Z",
)
UNKNOWN = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
TABLES = {
    "planes": pl.DataFrame(
        {"tailnum": ["N1", "N2"], "year": ["1999", "NA"], "seats": [149, 178], "engine": ["Turbo-fan"] * 2}
    ),
    "weather": pl.DataFrame(
        {
            "origin": ["EWR", "JFK", "JFK"],
            "time_hour": ["2013-01-01T07:00:00Z", "2013-01-01T07:00:00Z", "2013-01-01T10:00:00Z"],
            "temp": ["39.02", "NA", "1.0"],
            **{name: [1.0, 2.0, 3.0] for name in ("dewp", "humid", "wind_dir", "wind_speed", "wind_gust")},
            **{name: [1.0, 2.0, 3.0] for name in ("precip", "pressure", "visib")},
        }
    ).with_columns(pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")),
}


@pytest.fixture
def raw() -> pl.DataFrame:
    return pl.read_csv("\n".join((HEADER, *LINES)).encode())


def test_a_cancelled_flight_is_set_aside_with_the_reason(raw: pl.DataFrame) -> None:
    tidy = apply(TIDY, raw)
    result = run(SUITE, tidy)
    assert result.bad[REASONS].to_list() == [["arrived"], ["arrived", "range(distance)"]]
    assert next(each.reason for each in result.outcomes if each.id == "arrived") == (
        "no arrival delay: cancelled or diverted"
    )
    assert result.good["late"].to_list() == [False, True]
    assert result.good["flight_id"].to_list() == ["2013-01-01-UA-1545-EWR-515", "2013-01-01-AA-1141-JFK-540"]


def test_features_are_known_before_departure(raw: pl.DataFrame) -> None:
    features = apply(FEATURES, apply(TIDY, raw), tables=TABLES)
    assert not set(UNKNOWN) & set(features.columns)
    assert features["temp"].to_list() == [39.02, None, None, None]
    assert features["visib"].to_list() == [1.0, 2.0, None, None]
    assert features["plane_year"].to_list() == [1999, None, None, None]
    assert features["weekday"].to_list() == [2, 2, 2, 6]


def test_a_live_request_gets_what_training_got(raw: pl.DataFrame) -> None:
    trained = apply(FEATURES, apply(TIDY, raw), tables=TABLES)
    assert is_live(TIDY)
    assert is_live(FEATURES)
    tidy, features = prepare(TIDY, live=True), prepare(FEATURES, tables=TABLES, live=True)
    for row in range(raw.height):
        request = raw.drop(UNKNOWN)[row : row + 1]
        assert features(tidy(request)).equals(trained.drop("late")[row : row + 1])


def test_a_tidy_request_may_write_its_times_as_text(raw: pl.DataFrame) -> None:
    tidy = apply(TIDY, raw.drop(UNKNOWN), live=True)
    written = tidy.with_columns(
        pl.col("scheduled_at").dt.to_string("%Y-%m-%dT%H:%M:%S"), pl.col("time_hour").dt.to_string("%Y-%m-%dT%H:%M:%SZ")
    )
    live = prepare(FEATURES, tables=TABLES, live=True)
    assert live(written).equals(live(tidy))
