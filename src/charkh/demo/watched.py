"""The report's sections about serving and watching: what answered, what was tried, expected, tested and told."""

from collections.abc import Sequence
from html import escape

from charkh.demo.page import score_of, table
from charkh.demo.story import CompiledLine, LogLine, MonthLine, Score, Story, TestLine, ToldLine, TrialLine

DAY = 86_400.0
WIDE = 0.2
"""An interval of an AUC that is wider says little."""


def before_and_after(months: Sequence[MonthLine], log: LogLine | None) -> str:
    """What was known at a month's end, and what the truth then showed."""
    rows = [
        (
            month.month,
            f"{month.psi:.2f} ({month.psi_feature})",
            f"{month.drifted} of {month.features}",
            *_expected(month),
            ", ".join(month.alerts) or "none",
        )
        for month in months
    ]
    heads = (
        "month",
        "#drift (PSI)",
        "#features that drifted",
        "#expected AUC [95 %]",
        "#came true",
        "in the interval",
        "alerts at its end",
    )
    return (
        "<h2>What was known before the truth, and what came true</h2><p>The truth about a month comes a month later. "
        "Until then the monitor estimates the AUC of the version that answers from how sure it was, once that is set "
        "right on its held-out month. The estimate knows that the inputs shift; it cannot know that the same weather "
        "now delays otherwise. An alert about the AUC speaks of the month before; PSI is what is left of it beyond "
        f"chance. {_held(months)}</p>"
        f'<div class="wide">{table(heads, rows)}</div>{_lateness(log)}'
    )


def _expected(month: MonthLine) -> tuple[str, str, str]:
    said = month.expected
    if said is None:
        return "not estimated", "", ""
    interval = score_of(Score(auc=said.auc, low=said.low, high=said.high))
    return interval, f"{said.shown:.3f}", "yes" if said.held else "no"


def _held(months: Sequence[MonthLine]) -> str:
    """How often the interval held what came true, and how often it was too wide to say much."""
    said = [month.expected for month in months if month.expected is not None]
    if not said:
        return ""
    wide = sum(each.high - each.low > WIDE for each in said)
    return f"The interval held what came true in {sum(each.held for each in said)} of {len(said)} months" + (
        f", and in {wide} it was wider than {WIDE}, which says little." if wide else "."
    )


def _lateness(log: LogLine | None) -> str:
    if log is None:
        return ""
    days = {name: f"{seconds / DAY:.0f} days" for name, seconds in log.lags.items()}
    masked = ", ".join(f"<code>{escape(name)}</code> ({escape(how)})" for name, how in log.masked.items())
    return (
        f"<p>Every answer is in the prediction log, without {masked or 'a mask'}; {log.shadows:,} of its rows are what "
        f"shadows said, which nobody was answered with. Half of the truth came within {days['p50']} of the departure, "
        f"nine tenths within {days['p90']}; of the days that are settled, {log.complete:.1%} of the answers have "
        "theirs.</p>"
    )


def trials(lines: Sequence[TrialLine], page: str) -> str:
    """What candidates came to on live requests, with the page of the newest promotion."""
    rows = [
        (line.model, line.begun, line.ways, f"{line.champion:,}", f"{line.candidate:,}", line.outcome, line.reason)
        for line in lines
    ]
    heads = ("model", "tried in", "ways", "#requests, champion", "#requests, candidate", "came to", "why")
    return (
        "<h2>Tried on live requests</h2><p>What passed the gate was first asked beside the champion, as a shadow whose "
        "answers nobody got, and then answered every second request. There the truth comes too late to judge by: what "
        "was compared is how long an answer takes, with a test that may be looked at at any moment, and how many "
        "requests fail. The last row is a model with a leak, which a colleague in a hurry let in by hand.</p>"
        f'<div class="wide">{table(heads, rows)}</div>'
        "<details><summary>The newest promotion on one page, as <code>charkh loop page</code> writes it</summary>"
        f"<pre>{escape(page)}</pre></details>"
    )


def certificate(tests: Sequence[TestLine]) -> str:
    """What the champion was tried with before it might answer."""
    if not tests:
        return ""
    rows = [(each.test, each.outcome, each.measure, _number(each.value), _number(each.bound)) for each in tests]
    return (
        "<h2>The champion's certificate</h2><p>The gate asks for it (<code>stability.ok</code>). It was tried on the "
        "month that it had not seen; the certificate expires, and is then asked for again.</p>"
        + table(("test", "came to", "what was measured", "#value", "#at most"), rows)
    )


def endpoint(story: Story) -> str:
    """What answers the requests, and what it says of itself."""
    meters = "\n".join(story.meters)
    return (
        "<h2>What answered</h2><p>The trees of scikit-learn are compiled to ONNX when a version is registered, and the "
        "compiled form answers only where it answered like the original in every row that both were asked.</p>"
        + _compiled(story.compiled)
        + "<p>At the end of the year <code>/metrics</code> of the server said, among much else:</p>"
        + f"<pre>{escape(meters)}</pre>"
        + _conformance(story.conformance)
        + told(story.told)
    )


def _conformance(said: str) -> str:
    if not said:
        return ""
    return (
        "<p>The suite that asks any server whether it keeps to the Open Inference Protocol (<code>charkh "
        f"conformance</code>) says of it: {escape(said)}.</p>"
    )


def told(line: ToldLine | None) -> str:
    """Who was told of alerts."""
    if line is None or not line.alerts:
        return ""
    return (
        f"<p>{line.alerts} alerts were raised, all owned by the {escape(line.owner)}, with "
        f"<code>{escape(line.runbook)}</code> to say what to do. A webhook told the desk: {line.letters} letters came, "
        f"and the signature of {line.signed} was right.</p>"
    )


def _compiled(lines: Sequence[CompiledLine]) -> str:
    rows = [
        (
            line.model,
            f"{line.rows:,}",
            f"{line.worst:.2g}",
            f"{line.speedup:.0f}" if line.speedup else "",
            line.reason or "the compiled form",
        )
        for line in lines
    ]
    return table(("model", "#rows compared", "#greatest difference", "#times as fast, one row", "what is served"), rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
