"""Searching, resuming, pruning and failing, on a real Optuna and a store in memory."""

import logging
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.dimensions import Dimension, search
from charkh.core.errors import Incomplete, Invalid
from charkh.core.params import Params
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import EdgesTo, FactsAbout
from charkh.ports.projections import Describe
from charkh.ports.store import Store
from charkh.runs.active import current
from charkh.runs.find import find as find_run
from charkh.runs.index import PROJECTION as RUNS
from charkh.studies.index import PROJECTION, Studies, StudyByContent, StudyById
from charkh.studies.sampling import Search
from charkh.studies.study import ENDED_KIND, MAX_REPORTED, TrialDone, thinned
from charkh.studies.tune import tune
from charkh.testing.stores import memory_store


class Space(Params):
    x: float = search(1.0, low=-5, high=5)
    kind: str = search("flat", choices=["flat", "steep"])
    fixed: int = 3


def bowl(p: Space) -> float:
    return -((p.x - 2) ** 2) * (2 if p.kind == "steep" else 1)


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, RUNS, LINEAGE)


def proposals(store: Store, name: str) -> list[dict[str, Any]]:
    (record,) = store.queries.ask(Studies(name=name))
    return [trial.params for trial in record.trials]


def test_a_search_finds_and_records(store: Store) -> None:
    study = tune(store, bowl, Space(fixed=7), name="bowl", trials=15)
    assert study.value == study.best == bowl(study.params) > -1
    assert (type(study.params), study.params.fixed) == (Space, 7)
    assert len(study.trials) == 15
    assert study.trials[0].params == {"x": 1.0, "kind": "flat"}
    record = store.queries.ask(StudyById(study=study.record.id))
    assert record == study.record
    assert (record.status, record.started.metric, record.actor) == ("finished", "", "ann@laptop")
    facts = {fact.name: fact.value for fact in store.queries.ask(FactsAbout(subject=record.subject))}
    assert facts == {"best": study.value, "value": study.value}
    described = store.queries.ask(Describe(subject=record.subject))
    assert described is not None
    assert described.title == "study bowl"
    assert ("trials", "15") in described.lines


def test_trials_are_runs_inside_the_studys_run(store: Store) -> None:
    seen: list[Any] = []

    def objective(p: Space) -> None:
        active = current()
        assert active is not None
        seen.append(active.id)
        active.log({"auc": p.x}, step=0)
        active.log({"auc": p.x / 2, "other": 9.0}, step=1)

    study = tune(store, objective, Space, name="runs", metric="auc", trials=3)
    assert current() is None
    assert [trial.run for trial in study.trials] == seen
    run = find_run(store, seen[1])
    assert (run.started.parent, run.name, run.status) == (study.record.started.run, "runs #1", "finished")
    assert run.params["fixed"] == 3
    assert study.trial.value == max(trial.params["x"] / 2 for trial in study.trials)  # type: ignore[operator]
    assert study.best is None
    edges = store.queries.ask(EdgesTo(subject=study.record.subject))
    assert [edge.source for edge in edges if edge.relation == "trial_of"] == sorted(f"run:{each}" for each in seen)


def test_a_search_over_a_mapping(store: Store) -> None:
    space = {"depth": search(3, low=1, high=9, step=3), "rate": search(0.1, low=1e-3, high=1.0, log=True)}
    study = tune(store, lambda p: abs(p["depth"] - 4) + p["rate"], space, name="m", direction="minimize", trials=8)
    assert {trial.params["depth"] for trial in study.trials} <= {1, 4, 7}
    assert study.value == min(trial.value for trial in study.trials if trial.value is not None)
    assert study.params == study.trial.params


def test_the_same_seed_proposes_the_same(store: Store) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        tune(store, bowl, Space, name=name, trials=13, seed=seed)
    assert proposals(store, "a") == proposals(store, "b") != proposals(store, "c")


def test_a_resumed_search_is_the_uninterrupted_one(store: Store) -> None:
    calls: list[float] = []

    def counted(p: Space) -> float:
        calls.append(p.x)
        return bowl(p)

    tune(store, bowl, Space, name="whole", trials=14)
    tune(store, counted, Space, name="parts", trials=6)
    resumed = tune(store, counted, Space, name="parts", trials=14)
    assert len(calls) == 14
    assert proposals(store, "parts") == proposals(store, "whole")
    again = tune(store, counted, Space, name="parts", trials=14)
    assert len(calls) == 14
    assert again.record.id == resumed.record.id
    assert again.best == resumed.value
    assert len(calls) == 15


@pytest.mark.parametrize(
    "other",
    [{"key": "other data"}, {"seed": 5}, {"metric": "auc"}, {"space": Space(fixed=4)}, {"direction": "minimize"}],
    ids=str,
)
def test_another_search_of_that_name_is_another_study(store: Store, other: dict[str, Any]) -> None:
    first = tune(store, bowl, Space, name="bowl", trials=2)
    second = tune(store, bowl, **{"space": Space, "name": "bowl", "trials": 2, **other})
    assert first.record.id != second.record.id
    assert [record.id for record in store.queries.ask(Studies(name="bowl"))] == [second.record.id, first.record.id]


def test_a_failing_trial_does_not_end_the_search(store: Store) -> None:
    def objective(p: Space) -> float:
        if p.kind == "steep":
            raise OSError("no disk, password=hunter2hunter2")
        return bowl(p) if p.x > 0 else math.nan

    study = tune(store, objective, Space, name="some", trials=12)
    states = {trial.state for trial in study.trials}
    assert states == {"complete", "failed"}
    failed = [trial for trial in study.trials if trial.state == "failed"]
    assert any(trial.error.startswith("OSError: no disk") for trial in failed)
    assert not any("hunter2" in trial.error for trial in failed)
    assert {find_run(store, trial.run).status for trial in failed} == {"failed"}
    assert study.trial.params["kind"] == "flat"


def test_a_search_without_any_value_raises(store: Store) -> None:
    with pytest.raises(Incomplete, match="'auc'") as none:
        tune(store, lambda p: None, Space, name="none", metric="auc", trials=3)
    assert none.value.facts["trials"] == 3
    (record,) = store.queries.ask(Studies(name="none"))
    assert record.status == "failed"
    mended = tune(store, bowl, Space, name="none", metric="auc", trials=3)
    assert mended.record.id == record.id
    assert [trial.state for trial in mended.trials] == ["failed"] * 3 + ["complete"] * 3


def test_an_interrupt_keeps_what_is_done(store: Store) -> None:
    def objective(p: Space) -> float:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(p.x)
        return bowl(p)

    done: list[float] = []
    with pytest.raises(KeyboardInterrupt):
        tune(store, objective, Space, name="cut", trials=5)
    (record,) = store.queries.ask(Studies(name="cut"))
    assert (record.status, len(record.trials)) == ("interrupted", 2)
    study = tune(store, bowl, Space, name="cut", trials=5)
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3, 4]
    assert study.record.status == "finished"


def test_hopeless_trials_are_given_up_early(store: Store) -> None:
    reached: dict[str, int] = {}

    def objective(p: Space) -> float:
        active = current()
        assert active is not None
        for step in range(10):
            try:
                active.log({"auc": p.x + step / 100}, step=step)
            except Exception as error:
                raise AssertionError("a training loop may catch every Exception") from error
            reached[active.id] = step
        return 0.0

    study = tune(store, objective, Space, name="pruned", metric="auc", trials=20, seed=3)
    pruned = [trial for trial in study.trials if trial.state == "pruned"]
    assert pruned
    assert not any(trial.number < 5 for trial in pruned)
    assert all(reached.get(trial.run, -1) < 9 for trial in pruned)
    assert {find_run(store, trial.run).tags.get("pruned") for trial in pruned} == {"yes"}
    assert {find_run(store, trial.run).status for trial in pruned} == {"finished"}
    assert study.trial.state == "complete"
    assert study.trials[0].reported[-1].step == 9
    calm = tune(store, objective, Space, name="calm", metric="auc", trials=20, seed=3, prune=False)
    assert {trial.state for trial in calm.trials} == {"complete"}


@pytest.mark.parametrize(
    ("returned", "value"),
    [(np.float32(0.5), 0.5), (np.int64(2), 2.0), (np.array([0.25]), 0.25), (3, 3.0)],
)
def test_numbers_of_other_libraries_count(store: Store, returned: Any, value: float) -> None:
    assert tune(store, lambda p: returned, Space, name="n", trials=1).value == value


@pytest.mark.parametrize("returned", [True, "0.5", None, np.array([1.0, 2.0]), math.inf, math.nan])
def test_what_is_no_finite_number_is_no_value(store: Store, returned: Any) -> None:
    with pytest.raises(Incomplete):
        tune(store, lambda p: returned, Space, name="n", trials=1)


def test_a_space_of_nothing_is_refused(store: Store) -> None:
    class Fixed(Params):
        rate: float = 0.1

    with pytest.raises(Invalid, match="nothing"):
        tune(store, lambda p: 1.0, Fixed, name="n")
    with pytest.raises(Invalid, match="rate"):
        tune(store, lambda p: 1.0, {"rate": (0, 1)}, name="n")
    with pytest.raises(Invalid, match="name"):
        tune(store, bowl, Space, name="../n")


def test_notify_hears_of_every_trial(store: Store) -> None:
    heard: list[int] = []
    tune(store, bowl, Space, name="n", trials=3, notify=lambda trial: heard.append(trial.number))
    assert heard == [0, 1, 2]


def test_optuna_keeps_quiet_and_as_it_was(store: Store, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    try:
        with caplog.at_level(logging.DEBUG):
            tune(store, bowl, Space, name="quiet", trials=3)
        assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
    finally:
        optuna.logging.set_verbosity(optuna.logging.INFO)
    assert capfd.readouterr() == ("", "")


DIMENSIONS = st.one_of(
    st.tuples(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6)).map(
        lambda pair: Dimension(default=pair[0], low=pair[0], high=pair[0] + pair[1])
    ),
    st.tuples(st.integers(-1000, 1000), st.integers(1, 1000), st.integers(1, 50)).map(
        lambda triple: Dimension(default=triple[0], low=triple[0], high=triple[0] + triple[1], step=triple[2])
    ),
    st.tuples(st.integers(1, 1000), st.integers(1, 1000)).map(
        lambda pair: Dimension(default=pair[0] + pair[1], low=pair[0], high=pair[0] + pair[1], log=True)
    ),
    st.lists(st.none() | st.booleans() | st.integers() | st.text(), min_size=1, max_size=4, unique_by=repr).map(
        lambda items: Dimension(default=items[0], choices=tuple(items))
    ),
)


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from("abc"), DIMENSIONS, min_size=1), st.integers(0, 2**40))
def test_every_proposal_lies_in_the_space_and_can_be_told_again(space: dict[str, Dimension], seed: int) -> None:
    search = Search(space, "maximize", seed, ())
    known: list[TrialDone] = []
    for number in range(3):
        asked = search.ask(number)
        for name, value in asked.params.items():
            dimension = space[name]
            if dimension.choices:
                assert any(value == each and type(value) is type(each) for each in dimension.choices)
            else:
                assert dimension.low <= value <= dimension.high  # type: ignore[operator]
                assert isinstance(value, int) == dimension.integral
        asked.tell("complete", float(number))
        known.append(
            TrialDone(study="s", number=number, run=str(number), params=asked.params, state="complete", value=number)
        )
    assert search.ask(3).params == Search(space, "maximize", seed, known).ask(3).params


def test_the_values_on_the_way_are_bounded() -> None:
    assert thinned({step: float(step) for step in range(5)})[-1].step == 4
    many = thinned({step: float(step) for step in range(10_000)})
    assert (len(many), many[0].step, many[-1].step) == (MAX_REPORTED, 0, 9999)
    assert thinned({1: math.inf}) == ()


@settings(max_examples=10)
@given(st.randoms(use_true_random=False))
def test_the_catalog_is_a_function_of_the_set_of_events(random: Any) -> None:
    store = memory_store(PROJECTION, RUNS, LINEAGE)
    tune(store, bowl, Space, name="a", trials=2)
    tune(store, bowl, Space, name="a", trials=4)
    tune(store, bowl, Space, name="b", trials=1)
    payloads = [payload for batch in store.journal.read({}) for payload in batch.payloads]
    assert any(ENDED_KIND.encode() in payload for payload in payloads)
    other = memory_store(PROJECTION)
    random.shuffle(payloads)
    while payloads:
        size = random.randint(1, len(payloads))
        other.journal.append([*payloads[:size], payloads[0]])
        payloads = payloads[size:]
        other.queries.ask(Studies())
    for record in store.queries.ask(Studies()):
        for query in (
            Studies(),
            Studies(name="a"),
            StudyById(study=record.id),
            StudyByContent(name=record.name, content=record.started.content),
        ):
            assert store.queries.ask(query) == other.queries.ask(query)
