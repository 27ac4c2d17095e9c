"""Walking from a subject to its origins and outcomes, on a small house of facts."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import MetaData

from charkh.core.errors import Invalid
from charkh.core.events import Draft, Edge, Event, Fact, body_of
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.trace import Trace, impact, trace
from charkh.lineage.why import why
from charkh.ports.projections import Description, Projection
from charkh.ports.store import Store
from charkh.testing.stores import memory_store


class Said(msgspec.Struct, frozen=True, kw_only=True):
    text: str = ""


def _portrait(_connection: object, identifier: str) -> Description | None:
    return None if identifier == "unknown" else Description(title=f"the {identifier}", lines=(("id", identifier),))


def _ignore(_connection: object, events: Sequence[Event]) -> None:
    for event in events:
        body_of(event, Said)


PORTRAYED = Projection(
    name="thing",
    version=1,
    tables=MetaData(),
    kinds=frozenset({"thing.said/1"}),
    fold=_ignore,
    portraits=dict.fromkeys(("model", "run", "dataset", "evaluation", "loop", "check"), _portrait),
)


@pytest.fixture
def store() -> Store:
    return memory_store(LINEAGE, PORTRAYED)


def say(store: Store, subject: str, edges: dict[str, str] | None = None, about: str = "", **facts: Fact) -> None:
    """One event: `edges` are targets by relation; `__` in a fact's name is a dot."""
    drawn = tuple(Edge(subject, relation, target) for relation, target in (edges or {}).items())
    named = {name.replace("__", "."): value for name, value in facts.items()}
    store.record(Draft(kind="thing.said/1", subject=subject, body=Said(), edges=drawn, facts=named, about=about))


def house(store: Store) -> None:
    """A model made by a run from a dataset that another dataset became; an evaluation and a decision on top."""
    say(store, "dataset:1raw", rows=10)
    say(store, "dataset:2clean", {"derived_from": "dataset:1raw"}, rows=9)
    say(store, "check:3", about="dataset:2clean", checks__ok=True)
    say(store, "run:4", {"used": "dataset:2clean"})
    say(store, "model:5", {"produced_by": "run:4", "trained_on": "dataset:2clean"})
    say(store, "evaluation:6", {"scores": "model:5", "on": "dataset:1raw"}, about="model:5", auc=0.7)
    say(store, "loop:7", {"judged": "model:5"}, about="model:5", promoted=True)


def shape(found: Trace) -> list[tuple[int, str, str]]:
    return [(node.depth, node.relation, node.subject) for node in found.nodes]


def test_a_trace_reads_from_the_subject_to_its_first_origins(store: Store) -> None:
    house(store)
    found = trace(store, "evaluation:6")
    assert shape(found) == [
        (0, "", "evaluation:6"),
        (1, "on", "dataset:1raw"),
        (1, "scores", "model:5"),
        (2, "produced_by", "run:4"),
        (2, "trained_on", "dataset:2clean"),
    ]
    assert not found.cut


def test_a_stop_carries_its_description_its_facts_and_its_further_ways(store: Store) -> None:
    house(store)
    nodes = {node.subject: node for node in trace(store, "model:5").nodes}
    model, clean = nodes["model:5"], nodes["dataset:2clean"]
    assert model.title == "the 5"
    assert [(fact.name, fact.value) for fact in model.facts] == [("auc", 0.7), ("promoted", True)]
    assert {fact.name: fact.subject for fact in clean.facts} == {"checks.ok": "check:3", "rows": "dataset:2clean"}
    assert nodes["run:4"].also == (Edge("run:4", "used", "dataset:2clean"),)
    assert clean.via == "model:5"


def test_stops_of_one_noun(store: Store) -> None:
    house(store)
    assert [node.subject for node in trace(store, "model:5").of("dataset")] == ["dataset:2clean", "dataset:1raw"]


def test_impact_is_what_was_made_from_it(store: Store) -> None:
    house(store)
    found = impact(store, "dataset:2clean")
    assert {node.subject for node in found.nodes} == {
        "dataset:2clean", "run:4", "model:5", "evaluation:6", "loop:7"
    }  # fmt: skip
    assert all(node.depth < 3 for node in found.nodes)


def test_a_subject_nobody_describes_keeps_its_bare_form(store: Store) -> None:
    say(store, "model:5", {"made_from": "file:x"})
    say(store, "model:unknown")
    assert [node.title for node in trace(store, "model:5").nodes] == ["the 5", "file:x"]
    assert shape(trace(store, "model:unknown")) == [(0, "", "model:unknown")]
    with pytest.raises(Invalid):
        trace(store, "delay@3")


def test_a_cycle_ends(store: Store) -> None:
    say(store, "run:1", {"used": "run:2"})
    say(store, "run:2", {"used": "run:1"})
    found = trace(store, "run:1")
    assert shape(found) == [(0, "", "run:1"), (1, "used", "run:2")]
    assert found.nodes[1].also == (Edge("run:2", "used", "run:1"),)
    assert not found.cut


def test_a_trace_is_bounded_and_says_so(store: Store) -> None:
    for number in range(30):
        say(store, f"run:{number:02}", {"used": f"run:{number + 1:02}"})
    assert not trace(store, "run:00").cut
    short = trace(store, "run:00", max_nodes=5)
    assert [node.subject for node in short.nodes] == [f"run:{number:02}" for number in range(5)]
    assert short.cut
    shallow = trace(store, "run:00", max_depth=3)
    assert len(shallow.nodes) == 4
    assert shallow.cut
    assert not trace(store, "run:27", max_depth=3).cut
    say(store, "run:wide", {f"used{number}": f"file:{number}" for number in range(300)})
    assert trace(store, "run:wide", max_nodes=10).cut


def test_why_names_facts_and_who_stated_them(store: Store) -> None:
    house(store)
    reasons = why(store, "model:5")
    assert {fact.name: fact.value for fact in reasons.facts} == {
        "auc": 0.7, "checks.ok": True, "promoted": True, "rows": 9
    }  # fmt: skip
    assert [(node.subject, node.relation) for node in reasons.witnesses] == [
        ("loop:7", "judged"),
        ("evaluation:6", "scores"),
        ("check:3", "states"),
    ]
    assert reasons.subject.title == "the 5"
    assert why(store, "model:5", limit=1).cut


NAMES = st.integers(0, 7).map(lambda number: f"run:{number}")
GRAPHS = st.lists(st.tuples(NAMES, st.sampled_from(["used", "made"]), NAMES), max_size=20)


@settings(max_examples=30)
@given(GRAPHS)
def test_every_edge_of_what_is_reachable_is_shown_once(edges: list[tuple[str, str, str]]) -> None:
    store = memory_store(LINEAGE, PORTRAYED)
    for source, relation, target in edges:
        say(store, source, {relation: target})
    found = trace(store, "run:0")
    reachable, waiting = {"run:0"}, ["run:0"]
    while waiting:
        here = waiting.pop()
        for source, _, target in edges:
            if source == here and target not in reachable:
                reachable.add(target)
                waiting.append(target)
    assert len(found.nodes) == len(reachable)
    assert {node.subject for node in found.nodes} == reachable
    shown = [(node.via, node.relation, node.subject) for node in found.nodes if node.via]
    shown += [(edge.source, edge.relation, edge.target) for node in found.nodes for edge in node.also]
    assert sorted(shown) == sorted({edge for edge in edges if edge[0] in reachable})
    assert not found.cut
