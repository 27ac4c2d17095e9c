"""Markdown tables of a card. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from charkh.cards.known import SliceFacts
from charkh.core.events import Fact
from charkh.lineage.render import shown_fact

MAX_CELL = 300
_SUFFIXES = (".low", ".high", ".win_probability")


def listed(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a heading for each column."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(cell(text) for text in row)} |" for row in rows]
    return "\n".join(lines)


def pairs_table(pairs: Iterable[tuple[str, str]]) -> str:
    """Labels and values."""
    return listed(("field", "value"), pairs)


def score_table(facts: Mapping[str, Fact]) -> str:
    """Metrics with their intervals, and how surely each beats the champion where that is known."""
    names = [name for name in facts if not name.endswith(_SUFFIXES)]
    compared = any(name.endswith(".win_probability") for name in facts)
    rows = [
        [
            name,
            shown_fact(facts[name]),
            _interval(facts, name),
            *([_shown(facts.get(f"{name}.win_probability"))] if compared else []),
        ]
        for name in names
    ]
    return listed(("metric", "value", "interval", *(("better than the champion, p",) if compared else ())), rows)


def slice_table(slices: Sequence[SliceFacts]) -> str:
    """Every published slice; the lower end of an interval stands behind its metric."""
    metrics = list(dict.fromkeys(name for part in slices for name in part.facts if not name.endswith(_SUFFIXES)))
    metrics = [name for name in metrics if name != "rows"]
    rows = [
        [part.column, part.value, _shown(part.facts.get("rows")), *(_with_low(part.facts, name) for name in metrics)]
        for part in slices
    ]
    return listed(("column", "value", "rows", *(f"{name} (from)" for name in metrics)), rows)


def cell(text: str) -> str:
    """Text as it may stand in a cell: one line, and nothing that ends the cell or begins an element."""
    line = " ".join(text.split())
    if len(line) > MAX_CELL:
        line = f"{line[: MAX_CELL - 1]}…"
    return line.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _interval(facts: Mapping[str, Fact], name: str) -> str:
    low, high = facts.get(f"{name}.low"), facts.get(f"{name}.high")
    return "" if low is None or high is None else f"{shown_fact(low)} to {shown_fact(high)}"


def _with_low(facts: Mapping[str, Fact], name: str) -> str:
    low = facts.get(f"{name}.low")
    return _shown(facts.get(name)) + ("" if low is None else f" ({shown_fact(low)})")


def _shown(value: Fact | None) -> str:
    return "" if value is None else shown_fact(value)
