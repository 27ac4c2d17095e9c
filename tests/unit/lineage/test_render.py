"""Traces and reasons as plain lines."""

from charkh.core.events import Edge
from charkh.lineage.index import KnownFact
from charkh.lineage.render import MAX_FACTS, MAX_LINE, render_trace, render_why, shown_fact
from charkh.lineage.trace import Node, Trace
from charkh.lineage.why import Why


def fact(name: str, value: float | bool | str, about: str, subject: str) -> KnownFact:
    return KnownFact(about=about, name=name, value=value, subject=subject, stamp="0")


NODES = (
    Node(subject="model:1", title="delay@1", facts=(fact("auc", 0.70123, "model:1", "evaluation:2"),)),
    Node(
        subject="run:1", depth=1, relation="produced_by", via="model:1", title="train", lines=(("status", "done"),)
    ),
    Node(subject="dataset:2", depth=2, relation="used", via="run:1", title="flights@2"),
    Node(subject="dataset:1", depth=3, relation="derived_from", via="dataset:2", title="flights@1"),
    Node(subject="recipe:1", depth=1, relation="prepared_by", via="model:1", title="recipe:1"),
)  # fmt: skip


def test_a_trace_is_a_tree() -> None:
    assert render_trace(Trace(subject="model:1", toward="origin", nodes=NODES)) == [
        "delay@1 (model:1)",
        "├─ produced_by train (run:1)",
        "│  └─ used flights@2 (dataset:2)",
        "│     └─ derived_from flights@1 (dataset:1)",
        "└─ prepared_by recipe:1",
    ]


def test_details_stand_under_their_stop() -> None:
    recipe = Node(
        subject="recipe:1", depth=1, relation="prepared_by", via="model:1", title="recipe:1",
        also=(Edge("recipe:1", "made_from", "dataset:2"), Edge("recipe:1", "made_from", "file:x")),
    )  # fmt: skip
    lines = render_trace(Trace(subject="model:1", toward="origin", nodes=(*NODES[:3], recipe)), details=True)
    assert lines == [
        "delay@1 (model:1)",
        "│    auc = 0.70123",
        "├─ produced_by train (run:1)",
        "│  │    status: done",
        "│  └─ used flights@2 (dataset:2)",
        "└─ prepared_by recipe:1",
        "        also made_from flights@2",
        "        also made_from file:x",
    ]


def test_lines_are_bounded_and_stay_lines() -> None:
    facts = tuple(fact(f"f{number:02}", True, "a:1", "a:1") for number in range(MAX_FACTS + 3))
    node = Node(subject="a:1", title="x\ny" * 300, facts=facts)
    lines = render_trace(Trace(subject="a:1", toward="origin", nodes=(node,), cut=True), details=True)
    assert len(lines[0]) == MAX_LINE
    assert not any("\n" in line for line in lines)
    assert lines[-2:] == ["     and 3 more facts", "… cut after 1 stops"]


def test_why_says_who_stated_what() -> None:
    reasons = Why(
        subject=NODES[0],
        facts=(
            fact("auc", 0.7, "model:1", "evaluation:2"),
            fact("checks.ok", True, "dataset:2", "check:4"),
            fact("size", 5, "model:1", "model:1"),
        ),
        witnesses=(
            Node(subject="evaluation:2", relation="scores", title="evaluation of delay", lines=(("on", "flights@6"),)),
        ),
        cut=True,
    )
    assert render_why(reasons) == [
        "delay@1 (model:1)",
        "facts",
        "  auc = 0.7, stated by evaluation of delay",
        "  checks.ok = yes, about dataset:2, stated by check:4",
        "  size = 5",
        "stated and decided by",
        "  evaluation of delay (evaluation:2) (scores)",
        "    on: flights@6",
        "… cut after 1",
    ]


def test_values_are_shown_as_people_read_them() -> None:
    assert [shown_fact(value) for value in (True, False, 0.123456789, 3, "x")] == ["yes", "no", "0.123457", "3", "x"]
