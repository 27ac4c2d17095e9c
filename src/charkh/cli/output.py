"""What commands print: JSON on request, tables and lines for people, progress on a terminal.

Results go to stdout, everything else to stderr. Colour and progress only on a terminal.
"""

import contextlib
import math
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, cast

import msgspec
import typer

from charkh.cli.exit_codes import BROKEN_PIPE

GAP = 2
"""Characters between two columns of a table."""
LEAST = 10
"""Characters that a column keeps when its cells are broken into lines."""
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]
"""The option that every command which prints has: `json: AsJson = False`."""


def write_json(value: object) -> None:
    """One JSON document on stdout; numbers that JSON cannot say (NaN, infinities) are text."""
    plain = _sayable(msgspec.to_builtins(value, enc_hook=str))
    _write(msgspec.json.format(msgspec.json.encode(plain)).decode())


def write_line(text: str = "") -> None:
    """One line on stdout."""
    _write(text)


def write_note(text: str) -> None:
    """One line on stderr, for the person at the terminal."""
    sys.stderr.write(f"{text}\n")


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "nothing yet") -> None:
    """A table; on a pipe, tab-separated lines with a header.

    Args:
        columns: headings.
        rows: one cell for each column; a column of numbers alone is set to the right.
        empty: what a person reads when there are no rows.
    """
    given = [list(row) for row in rows]
    listed = [[shown(cell) for cell in row] for row in given]
    if not sys.stdout.isatty():
        for row in [list(columns), *listed]:
            _write("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
        return
    if not listed:
        write_note(empty)
        return
    # rich takes 60 ms to import; a command whose output is piped does without it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    headings = _headings(columns, listed)
    widths = _widths(headings, listed, console.width)
    for place, column in enumerate(headings):
        numbers = all(_is_number(row[place]) for row in given)
        side = "right" if numbers else "left"
        table.add_column(column, overflow="fold", justify=side, width=widths[place])
    for row in listed:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _headings(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The headings, in lines of one word each where the cells below are narrower."""
    widest = [max(len(row[place]) for row in rows) for place in range(len(columns))]
    return [
        column.replace(" ", "\n") if len(column) > cells else column
        for column, cells in zip(columns, widest, strict=True)
    ]


def _widths(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Sequence[int | None]:
    """How wide each column is, so that of all that does not fit, sentences are broken into lines first.

    The first column stays in one line where that is possible, then the narrow ones. None: too narrow for any.
    """
    places = range(len(headings))
    whole = [max(map(len, [*headings[place].split("\n"), *(row[place] for row in rows)])) for place in places]
    words = [max(row[place].strip().count(" ") for row in rows) for place in places]
    room = width - GAP * len(headings)
    least = next((each for each in range(LEAST, LEAST // 2, -1) if sum(min(every, each) for every in whole) <= room), 0)
    if not least:
        return [None] * len(headings)
    widths = [min(each, least) for each in whole]
    spare = room - sum(widths)
    order = sorted(places, key=lambda place: (words[place] > 1, place > 0, whole[place]))
    for place in order:
        more = whole[place] - widths[place]
        if more <= spare:
            widths[place] += more
            spare -= more
    for place in reversed(order):
        more = min(whole[place] - widths[place], spare)
        widths[place] += more
        spare -= more
    return widths


def write_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Labelled lines, the labels aligned."""
    listed = [(label, shown(value)) for label, value in pairs]
    width = max((len(label) for label, _ in listed), default=0)
    for label, value in listed:
        first, *rest = value.splitlines() or [""]
        _write(f"{label:<{width}}  {first}")
        for line in rest:
            _write(f"{'':<{width}}  {line}")


def shown(value: object) -> str:
    """A cell as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(shown(item) for item in cast(Iterable[object], value))
    return str(value)


def shown_time(moment: float | None) -> str:
    """Seconds since the epoch as local date and time."""
    return "" if moment is None else datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M:%S")


def shown_count(count: int, what: str) -> str:
    """A number and what is counted: `1 file`, `12,000 rows`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def shown_size(count: float) -> str:
    """Bytes with a unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


@contextlib.contextmanager
def progress(title: str, total: float | None = None, unit: str = "") -> Generator[Callable[[int], None]]:
    """A progress line on a terminal's stderr; the yielded function is called with what went through since.

    Args:
        title: what is under way.
        total: how much there is, or None where that is not known.
        unit: `bytes` shows sizes; anything else shows counts.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda _count: None
        return
    done, last = 0, 0.0

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= 0.1:
            last = now
            amount = shown_size(done) if unit == "bytes" else f"{done} {unit}".rstrip()
            share = f" {min(100, 100 * done / total):.0f}%" if total else ""
            sys.stderr.write(f"\r\x1b[2K{title}: {amount}{share}")
            sys.stderr.flush()

    try:
        yield advance
    finally:
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()


def _is_number(cell: object) -> bool:
    return cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool))


def _write(text: str) -> None:
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone; what Python would flush at exit has nowhere to go either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(BROKEN_PIPE) from None


def _sayable(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _sayable(item) for key, item in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [_sayable(item) for item in cast(Sequence[Any], value)]
    return value
