"""The months of 2013, as numbers, names and moments."""

from datetime import UTC, datetime

YEAR = 2013


def name_of(month: int) -> str:
    """Such as `2013-04`."""
    return f"{YEAR}-{month:02d}"


def end_of(month: int) -> float:
    """Seconds since the epoch of the first moment after a month."""
    return datetime(YEAR + month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()


def month_of(end: float) -> int:
    """The month that ends at a moment."""
    return datetime.fromtimestamp(end - 1, UTC).month
