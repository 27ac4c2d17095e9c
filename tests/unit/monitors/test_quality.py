"""What live rows are like: gaps, ranges, categories, columns and types."""

from datetime import date

import msgspec
import polars as pl

from charkh.monitors.compare import compare
from charkh.monitors.quality import QualityReport

REFERENCE = pl.DataFrame(
    {
        "wind": [0.0, 5.0, None, 10.0],
        "origin": ["EWR", "JFK", "LGA", None],
        "day": [date(2013, 1, 1), date(2013, 1, 2), date(2013, 1, 3), date(2013, 1, 4)],
        "late": [True, False, True, False],
        "gone": [1, 2, 3, 4],
        "code": [1, 2, 3, 4],
    }
)


def quality(reference: pl.DataFrame, live: pl.DataFrame) -> QualityReport:
    return compare(reference, live).quality


def test_each_column_says_what_is_wrong() -> None:
    live = pl.DataFrame(
        {
            "wind": [-1.0, 11.0, float("nan"), None],
            "origin": ["JFK", "SWF", "SWF", None],
            "day": [date(2013, 1, 2), date(2014, 1, 1), None, date(2013, 1, 1)],
            "late": [True, None, None, None],
            "code": ["1", "2", "3", "4"],
            "extra": [1, 2, 3, 4],
        }
    )
    report = quality(REFERENCE, live)
    found = {each.column: each for each in report.columns}
    assert (report.rows, report.reference_rows) == (4, 4)
    assert (found["wind"].nulls, found["wind"].nulls_reference, found["wind"].out_of_range) == (0.5, 0.25, 0.5)
    assert (found["origin"].unseen, found["origin"].nulls) == (0.5, 0.25)
    assert found["day"].out_of_range == 0.25
    assert found["late"].nulls == 0.75
    assert report.missing == ("gone",)
    assert report.extra == ("extra",)
    assert report.retyped == {"code": "Int64 → String"}
    assert (report.nulls, report.out_of_range, report.unseen) == (0.75, 0.5, 0.5)
    assert msgspec.json.decode(msgspec.json.encode(report), type=QualityReport) == report


def test_the_same_rows_have_nothing_wrong() -> None:
    report = quality(REFERENCE, REFERENCE)
    assert (report.nulls, report.out_of_range, report.unseen) == (0.0, 0.0, 0.0)
    assert (report.missing, report.extra, report.retyped) == ((), (), {})


def test_no_rows_break_nothing() -> None:
    for old, new in [(REFERENCE.head(0), REFERENCE), (REFERENCE, REFERENCE.head(0))]:
        report = quality(old, new)
        assert (report.out_of_range, report.unseen) == (0.0, 0.0)
    assert quality(pl.DataFrame(), pl.DataFrame()).columns == ()
