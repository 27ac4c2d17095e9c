"""A collection is recorded with its numbers, and raises an alert for each condition that is met."""

from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import FactsAbout, HeldDigests, Walk
from charkh.monitors.alert_index import Alerts
from charkh.monitors.collect import Report, collect, read_details
from charkh.monitors.index import (
    PROJECTION,
    CollectionById,
    LatestCollection,
    MonitorHistory,
    Monitors,
)
from charkh.monitors.monitor import Alert, Collection, MonitorSummary
from charkh.ports.projections import Describe
from charkh.ports.store import Store
from charkh.testing.stores import memory_store


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, LINEAGE)


def rows(count: int = 400, seed: int = 1, shift: float = 0.0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    late = random.random(count) < 0.3
    return pl.DataFrame(
        {
            "flight": np.arange(count),
            "wind": random.normal(shift, 1, count),
            "origin": random.choice(["EWR", "JFK"], count),
            "score": np.clip(late * 0.2 + random.random(count) * 0.8, 0, 1),
            "late": late,
        }
    )


def watch(store: Store, live: pl.DataFrame, *, alerts: tuple[str, ...] = (), **more: Any) -> Report:
    return collect(
        store,
        "delay",
        endpoint="delay",
        reference=rows(seed=9),
        live=live,
        columns=["wind", "origin"],
        alerts=alerts,
        **more,
    )


def with_truth(store: Store, live: pl.DataFrame, **more: Any) -> Report:
    truth = live.select("flight", "late")
    return watch(store, live.drop("late"), truth=truth, key="flight", target="late", score="score", **more)


def test_quiet_rows_raise_nothing_and_are_recorded(store: Store) -> None:
    report = watch(store, rows(), alerts=("psi > 0.2", "drifted > 0"), moment=1000.0)
    assert report.alerts == ()
    assert [verdict.met for verdict in report.verdicts] == [False, False]
    assert report.facts["psi"] == 0.0
    assert report.facts["rows"] == 400
    latest = store.queries.ask(LatestCollection(monitor="delay"))
    assert latest is not None
    assert latest.facts == report.facts
    assert (latest.made.moment, latest.made.endpoint, latest.id) == (1000.0, "delay", report.collection)
    assert store.queries.ask(Alerts()) == ()
    about = store.queries.ask(FactsAbout(subject="monitor:delay"))
    assert {fact.name: fact.value for fact in about} == report.facts


def test_a_shift_raises_an_alert_with_its_numbers(store: Store) -> None:
    report = watch(store, rows(shift=1.5), alerts=("psi > 0.2", "drifted >= 0.9"), sources=["model:m"])
    assert [verdict.condition for verdict in report.alerts] == ["psi > 0.2"]
    (alert,) = store.queries.ask(Alerts(monitor="delay"))
    assert alert.made.condition == "psi > 0.2"
    assert alert.made.reason == f"psi is {report.facts['psi']:.6g}, needs > 0.2"
    assert alert.made.collection == report.collection
    reached = {(step.edge.relation, step.edge.target) for step in store.queries.ask(Walk(subject=alert.subject))}
    assert reached == {
        ("raised_by", f"collection:{report.collection}"),
        ("collected_by", "monitor:delay"),
        ("watches", "endpoint:delay"),
        ("looked_at", "model:m"),
    }
    for subject in ("monitor:delay", f"collection:{report.collection}", alert.subject):
        assert store.queries.ask(Describe(subject=subject)) is not None
    for subject in ("monitor:other", f"collection:{0:032x}", f"alert:{0:032x}"):
        assert store.queries.ask(Describe(subject=subject)) is None


def test_the_whole_report_is_kept_and_held(store: Store) -> None:
    report = with_truth(store, rows(shift=1.0), segments=["origin"])
    latest = store.queries.ask(CollectionById(collection=report.collection))
    assert latest is not None
    assert latest.made.details.held in store.queries.ask(HeldDigests())
    kept = read_details(store, latest.made.details)
    assert kept == report
    assert kept.drift.columns[0].column == "wind"


def test_performance_is_published_when_the_truth_is_known(store: Store) -> None:
    report = with_truth(store, rows(), segments=["origin"], alerts=("auc < 0.99", "auc < 0.1"))
    assert report.performance is not None
    assert report.facts["auc"] == report.performance.metrics["auc"]
    assert report.facts["coverage"] == 1.0
    assert "slice(origin=EWR).auc" not in report.facts, "200 rows of a slice are too few"
    assert [verdict.condition for verdict in report.alerts] == ["auc < 0.99"]
    assert report.facts["auc.low"] < report.facts["auc"]  # type: ignore[operator]


def test_an_alert_over_slices_is_raised_by_any_slice(store: Store) -> None:
    live = rows(2000)
    guess = pl.when(pl.col("origin") == "JFK").then(1 - pl.col("score")).otherwise(pl.col("score"))
    report = with_truth(store, live.with_columns(score=guess), segments=["origin"], alerts=("slice(origin).auc < 0.5",))
    (verdict,) = report.alerts
    assert verdict.condition == "slice(origin).auc < 0.5"
    assert verdict.reason.startswith("slice(origin=JFK).auc is 0.")
    quiet = with_truth(store, live, segments=["origin"], alerts=("slice(origin).auc < 0.5", "slice(dest).auc < 1"))
    assert quiet.alerts == ()
    assert "no fact" in quiet.verdicts[1].reason


def test_truth_of_earlier_predictions_may_be_joined(store: Store) -> None:
    earlier = rows(seed=5)
    truth = earlier.select("flight", "late")
    report = watch(
        store,
        rows(seed=6).select("wind", "origin"),
        predictions=earlier.drop("late"),
        truth=truth,
        key="flight",
        target="late",
        score="score",
    )
    assert report.facts["matched"] == 400


def test_no_fact_no_alert(store: Store) -> None:
    report = watch(store, rows(), alerts=("auc < 0.68",))
    assert report.alerts == ()
    assert "no fact" in report.verdicts[0].reason


def test_what_makes_no_sense_is_refused_before_anything_is_recorded(store: Store) -> None:
    for more in ({"alerts": ("psi >",)}, {"truth": rows(), "key": "flight"}, {"sources": ["nonsense"]}):
        with pytest.raises(Invalid):
            watch(store, rows(), **more)
    with pytest.raises(Invalid):
        collect(store, "../x", reference=rows(), live=rows())
    assert store.queries.ask(Monitors()) == ()


def test_the_history_goes_by_moment(store: Store) -> None:
    for moment in (30.0, 10.0, 20.0):
        watch(store, rows(shift=2.0), alerts=("psi > 0",), moment=moment)
    history = store.queries.ask(MonitorHistory(monitor="delay"))
    assert [each.made.moment for each in history] == [30.0, 20.0, 10.0]
    assert store.queries.ask(MonitorHistory(monitor="delay", limit=1)) == history[:1]
    assert [alert.made.moment for alert in store.queries.ask(Alerts(since=20.0))] == [30.0, 20.0]
    assert [alert.made.moment for alert in store.queries.ask(Alerts(collection=history[2].id))] == [10.0]
    (summary,) = store.queries.ask(Monitors())
    assert (summary.name, summary.collections, summary.alerts, summary.latest) == ("delay", 3, 3, history[0])
    for answer, shape in ((summary, MonitorSummary), (history[0], Collection), (store.queries.ask(Alerts())[0], Alert)):
        assert msgspec.json.decode(msgspec.json.encode(answer), type=shape) == answer


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_catalog_is_a_function_of_the_set_of_events(steps: list[tuple[int, bool]], random: Any) -> None:
    store, other = memory_store(PROJECTION), memory_store(PROJECTION)
    old, new = rows(60, 1), rows(60, 2, shift=3.0)
    for moment, shifted in steps:
        collect(
            store,
            "delay",
            reference=old,
            live=new if shifted else old,
            alerts=("psi > 0", "rows > 1"),
            moment=float(moment),
        )
    payloads = [payload for batch in store.journal.read({}) for payload in batch.payloads]
    random.shuffle(payloads)
    while payloads:
        size = random.randint(1, len(payloads))
        other.journal.append([*payloads[:size], payloads[0]])
        payloads = payloads[size:]
        other.queries.ask(Monitors())
    questions: list[Any] = [
        Monitors(),
        MonitorHistory(monitor="delay"),
        LatestCollection(monitor="delay"),
        Alerts(),
        Alerts(monitor="delay", since=2.0),
    ]
    for query in questions:
        assert store.queries.ask(query) == other.queries.ask(query)
