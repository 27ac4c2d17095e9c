"""What the envelope alone makes searchable, and that it does so in any order."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.clock import Clock
from charkh.core.errors import Invalid
from charkh.core.events import Draft, Edge, Fact, stamp_draft
from charkh.lineage.index import (
    MAX_BOUND,
    PROJECTION,
    EdgesFrom,
    EdgesTo,
    FactsAbout,
    FactsBehind,
    HeldDigests,
    HoldersOf,
    SubjectsLike,
    Walk,
)
from charkh.ports.store import Store
from charkh.testing.projections import assert_order_free
from charkh.testing.stores import memory_store


class Said(msgspec.Struct, frozen=True, kw_only=True):
    text: str = ""


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION)


def say(
    store: Store,
    subject: str,
    *targets: str,
    facts: dict[str, Fact] | None = None,
    about: str = "",
    holds: tuple[str, ...] = (),
    drops: tuple[str, ...] = (),
) -> None:
    edges = tuple(Edge(subject, "from", target) for target in targets)
    store.record(
        Draft(
            kind="a.said/1", subject=subject, body=Said(), edges=edges, facts=facts or {}, about=about,
            holds=holds, drops=drops,
        )
    )  # fmt: skip


def test_edges_both_ways(store: Store) -> None:
    say(store, "a:1", "b:1", "b:2")
    say(store, "a:2", "b:1")
    assert store.queries.ask(EdgesFrom(subject="a:1")) == (Edge("a:1", "from", "b:1"), Edge("a:1", "from", "b:2"))
    assert store.queries.ask(EdgesTo(subject="b:1")) == (Edge("a:1", "from", "b:1"), Edge("a:2", "from", "b:1"))


def test_an_edge_said_twice_is_one(store: Store) -> None:
    say(store, "a:1", "b:1")
    say(store, "a:1", "b:1")
    assert len(store.queries.ask(EdgesFrom(subject="a:1"))) == 1


def test_a_walk_goes_nearest_first_and_only_the_ways_there_are(store: Store) -> None:
    say(store, "a:1", "b:1")
    say(store, "b:1", "c:1", "a:1")
    steps = store.queries.ask(Walk(subject="a:1"))
    assert [(step.depth, step.edge.target) for step in steps] == [(1, "b:1"), (2, "a:1"), (2, "c:1")]
    back = store.queries.ask(Walk(subject="c:1", toward="outcome"))
    assert [(step.depth, step.edge.source) for step in back] == [(1, "b:1"), (2, "a:1"), (3, "b:1")]
    assert store.queries.ask(Walk(subject="a:1", max_depth=1)) == steps[:1]
    assert store.queries.ask(Walk(subject="a:1", max_edges=2)) == steps[:2]
    with pytest.raises(Invalid, match="sideways"):
        store.queries.ask(Walk(subject="a:1", toward="sideways"))


def test_a_walk_passes_a_stop_with_more_ways_than_one_statement_binds(store: Store) -> None:
    wide = [f"b:{number:04}" for number in range(MAX_BOUND + 30)]
    say(store, "a:1", *wide)
    for subject in wide:
        say(store, subject, "c:1", facts={subject: 1})
    assert len(store.queries.ask(Walk(subject="a:1"))) == 2 * len(wide)
    assert len(store.queries.ask(FactsBehind(subject="a:1"))) == len(wide)


def test_the_newest_fact_of_a_name_is_known_with_who_stated_it(store: Store) -> None:
    say(store, "e:1", facts={"auc": 0.7, "rows": 5}, about="m:1")
    say(store, "e:2", facts={"auc": 0.8}, about="m:1")
    say(store, "m:1", facts={"size": 3})
    facts = store.queries.ask(FactsAbout(subject="m:1"))
    assert [(fact.name, fact.value, fact.subject) for fact in facts] == [
        ("auc", 0.8, "e:2"),
        ("rows", 5, "e:1"),
        ("size", 3, "m:1"),
    ]


def test_behind_a_subject_the_nearest_fact_counts(store: Store) -> None:
    say(store, "m:1", "d:1", facts={"auc": 0.8})
    say(store, "d:1", "d:0", facts={"auc": 0.1, "ok": True})
    say(store, "d:0", facts={"ok": False, "rows": 7})
    facts = {fact.name: fact.value for fact in store.queries.ask(FactsBehind(subject="m:1"))}
    assert facts == {"auc": 0.8, "ok": True, "rows": 7}


@pytest.mark.parametrize("passed", ["d:1", "d:2"])
def test_of_equally_near_facts_one_that_is_false_counts(store: Store, passed: str) -> None:
    say(store, "m:1", "d:1", "d:2")
    for subject in ("d:1", "d:2"):
        say(store, subject, facts={"ok": subject == passed, "rows": int(subject[-1])})
    facts = {fact.name: fact.value for fact in store.queries.ask(FactsBehind(subject="m:1"))}
    assert facts == {"ok": False, "rows": 2}


def test_what_is_held_is_held_until_every_holder_is_dropped(store: Store) -> None:
    say(store, "d:1", holds=("x", "y"))
    say(store, "d:2", holds=("x",))
    say(store, "d:1", drops=("d:1",))
    assert store.queries.ask(HeldDigests()) == ("x",)
    assert store.queries.ask(HoldersOf(digest="x")) == ("d:2",)
    assert store.queries.ask(HoldersOf(digest="y")) == ()


def test_subjects_are_found_by_the_beginning_of_their_id(store: Store) -> None:
    for subject in ("run:1a", "run:1b", "run:2", "dataset:1a"):
        say(store, subject)
    assert set(store.queries.ask(SubjectsLike(noun="run", prefix="1"))) == {"run:1a", "run:1b"}
    assert store.queries.ask(SubjectsLike(noun="run", prefix="%")) == ()


SUBJECTS = st.sampled_from(["a:1", "a:2", "b:1"])
DRAFTS = st.builds(
    lambda subject, target, value, about, held, dropped: Draft(
        kind="a.said/1",
        subject=subject,
        body=Said(),
        edges=(Edge(subject, "from", target),),
        facts={"ok": value, "n": int(value)},
        about=about,
        holds=(held,),
        drops=(subject,) if dropped else (),
    ),
    SUBJECTS,
    SUBJECTS,
    st.booleans(),
    st.sampled_from(["", "a:1", "b:1"]),
    st.sampled_from(["x", "y"]),
    st.booleans(),
)


@settings(max_examples=20)
@given(st.lists(DRAFTS, min_size=1, max_size=8))
def test_the_catalog_is_a_function_of_the_set_of_events(drafts: list[Draft]) -> None:
    clock = Clock()
    payloads = [stamp_draft(draft, clock, "ann@laptop").payload for draft in drafts]
    queries = [
        *(kind(subject=subject) for kind in (EdgesFrom, EdgesTo, Walk) for subject in ("a:1", "b:1")),
        *(kind(subject=subject) for kind in (FactsAbout, FactsBehind) for subject in ("a:1", "b:1")),
        HeldDigests(),
        HoldersOf(digest="x"),
        SubjectsLike(noun="a", prefix="1"),
    ]
    assert_order_free([PROJECTION], payloads, queries)
