"""What is told of each point of Annex IV from the record: facts, lineage, the model's card and its registry. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from charkh.cards.annex import OVERVIEW, covered, outline, overview
from charkh.cards.card import SECTIONS
from charkh.cards.known import Known, Scores
from charkh.cards.lint import is_placeholder, text_of
from charkh.cards.parts import checks, monitoring, shown_duration, total_seconds
from charkh.cards.regions import merge, parse_document
from charkh.cards.tables import cell, listed, pairs_table, score_table, slice_table
from charkh.cards.wording import Wording
from charkh.core.ids import created_at
from charkh.core.refs import parse_subject
from charkh.lineage.render import render_trace, shown_fact
from charkh.lineage.trace import Node

GUARDING = ("signed", "signature", "trust", "safety", "sbom", "verified", "approv")
"""Beginnings of the names of facts that say how a version is guarded."""


class Dossier(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the document is filled from.

    Attributes:
        known: as for the card.
        wording: library, signature, and the history of the version.
        texts: the card's texts, by heading in lower case; empty without a card.
        versions: (reference, when it was made, its aliases) of every version, newest first.
        changes: lines (when, what, by, why) about the whole model, newest first.
    """

    known: Known
    wording: Wording
    texts: Mapping[str, str] = {}
    versions: tuple[tuple[str, str, str], ...] = ()
    changes: tuple[tuple[str, str, str, str], ...] = ()


def annex_document(dossier: Dossier, previous: str = "") -> str:
    """The whole document; what people wrote in `previous` is kept, and the overview counts it."""
    known = dossier.known
    told = {key: "\n\n".join(part for part in tell(dossier) if part) for key, tell in _TOLD.items()}
    text = merge(previous, outline(told))
    counted = overview(cell(known.title), known.subject, covered(text))
    return "".join(part.text if part.name != OVERVIEW else counted for part in parse_document(text).body)


def _purpose(dossier: Dossier) -> Iterable[str]:
    known = dossier.known
    yield pairs_table([("version", known.title), ("id", known.subject), *known.lines])
    if dossier.versions:
        yield listed(("version", "made", "aliases"), dossier.versions)
    yield _from_card(dossier, "intended-use")


def _interaction(dossier: Dossier) -> Iterable[str]:
    yield _nodes(dossier.known.outcomes.deployments)
    sources = dossier.known.trace.of("source")
    if sources:
        yield "Data is collected from: " + ", ".join(f"`{node.title}`" for node in sources) + "."


def _software(dossier: Dossier) -> Iterable[str]:
    for run in dossier.known.executions:
        if run.software:
            yield f"Trained by {cell(run.title)} with:"
            yield pairs_table(run.software)


def _forms(dossier: Dossier) -> Iterable[str]:
    lines = [(label, value) for label, value in dossier.known.lines if label in {"runtime", "safety", "files"}]
    if lines:
        yield pairs_table(lines)
    if dossier.known.outcomes.deployments:
        yield "It was served over HTTP by the Open Inference Protocol; the deployments stand under 1(b)."


def _instructions(dossier: Dossier) -> Iterable[str]:
    for key in ("intended-use", "out-of-scope", "recommendations"):
        yield _from_card(dossier, key)
    if dossier.wording.signature:
        yield listed(("direction", "name", "type"), dossier.wording.signature)


def _methods(dossier: Dossier) -> Iterable[str]:
    trace = dossier.known.trace
    yield _nodes(trace.of("recipe"))
    bases = trace.of("model")[1:]
    if bases:
        yield "It builds on: " + ", ".join(f"{cell(node.title)} ({node.subject})" for node in bases) + "."
    for run in dossier.known.executions:
        if run.code:
            yield f"Code of {cell(run.title)}:"
            yield pairs_table(run.code)
    yield _nodes(trace.of("study"))


def _design(dossier: Dossier) -> Iterable[str]:
    yield _from_card(dossier, "description")
    for run in dossier.known.executions:
        if run.params:
            yield f"Params of {cell(run.title)} ({run.subject}):"
            yield listed(("param", "value"), run.params)
        goals = [(each.name, each.best) for each in run.metrics if each.best]
        if goals:
            yield listed(("optimised for", "best (goal)"), goals)


def _architecture(dossier: Dossier) -> Iterable[str]:
    known = dossier.known
    tree = "\n".join(line.replace("```", "'''") for line in render_trace(known.trace))
    yield f"```text\n{tree}\n```"
    used = [*dict.fromkeys(line for run in known.executions for line in run.hardware)]
    seconds = total_seconds(known.executions)
    if used:
        yield pairs_table([*used, *((("training took", shown_duration(seconds)),) if seconds else ())])


def _data(dossier: Dossier) -> Iterable[str]:
    for node in dossier.known.trace.of("dataset"):
        yield f"#### {cell(node.title)}"
        yield pairs_table([("id", node.subject), *node.lines])
        sheet = dossier.known.datasheets.get(node.subject)
        if sheet is None:
            yield f"It has no datasheet: `charkh card make {node.title}` begins one."
            continue
        license_name = sheet.license or "not stated"
        yield f"Datasheet {sheet.card}, {'complete' if sheet.complete else 'incomplete'}; license: {license_name}."
        for section in SECTIONS["dataset"]:
            yield _quoted(section.title, text_of(sheet.texts, section) or "")
    if dossier.known.checks:
        yield checks(dossier.known).replace("## Checks", "#### Checks")


def _foreseen(dossier: Dossier) -> Iterable[str]:
    decided = dossier.known.outcomes.decisions
    if decided:
        yield "It was retrained and judged by a loop, whose gate is:"
        yield _nodes(decided)


def _tests(dossier: Dossier) -> Iterable[str]:
    for scores in dossier.known.scores:
        on = scores.on.title if scores.on is not None else "an unnamed dataset"
        yield f"#### On {cell(on)}, {_day(scores)}"
        yield f"Recorded as {scores.stated_by.subject}."
        yield score_table(scores.facts)
        said = [(label, value) for label, value in scores.stated_by.lines if label not in scores.facts]
        if said:
            yield pairs_table(said)
        if scores.slices:
            yield slice_table(scores.slices)
    if dossier.known.outcomes.certificates:
        yield "It was tried for stability: asked again, otherwise, and with inputs that are a little off."
        yield _nodes(dossier.known.outcomes.certificates)


def _security(dossier: Dossier) -> Iterable[str]:
    facts = [
        (fact.name, shown_fact(fact.value), fact.subject)
        for fact in dossier.known.outcomes.facts
        if fact.name.startswith(GUARDING)
    ]
    safety = [(label, value, dossier.known.subject) for label, value in dossier.known.lines if label in {"safety"}]
    if facts or safety:
        yield listed(("stated", "value", "by"), [*safety, *facts])
    if dossier.wording.guards:
        yield listed(("when", "signed, trusted, approved", "by", "why"), dossier.wording.guards)
    if dossier.known.executions:
        yield "Files are named by their BLAKE3 digest (`charkh fsck`), facts are only added (`charkh audit verify`)."


def _functioning(dossier: Dossier) -> Iterable[str]:
    yield _from_card(dossier, "limits")
    yield _from_card(dossier, "out-of-scope")
    for scores in dossier.known.scores[:1]:
        yield score_table(scores.facts)
        if scores.slices:
            yield "By group of rows:"
            yield slice_table(scores.slices)
    inputs = [line for line in dossier.wording.signature if line[0] == "input"]
    if inputs:
        yield listed(("direction", "input", "type"), inputs)


def _metrics(dossier: Dossier) -> Iterable[str]:
    names = dict.fromkeys(name for scores in dossier.known.scores for name in scores.facts if "." not in name)
    if names:
        yield "It was measured by: " + ", ".join(f"`{name}`" for name in names if name != "rows") + "."
    compared = any(name.endswith(".win_probability") for scores in dossier.known.scores for name in scores.facts)
    if compared:
        yield "The candidate was compared with the champion by resampling, as the table under 2(g) shows."


def _changes(dossier: Dossier) -> Iterable[str]:
    if dossier.changes:
        yield listed(("when", "what", "by", "why"), dossier.changes)


def _in_use(dossier: Dossier) -> Iterable[str]:
    found = dossier.known.outcomes
    if found.watched or found.alerts:
        yield monitoring(dossier.known).replace("## Monitoring", "#### What was measured in use")


def _nothing(_dossier: Dossier) -> Iterable[str]:
    return ()


_TOLD: Mapping[str, Callable[[Dossier], Iterable[str]]] = {
    "1a": _purpose,
    "1b": _interaction,
    "1c": _software,
    "1d": _forms,
    "1e": _nothing,
    "1f": _nothing,
    "1g": _nothing,
    "1h": _instructions,
    "2a": _methods,
    "2b": _design,
    "2c": _architecture,
    "2d": _data,
    "2e": _nothing,
    "2f": _foreseen,
    "2g": _tests,
    "2h": _security,
    "3": _functioning,
    "4": _metrics,
    "5": _nothing,
    "6": _changes,
    "7": _nothing,
    "8": _nothing,
    "9": _in_use,
}


def _day(scores: Scores) -> str:
    moment = created_at(parse_subject(scores.stated_by.subject).id)
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"


def _from_card(dossier: Dossier, key: str) -> str:
    section = next(each for each in SECTIONS["model"] if each.key == key)
    return _quoted(f"{section.title}, from the card", text_of(dossier.texts, section) or "")


def _quoted(title: str, text: str) -> str:
    if not text.strip() or is_placeholder(text):
        return ""
    # A heading of the quoted text would end the point in which it stands.
    lines = [line.lstrip("#").strip() if line.startswith("#") else line for line in text.splitlines()]
    return f"{title}:\n\n" + "\n".join(f"> {line}".rstrip() for line in lines)


def _nodes(nodes: Sequence[Node]) -> str:
    parts = [f"{cell(node.title)}:\n\n{pairs_table([('id', node.subject), *node.lines])}" for node in nodes]
    return "\n\n".join(parts)
