"""The generated parts of a model's card: training, compute, stability, registry, monitoring. Markdown, pure."""

from collections.abc import Iterable, Sequence

from charkh.cards.card import NO_CERTIFICATE, NO_CHECK, NO_DATASET, NO_EVALUATION, NO_RUN
from charkh.cards.executed import Execution
from charkh.cards.known import Known
from charkh.cards.tables import cell, listed, pairs_table, score_table, slice_table
from charkh.cards.wording import Wording
from charkh.lineage.render import render_trace, shown_fact
from charkh.lineage.trace import Node

SECONDS = ((86_400, "d"), (3_600, "h"), (60, "min"))
MEASURES = frozenset({"auc", "log_loss", "brier", "accuracy", "f1", "rmse", "mae", "r2", "psi", "drifted", "coverage"})
"""What is told of what a monitor collected; the rest stands in the collection."""


def stops(known: Known, title: str, nouns: Sequence[str], nothing: str) -> str:
    """Every stop of these nouns, with its description."""
    nodes = [node for noun in nouns for node in known.trace.of(noun)]
    return "\n\n".join([f"## {title}", *([_described(node) for node in nodes] or [nothing])])


def training_data(known: Known) -> str:
    """The dataset versions behind it, with the license and the card that each has."""
    parts = ["## Training data"]
    for node in known.trace.of("dataset"):
        sheet = known.datasheets.get(node.subject)
        said = [("license", (sheet.license if sheet is not None else "") or "not stated"), ("datasheet", "none")]
        if sheet is not None:
            said[1] = ("datasheet", f"{sheet.card}, {'complete' if sheet.complete else 'incomplete'}")
        parts.append(_described(node, said))
    return "\n\n".join(parts if len(parts) > 1 else [*parts, NO_DATASET])


def training(known: Known) -> str:
    """The runs: what was chosen and what came out, and how that varies with the seed; then the searches."""
    parts = ["## Training"]
    described = {each.subject: each for each in known.executions}
    for node in known.trace.of("run"):
        run = described.get(node.subject)
        if run is None:
            parts.append(_described(node))
            continue
        parts += [f"### {cell(run.title)}", pairs_table([("id", run.subject), ("relation", run.relation), *run.lines])]
        if run.params:
            parts.append(listed(("param", "value"), run.params))
        if run.metrics:
            heads = ("metric", "last", "best (goal)", "least", "greatest", "points")
            rows = [(each.name, each.last, each.best, each.low, each.high, str(each.points)) for each in run.metrics]
            parts.append(listed(heads, rows))
        if run.seeds:
            heads = ("metric over the seeds", "runs", "mean", "sd", "95 % interval of the mean")
            rows = [(each.metric, str(each.runs), each.mean, each.deviation, each.interval) for each in run.seeds]
            parts.append(listed(heads, rows))
    parts += [_described(node) for node in known.trace.of("study")]
    return "\n\n".join(parts if len(parts) > 1 else [*parts, NO_RUN])


def compute(known: Known) -> str:
    """Of which code, with which software, on what, for how long, and what it emitted."""
    parts = ["## Code, compute and environment"]
    for run in known.executions:
        lines = [*run.code, *run.software, *run.hardware]
        if run.seconds is not None:
            lines.append(("duration", shown_duration(run.seconds)))
        if run.code or run.software or run.hardware or not run.lines:
            emitted = f"{run.emissions:g} g CO2 equivalent" if run.emissions is not None else "not measured"
            parts += [f"### Of {cell(run.title)}", pairs_table([*lines, ("emissions", emitted)])]
    return "\n\n".join(parts if len(parts) > 1 else [*parts, "No run says what it was made of."])


def registry(known: Known, wording: Wording) -> str:
    """Who decided what about the version, what else is stated of it, and what serves it."""
    found = known.outcomes
    parts = ["## Registry"]
    if wording.history:
        parts.append(listed(("when", "what", "by", "why"), wording.history))
    if wording.guards:
        parts.append(listed(("when", "signed, trusted, approved", "by", "why"), wording.guards))
    scored = {name for scores in known.scores for name in scores.facts}
    facts = [(fact.name, shown_fact(fact.value), fact.subject) for fact in found.facts if fact.name not in scored]
    if facts:
        parts.append(listed(("stated", "value", "by"), facts))
    parts += [_described(node) for node in found.decisions]
    if found.compared:
        lines = [(node.title, node.subject, _line(node, "outcome")) for node in found.compared if node.noun == "loop"]
        if lines:
            parts.append(listed(("later decision against it", "id", "outcome"), lines))
    parts += [_described(node) for node in found.deployments]
    return "\n\n".join(parts if len(parts) > 1 else [*parts, "Nothing was decided about it yet."])


def stability(known: Known) -> str:
    """How it answered when it was tried: every certificate, until when it counts, and what each test came to."""
    found = known.outcomes.certificates
    return "\n\n".join(["## Stability", *([_described(node) for node in found] or [NO_CERTIFICATE])])


def monitoring(known: Known) -> str:
    """What was measured of it in use, and what was raised."""
    found = known.outcomes
    parts = ["## Monitoring"]
    if found.watched:
        rows: list[tuple[str, ...]] = []
        for node in found.watched:
            values = {label: value for label, value in node.lines if label in MEASURES or label == "rows"}
            measured = ", ".join(f"{label} {_ranged(node, label, value)}" for label, value in values.items())
            rows.append((node.subject, measured))
        parts.append(listed(("collected", "measured"), rows))
    if found.alerts:
        rows = [(each.subject, _line(each, "condition"), _line(each, "reason")) for each in found.alerts]
        parts.append(listed(("alert", "condition", "reason"), rows))
    return "\n\n".join(parts if len(parts) > 1 else [*parts, "Nothing watched it yet."])


def checks(known: Known) -> str:
    """What rows were checked for."""
    if not known.checks:
        return f"## Checks\n\n{NO_CHECK}"
    rows = [(title, fact.name, shown_fact(fact.value)) for title, fact in known.checks]
    return f"## Checks\n\n{listed(('about', 'fact', 'value'), rows)}"


def evaluation(known: Known) -> str:
    """Every evaluation: metrics with intervals, what to know about them, and slices."""
    parts = ["## Evaluation"]
    for scores in known.scores:
        on = scores.on.title if scores.on is not None else "an unnamed dataset"
        said = [(label, value) for label, value in scores.stated_by.lines if label not in scores.facts]
        parts.append(f"### On {cell(on)}")
        parts.append(score_table(scores.facts))
        if said:
            parts.append("\n".join(f"- {cell(label)}: {cell(value)}" for label, value in said))
        if scores.slices:
            parts.append(slice_table(scores.slices))
    return "\n\n".join(parts if known.scores else [*parts, NO_EVALUATION])


def provenance(known: Known) -> str:
    """The whole trace."""
    tree = "\n".join(line.replace("```", "'''") for line in render_trace(known.trace))
    return f"## Provenance\n\n```text\n{tree}\n```"


def shown_duration(seconds: float) -> str:
    """Such as `2 h 5 min`, `3.2 s`."""
    if seconds < SECONDS[-1][0]:
        return f"{seconds:.3g} s"
    parts: list[str] = []
    rest = round(seconds)
    for size, unit in SECONDS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def total_seconds(executions: Iterable[Execution]) -> float:
    """The longest of them: the runs of one training lie inside of one another."""
    return max((each.seconds for each in executions if each.seconds is not None), default=0.0)


def _described(node: Node, more: Sequence[tuple[str, str]] = ()) -> str:
    lines = [("id", node.subject), *((("relation", node.relation),) if node.relation else ()), *node.lines, *more]
    return f"### {cell(node.title)}\n\n{pairs_table(lines)}"


def _line(node: Node, label: str) -> str:
    return next((value for name, value in node.lines if name == label), "")


def _ranged(node: Node, label: str, value: str) -> str:
    low, high = _line(node, f"{label}.low"), _line(node, f"{label}.high")
    return f"{value} ({low} to {high})" if low and high else value
