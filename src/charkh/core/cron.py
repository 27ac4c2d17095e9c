"""Times as crontab(5) writes them: minute, hour, day of month, month, day of week; in UTC. No I/O.

    0 3 * * mon          Mondays at three
    */15 8-18 * * 1-5    every quarter of an hour while people work

As in cron, a day counts when either the day of the month or that of the week fits, where both are restricted.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from charkh.core.errors import Invalid

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART = re.compile(r"(\*|[a-z0-9]+(?:-[a-z0-9]+)?)(?:/([0-9]+))?")
_SEARCHED = 8 * 366
"""Days that are looked through: the 29th of February comes within eight years."""


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    words: Sequence[str] = ()
    first: int = 0


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS, 1),
    _Field("day of week", 0, 7, _DAYS),
)


class Cron(NamedTuple):
    """A parsed time.

    Attributes:
        minutes, hours, days, months, weekdays: that fit; Sunday is 0.
        any_day: the day of the month is not restricted.
        any_weekday: the day of the week is not restricted.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def is_due_on(self, day: datetime) -> bool:
        """Whether any time of this day fits."""
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (by_month and by_week) if self.any_day or self.any_weekday else (by_month or by_week)


def parse_cron(text: str) -> Cron:
    """Parse five fields.

    Raises:
        Invalid: a field is none, or no day ever fits.
    """
    parts = text.lower().split()
    if len(parts) != len(_FIELDS):
        raise _bad(text, f"it has {len(parts)} fields, not five")
    minutes, hours, days, months, weekdays = (
        _values(text, part, field) for part, field in zip(parts, _FIELDS, strict=True)
    )
    found = Cron(
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset(day % 7 for day in weekdays),
        any_day=parts[2] == "*",
        any_weekday=parts[4] == "*",
    )
    if last_before(found, datetime(2032, 1, 1, tzinfo=UTC).timestamp()) is None:
        raise _bad(text, "no day ever fits")
    return found


def last_before(cron: Cron, moment: float) -> float | None:
    """The last time that fits, at `moment` or before it, in seconds since the epoch; None where none ever did."""
    now = datetime.fromtimestamp(moment, UTC)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for back in range(_SEARCHED):
        each = day - timedelta(days=back)
        if not cron.is_due_on(each):
            continue
        for hour in reversed(cron.hours):
            for minute in reversed(cron.minutes):
                at = each + timedelta(hours=hour, minutes=minute)
                if at <= now:
                    return at.timestamp()
    return None


def _values(text: str, part: str, field: _Field) -> set[int]:
    found: set[int] = set()
    for each in part.split(","):
        match = _PART.fullmatch(each)
        if match is None:
            raise _bad(text, f"{each!r} is no {field.name}")
        span, step = match[1], int(match[2] or 1)
        low, _, high = span.partition("-")
        begin = field.low if span == "*" else _number(text, low, field)
        # As in cron, `5/15` goes on to the end of the range.
        end = field.high if span == "*" or (match[2] and not high) else _number(text, high or low, field)
        if span == "*" and field.name == "day of week":
            end = 6
        if begin > end or step < 1:
            raise _bad(text, f"{each!r} is no {field.name}")
        found.update(range(begin, end + 1, step))
    return found


def _number(text: str, word: str, field: _Field) -> int:
    if word in field.words:
        return field.words.index(word) + field.first
    if not word.isdecimal() or not field.low <= int(word) <= field.high:
        raise _bad(text, f"{word!r} is no {field.name}")
    return int(word)


def _bad(text: str, why: str) -> Invalid:
    return Invalid(
        f"{text[:80]!r} is no time: {why}",
        code="config.cron",
        hint="Write minute, hour, day, month, weekday as crontab does: 0 3 * * mon (UTC).",
    )
