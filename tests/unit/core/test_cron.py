"""Times as crontab writes them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.cron import last_before, parse_cron
from charkh.core.errors import Invalid


def before(text: str, at: str) -> str:
    found = last_before(parse_cron(text), datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp())
    assert found is not None
    return datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("0 3 * * *", "2026-11-26T02:59:59", "2026-11-25T03:00"),
        ("0 3 * * *", "2026-11-26T03:00:00", "2026-11-26T03:00"),
        ("0 3 * * mon", "2026-11-26T00:00", "2026-11-23T03:00"),
        ("0 3 * * 1", "2026-11-26T00:00", "2026-11-23T03:00"),
        ("0 0 * * 7", "2026-11-26T00:00", "2026-11-22T00:00"),
        ("*/15 8-18 * * 1-5", "2026-11-28T12:00", "2026-11-27T18:45"),
        ("5/20 * * * *", "2026-11-26T10:44", "2026-11-26T10:25"),
        ("0 0 29 2 *", "2026-11-26T00:00", "2024-02-29T00:00"),
        ("0 0 1 jan,jul *", "2026-11-26T00:00", "2026-07-01T00:00"),
        ("0 0 13 * fri", "2026-11-26T00:00", "2026-11-20T00:00"),
        ("0 0 13 * fri", "2026-11-14T00:00", "2026-11-13T00:00"),
        ("30 6 31 * *", "2026-12-01T00:00", "2026-10-31T06:30"),
    ],
)
def test_the_last_time_that_fits(text: str, at: str, expected: str) -> None:
    assert before(text, at) == expected


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
            "a * * * *",
        ],
        *["*/0 * * * *", "1,,2 * * * *", "0 0 31 2 *", "* * * * mond", "-1 * * * *", "0 0 30 feb *"],
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_cron(text)
    assert refused.value.code == "config.cron"


@given(
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
    weekday=st.integers(0, 6),
    moment=st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1)),
)
def test_it_is_the_nearest_before(minute: int, hour: int, weekday: int, moment: datetime) -> None:
    at = moment.replace(tzinfo=UTC)
    found = last_before(parse_cron(f"{minute} {hour} * * {weekday}"), at.timestamp())
    assert found is not None
    then = datetime.fromtimestamp(found, UTC)
    assert (then.minute, then.hour, then.isoweekday() % 7) == (minute, hour, weekday)
    assert timedelta(0) <= at - then < timedelta(days=7, seconds=1)
