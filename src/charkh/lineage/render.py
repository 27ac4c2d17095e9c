"""Traces and reasons as plain lines of text: a tree without colour, for terminals, logs and cards. Pure."""

from collections.abc import Sequence

from charkh.core.events import Fact
from charkh.lineage.index import KnownFact
from charkh.lineage.trace import Node, Trace
from charkh.lineage.why import Why

MAX_LINE = 200
MAX_FACTS = 12
"""Facts of one stop that are written out; of the rest, how many there are."""


def render_trace(trace: Trace, *, details: bool = False) -> list[str]:
    """The trace as a tree, one line a stop.

    Args:
        trace: what to write.
        details: each stop's description and facts too, and the further ways that lead from it.
    """
    lines: list[str] = []
    titles = {node.subject: node.title for node in trace.nodes}
    rails: list[bool] = []
    for place, node in enumerate(trace.nodes):
        last = _is_last_child(trace.nodes, place)
        del rails[max(0, node.depth - 1) :]
        stem = "".join("│  " if more else "   " for more in rails)
        if node.depth == 0:
            lines.append(_clipped(_name(node)))
        else:
            lines.append(_clipped(f"{stem}{'└─ ' if last else '├─ '}{node.relation} {_name(node)}"))
            rails.append(not last)
        if details:
            below = place + 1 < len(trace.nodes) and trace.nodes[place + 1].depth > node.depth
            inner = "".join("│  " if more else "   " for more in rails) + ("│    " if below else "     ")
            lines += [_clipped(inner + text) for text in _details(node, titles)]
    if trace.cut:
        lines.append(f"… cut after {len(trace.nodes)} stops")
    return lines


def render_why(reasons: Why) -> list[str]:
    """The facts behind a subject, with who stated each, and what the witnesses say."""
    lines = [_clipped(_name(reasons.subject))]
    titles = {node.subject: node.title for node in (reasons.subject, *reasons.witnesses)}
    if reasons.facts:
        lines.append("facts")
        lines += [_clipped(f"  {_fact_line(fact, reasons, titles)}") for fact in reasons.facts]
    if reasons.witnesses:
        lines.append("stated and decided by")
    for witness in reasons.witnesses:
        lines.append(_clipped(f"  {_name(witness)} ({witness.relation})"))
        lines += [_clipped(f"    {label}: {value}") for label, value in witness.lines]
    if reasons.cut:
        lines.append(f"… cut after {len(reasons.witnesses)}")
    return lines


def shown_fact(value: Fact) -> str:
    """A fact's value as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _name(node: Node) -> str:
    return node.subject if node.title in {"", node.subject} else f"{node.title} ({node.subject})"


def _details(node: Node, titles: dict[str, str]) -> list[str]:
    said = {label for label, _ in node.lines}
    facts = [fact for fact in node.facts if fact.name not in said]
    lines = [f"{label}: {value}" for label, value in node.lines]
    lines += [f"{fact.name} = {shown_fact(fact.value)}" for fact in facts[:MAX_FACTS]]
    if len(facts) > MAX_FACTS:
        lines.append(f"and {len(facts) - MAX_FACTS} more facts")
    for edge in node.also:
        other = edge.target if edge.source == node.subject else edge.source
        lines.append(f"also {edge.relation} {titles.get(other, other)}")
    return lines


def _fact_line(fact: KnownFact, reasons: Why, titles: dict[str, str]) -> str:
    text = f"{fact.name} = {shown_fact(fact.value)}"
    if fact.about != reasons.subject.subject:
        text += f", about {titles.get(fact.about, fact.about)}"
    if fact.subject not in {fact.about, reasons.subject.subject}:
        text += f", stated by {titles.get(fact.subject, fact.subject)}"
    return text


def _is_last_child(nodes: Sequence[Node], place: int) -> bool:
    depth = nodes[place].depth
    for node in nodes[place + 1 :]:
        if node.depth < depth:
            return True
        if node.depth == depth:
            return False
    return True


def _clipped(text: str) -> str:
    line = " ".join(text.splitlines()) if "\n" in text or "\r" in text else text
    return line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 1]}…"
