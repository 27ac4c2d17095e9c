"""The report of the flights year: one HTML file without scripts, fonts or images from anywhere else."""

from collections.abc import Sequence
from html import escape

from charkh.demo.chart import auc_chart
from charkh.demo.page import STYLE, score_of, size_of, table
from charkh.demo.story import AnswerLine, AskedLine, DecisionLine, MonthLine, Score, Story
from charkh.demo.watched import before_and_after, certificate, endpoint, trials

LEAD = (
    "A model says before departure whether a flight from New York will arrive more than 15 minutes late. It was "
    "trained on the first months of 2013 and then lived through the rest of the year: each month brought new "
    "flights to predict, and the truth about them a month later. A monitor watched, drift and poor scores "
    "triggered retraining, and a gate let a candidate through only where it was better, with 95 % confidence, on "
    "a month that neither model had seen, and where it was stable. Then live requests tried it, before it answered "
    "all of them."
)
LEGEND = (
    "The band is the served model's 95 % interval from a bootstrap over days: flights of one day share the "
    "weather. A triangle marks a month at whose end a candidate was made that was promoted, once requests of the next "
    "month had tried it; a cross one that was refused. Where two versions are named, the second answered when it was "
    "promoted, or as a canary."
)
VERSIONS = "Each month was appended as a new version. A version is whole, and the store took only what was new in it."
READING = (
    "AUC is the chance that a late flight was given a higher risk than a punctual one; 0.5 is a coin, 1 is certainty.",
    "The model sees only what is known before departure: the schedule, the aircraft, and the weather at the "
    "airport three hours earlier. Departure delay, departure and arrival times and air time are dropped.",
    "Splits are by time; a candidate is judged on the newest month whose truth is known, which neither it nor the"
    " champion was trained on, by a paired bootstrap over days.",
    "\u201cUnguarded\u201d is what the newest candidate would have scored from the month after it was made, had "
    "it been promoted without a gate. It was computed afterwards and decided nothing.",
    "Nothing was tuned for the story; a refused candidate may have been the better one, and the table shows it "
    "where so.",
)


def report(story: Story) -> str:
    """The whole page."""
    parts = [
        _opening(story),
        _months(story.months, story.decisions),
        before_and_after(story.months, story.log),
        _answers(story.answers),
        _decisions(story.decisions),
        certificate(story.certificate),
        trials(story.trials, story.page),
        endpoint(story),
        _seeds(story),
        _data(story),
        _first(story),
        _batches(story),
        _trace(story),
        _colleague(story),
        _asked(story.asked),
        _reading(story),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>The flights year</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _opening(story: Story) -> str:
    served, frozen, unguarded = (
        sum(pick(month).auc * month.scored for month in story.months) / sum(month.scored for month in story.months)
        for pick in (_served, _frozen, _unguarded)
    )
    promoted = sum(decision.outcome == "promoted" for decision in story.decisions)
    refused = sum(decision.outcome == "refused" for decision in story.decisions)
    size, stored = sum(line.size for line in story.versions), sum(line.stored for line in story.versions)
    predicted = sum(month.predicted for month in story.months)
    tiles = [
        (f"{predicted:,}", "flights predicted over HTTP, April to December"),
        (f"{served:.3f}", "mean AUC of what was served, behind the gate"),
        (f"{unguarded:.3f}", "had every candidate been promoted"),
        (f"{frozen:.3f}", "had the first model stayed for ever"),
        (f"{promoted} / {refused}", "candidates promoted / refused"),
        (f"{size / max(1, stored):.0f} times", "versions' bytes over what the store took for them"),
    ]
    boxes = "".join(f'<div class="tile"><b>{value}</b>{escape(what)}</div>' for value, what in tiles)
    return (
        "<h1>The flights year: will it arrive late?</h1>"
        f'<p class="lead">{LEAD}</p>'
        f'<div class="tiles">{boxes}</div>'
        f"<p>{escape(_verdict(served, unguarded, frozen))}</p>"
    )


def _verdict(served: float, unguarded: float, frozen: float) -> str:
    """What the three means say, whichever way they fell."""

    def beside(other: float) -> str:
        difference = served - other
        if abs(difference) < 0.0005:
            return "neither gained nor lost"
        return f"{'gained' if difference > 0 else 'lost'} {abs(difference):.3f} of AUC"

    return (
        f"Over the year the guarded loop {beside(frozen)} against leaving the first model in place, "
        f"and {beside(unguarded)} against promoting every candidate unseen."
    )


def _months(months: Sequence[MonthLine], decisions: Sequence[DecisionLine]) -> str:
    at_end = {decision.month: decision for decision in decisions}
    rows = [
        (
            month.month,
            f"{month.predicted:,}",
            ", ".join(month.models),
            score_of(month.served),
            score_of(month.frozen),
            f"{score_of(month.unguarded)} ({month.unguarded_model})",
            at_end[month.month].outcome if month.month in at_end else "nothing new",
        )
        for month in months
    ]
    heads = (
        "month",
        "#flights",
        "served by",
        "#its AUC [95 %]",
        "#first model",
        "#unguarded",
        "decided at its end",
    )
    return (
        "<h2>Month by month</h2>"
        + auc_chart(months, decisions)
        + f'<p class="soft">{LEGEND}</p><div class="wide">{table(heads, rows)}</div>'
    )


def _answers(answers: Sequence[AnswerLine]) -> str:
    rows = [
        (
            line.model,
            ", ".join(f"{name} {value}" for name, value in line.params),
            f"{line.searched:.3f}",
            score_of(line.held_out),
            line.outcome,
            line.served or "never",
            line.run[:16],
        )
        for line in answers
    ]
    heads = ("model", "params", "#AUC in the search", "#held-out AUC [95 %]", "decision", "served", "run")
    return (
        "<h2>Which params gave which score, of which model, and when that served</h2><p>Nobody wrote any of this down. "
        "Every training was a run, every version names its run, and every decision is kept.</p>"
        f'<div class="wide">{table(heads, rows)}</div>'
    )


def _seeds(story: Story) -> str:
    if not story.seeds:
        return ""
    rows = [
        (line.of, str(line.runs), f"{line.mean:.4f} \u00b1 {line.deviation:.4f}", f"[{line.low:.4f}, {line.high:.4f}]")
        for line in story.seeds
    ]
    return (
        "<h2>Better params, or a better seed?</h2><p>The champion's params and the first guess, each trained with "
        "several seeds on a sample of the newest months, in the project <code>flights/seeds</code>.</p>"
        + table(("params of the", "#runs", "#AUC, mean \u00b1 sd", "#95 % interval of the mean"), rows)
        + f"<p>{escape(story.seeds_verdict)}</p>"
    )


def _asked(asked: Sequence[AskedLine]) -> str:
    blocks = "".join(
        f"<details><summary>{escape(line.why)}{'' if line.answered else ' (could not be answered here)'}</summary>"
        f"<p><code>{escape(line.command)}</code></p><pre>{escape(line.said)}</pre></details>"
        for line in asked
    )
    return f"<h2>What can be asked, and taken away</h2>{blocks}" if blocks else ""


def _decisions(decisions: Sequence[DecisionLine]) -> str:
    blocks: list[str] = []
    for decision in decisions:
        kind = {"promoted": "good", "refused": "bad"}.get(decision.outcome, "soft")
        lines = "".join(
            f"<li>{'met' if verdict.met else 'not met'}: <code>{escape(verdict.condition)}</code>; "
            f"{escape(verdict.reason)}</li>"
            for verdict in decision.verdicts
        )
        who = f"{decision.candidate} against {decision.champion or 'nobody'}: " if decision.candidate else ""
        looks = f" Looks at this truth so far: {decision.looks}." if decision.looks else ""
        blocks.append(
            f"<details><summary>End of {escape(decision.month)}: {escape(who)}"
            f'<b class="{kind}">{escape(decision.outcome)}</b>'
            f"</summary><p>{escape(decision.reason)}.{looks}<br><span class=soft>Triggered by "
            f"{escape(decision.trigger)}</span></p><ul>{lines}</ul></details>"
        )
    return "<h2>Every decision, with its reason</h2>" + "".join(blocks)


def _data(story: Story) -> str:
    versions = [(line.ref, f"{line.rows:,}", size_of(line.size), size_of(line.stored)) for line in story.versions]
    reasons = [(line.reason, f"{line.rows:,}") for line in story.quarantine]
    return (
        f"<h2>The data</h2><p>{VERSIONS}</p>"
        + table(("version", "#rows", "#its size", "#the store took"), versions)
        + f"<p>Of {story.quarantined_of:,} flights in the newest cleaning, these were set aside, as a dataset "
        "version of their own that can be read and argued with:</p>" + table(("reason", "#rows"), reasons)
    )


def _first(story: Story) -> str:
    rows = [(name, f"{count:,}", score_of(score)) for name, count, score in story.slices]
    return f"<h2>The first champion, on held-out March</h2><p>AUC {score_of(story.first)}. By slice:</p>" + table(
        ("slice", "#flights", "#AUC [95 %]"), rows
    )


def _batches(story: Story) -> str:
    rows = [
        (line.batch, line.column, line.what, line.before, line.after, f"{line.effect:.2f}") for line in story.batches
    ]
    return (
        "<h2>Which month changed what</h2><p>Each month of recorded flights against all months before it; the greatest "
        "effects first (means in standard deviations, distributions as PSI, shares as Cohen's h). "
        "<code>charkh check batches flights</code> tells all of them.</p>"
        + table(("version that brought it", "column", "what", "#before", "#after", "#effect"), rows)
    )


def _colleague(story: Story) -> str:
    line = story.colleague
    same = "reads the same there" if line.same_trace else "reads otherwise there"
    return (
        "<h2>The same on a colleague's machine</h2><p>Everything went through a shared folder "
        f"(<code>charkh sync</code>): {line.facts:,} facts and {size_of(line.size)} were taken, a second sync moved "
        f"{line.again or 'nothing'}, and the prediction's trace {same}.</p>"
    )


def _trace(story: Story) -> str:
    return (
        "<h2>One prediction, walked back</h2>"
        f"<p><code>charkh trace {escape(story.traced)}</code></p><pre>{escape(story.trace)}</pre>"
        f"<details><summary>The champion's card</summary><pre>{escape(story.card)}</pre></details>"
    )


def _reading(story: Story) -> str:
    rows = [(name, f"{seconds:.1f} s") for name, seconds in story.seconds.items()]
    return (
        "<h2>How to read this</h2><ul>"
        + "".join(f"<li>{line}</li>" for line in READING)
        + "</ul><details><summary>Where the time went</summary>"
        + table(("part", "#time"), rows)
        + "</details>"
    )


def _served(month: MonthLine) -> Score:
    return month.served


def _frozen(month: MonthLine) -> Score:
    return month.frozen


def _unguarded(month: MonthLine) -> Score:
    return month.unguarded
