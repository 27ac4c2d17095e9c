"""What a certificate says in words: its lines, and what a result came to. Pure."""

from datetime import UTC, datetime

from charkh.evaluations.stability.certificate import Certified, Result

SEEN = ", which it was trained on"


def portrait_lines(made: Certified) -> tuple[tuple[str, str], ...]:
    """The certificate as lines of name and text; the tests under their own names."""
    asked = [each for each in made.results if each.outcome != "skipped"]
    skipped = [each for each in made.results if each.outcome == "skipped"]
    lines = [
        ("verdict", "passed" if made.ok else "failed"),
        ("tests", summary(made)),
        ("issued", day(made.issued)),
        ("counts until", day(made.expires)),
        ("rows", f"{made.rows}{SEEN}" if made.seen else str(made.rows)),
        *((f"test {each.test}", told(each)) for each in asked),
    ]
    if skipped:
        lines.append(("skipped", "; ".join(f"{each.test} ({each.note})" for each in skipped)))
    return tuple(lines)


def summary(made: Certified) -> str:
    """How many tests came to what."""
    counts = [(made.count(outcome), outcome) for outcome in ("passed", "failed", "broken", "skipped")]
    return ", ".join(f"{count} {outcome}" for count, outcome in counts if count)


def told(result: Result) -> str:
    """What a test came to, such as `passed: 0.012 (0.01 to 0.015), at most 0.1: rows whose label changes`."""
    if result.value is None or result.bound is None:
        return f"{result.outcome}: {result.note}" if result.note else result.outcome
    interval = "" if result.low is None or result.high is None else f" ({result.low:.3g} to {result.high:.3g})"
    return f"{result.outcome}: {result.value:.4g}{interval}, at most {result.bound:.4g}: {result.measure}"


def day(moment: float) -> str:
    """Such as `2026-03-01 12:00 UTC`."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
