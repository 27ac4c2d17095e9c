"""How far a cursor came: from where the next query reads, and which rows of the overlap came already."""

from collections import deque
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from blake3 import blake3

from charkh.core.errors import Invalid
from charkh.core.quantities import parse_duration
from charkh.sources.source import MARK, CursorValue, State, cursor_of, rows_seen, with_cursor


class CursorWindow:
    """The rows at the end of what came, through which the next fetch is told what is new.

    A query reads from the last value on, that value included, because another row may have it too; with a lag, from
    so much earlier. Rows that came already are known by their marks: ties and late rows are neither lost nor doubled.

    Args:
        column: name of the cursor column.
        names: of all columns.
        key: columns whose values, with the cursor's, tell a row from the others; all columns when empty.
        lag: how far back rows may still appear, as the settings say it.
        state: where the earlier fetch ended.
    """

    def __init__(self, column: str, names: Sequence[str], key: Sequence[str], lag: str, state: State) -> None:
        missing = [name for name in (column, *key) if name not in names]
        if missing:
            raise Invalid(
                f"the query gives no column {missing[0]!r}",
                code="source.no_column",
                hint=f"It gives: {', '.join(names[:20])}.",
            )
        self._column = column
        self._place = names.index(column)
        self._marked = [names.index(name) for name in dict.fromkeys((*key, column))] if key else list(range(len(names)))
        self._lag = lag
        self._seen = frozenset(rows_seen(state))
        self._before = cursor_of(state)
        self._last = self._before
        self._waiting: deque[Sequence[Any]] = deque()

    def fresh(self, rows: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
        """Those of the rows that did not come before; rows are given in the order of the cursor.

        Raises:
            Invalid: a row has no value in the cursor column.
        """
        new: list[Sequence[Any]] = []
        for row in rows:
            value = row[self._place]
            if value is None:
                raise Invalid(
                    f"a row has no value in the cursor column {self._column!r}, so it would come never or always",
                    code="source.cursor_missing",
                    hint="Leave such rows out in the query, or give them a value: COALESCE(…).",
                )
            if value != self._last:
                self._last = value
                self._drop_before(value)
            self._waiting.append(row)
            if not self._seen or self._mark(row) not in self._seen:
                new.append(row)
        return new

    def state(self, before: State) -> State:
        """The state to go on from after these rows."""
        if not self._waiting:
            return before
        marks = b"".join(sorted({self._mark(row) for row in self._waiting}))
        return with_cursor(before, self._last, marks)

    def _drop_before(self, value: CursorValue) -> None:
        """Forget rows that the next query does not read."""
        if not self._lag:
            self._waiting.clear()
            return
        bound: Any = reduced(value, self._lag, self._column)
        while self._waiting and self._waiting[0][self._place] < bound:
            self._waiting.popleft()

    def _mark(self, row: Sequence[Any]) -> bytes:
        return blake3(repr([_canonical(row[place]) for place in self._marked]).encode()).digest(MARK)


def _canonical(value: Any) -> Any:
    """A value as it is written in a mark: a moment is the same in every zone, and bytes whatever holds them."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat()
    return bytes(value) if isinstance(value, memoryview | bytearray) else value  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def reduced(value: CursorValue, lag: str, column: str) -> CursorValue:
    """A cursor's value, less the lag.

    Raises:
        Invalid: nothing can be taken off such a value.
    """
    if not lag:
        return value
    if isinstance(value, datetime):
        return value - timedelta(seconds=parse_duration(lag))
    if isinstance(value, date):
        return value - timedelta(days=-(-parse_duration(lag) // 86400))
    try:
        if isinstance(value, str):
            # A database without times keeps them as text: what is taken off must be written alike to compare.
            time = datetime.fromisoformat(value) - timedelta(seconds=parse_duration(lag))
            mark = value[10:11]
            exact = "microseconds" if "." in value else "seconds"
            return time.isoformat(sep=mark, timespec=exact) if mark else time.date().isoformat()
        return type(value)(Decimal(str(value)) - Decimal(lag))
    except (ValueError, InvalidOperation) as error:
        raise Invalid(
            f"{lag!r} cannot be taken off {column} = {value!r}",
            code="source.lag",
            hint="Write a duration (1h) for times, a number (1000) for numbers, or leave `lag` out.",
        ) from error
