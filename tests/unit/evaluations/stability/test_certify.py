"""Certificates: what is recorded, which of several counts, and until when."""

import json
from typing import Any

import numpy as np
import pytest

from charkh.core.config import parse_settings
from charkh.core.errors import Invalid, NotFound
from charkh.core.gates import judge, parse_condition
from charkh.core.stability_settings import AnyTest, NoiseTest, RepeatTest, StabilitySettings
from charkh.evaluations.evidence import evidence
from charkh.evaluations.index import PROJECTION as EVALUATIONS
from charkh.evaluations.stability.certificate import Certificate
from charkh.evaluations.stability.certify import certify, suite_digest
from charkh.evaluations.stability.find import find_certificate
from charkh.evaluations.stability.index import PROJECTION, Certificates, CertificatesOf
from charkh.evaluations.stability.read import read_stability
from charkh.evaluations.stability.standing import standing
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import EdgesFrom, FactsAbout, HeldDigests
from charkh.ports.projections import Describe
from charkh.ports.store import Store
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store
from unit.evaluations.stability.models import classes, rows, tried

MODEL = "model:m1"
DAY = 86400.0
GOOD: dict[str, AnyTest] = {"repeat": RepeatTest()}
BAD: dict[str, AnyTest] = {"repeat": RepeatTest(), "noise": NoiseTest(scale=3.0, failures=0.0)}


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, EVALUATIONS, LINEAGE)


def make(
    store: Store, tests: dict[str, AnyTest], *, suite: str = "delay", moment: float = 0.0, **more: Any
) -> Certificate:
    settings = StabilitySettings(test=tests, expires="30d")
    given = {"about": MODEL, "model": "delay", "on": "dataset:june", **more}
    return certify(store, suite, settings, tried(), moment=moment, **given)


def met(store: Store, condition: str, moment: float, model: str = MODEL) -> bool:
    known = evidence(store, model, None, "", moment=moment)
    return judge([parse_condition(condition)], known)[0].met


def test_a_certificate_is_recorded_with_its_edges_facts_and_bytes(store: Store) -> None:
    made = make(store, BAD)
    assert {(edge.relation, edge.target) for edge in store.queries.ask(EdgesFrom(subject=made.subject))} == {
        ("certifies", MODEL),
        ("on", "dataset:june"),
    }
    facts = {fact.name: fact.value for fact in store.queries.ask(FactsAbout(subject=MODEL))}
    assert facts == made.made.facts
    assert facts["stability.ok"] is False
    assert facts["stability.failed"] == 1
    assert facts["stability.delay.repeat.ok"] is True
    assert facts["stability.expires"] == 30 * DAY
    assert made.made.details.held in store.queries.ask(HeldDigests())
    details = read_stability(store, made)
    assert [each.result for each in details.tests] == list(made.made.results)
    assert details.tests[1].witnesses
    assert find_certificate(store, made.id[:20]) == made
    with pytest.raises(NotFound):
        find_certificate(store, "0" * 32)


def test_no_value_of_a_row_stands_in_the_event(store: Store) -> None:
    secret = "flight-UA1545"
    frame = rows().with_columns(origin=np.full(600, secret))

    def ask(given: Any) -> Any:
        if given.height < 600:
            raise ValueError(f"cannot answer {given['origin'][0]}")
        return classes()(given)

    settings = StabilitySettings(test={"scale": NoiseTest(scale=3.0), "repeat": RepeatTest(rows=5)})
    made = certify(store, "delay", settings, tried(ask, rows=frame), about=MODEL, model="delay")
    assert made.made.count("broken") == 1
    assert all(secret.encode() not in payload for payload in payloads_of(store))
    assert secret in read_stability(store, made).tests[1].trouble


def test_a_gate_counts_a_certificate_until_it_expires(store: Store) -> None:
    assert not met(store, "stability.ok", 0)
    make(store, GOOD)
    assert met(store, "stability.ok", 29 * DAY)
    assert met(store, "stability.delay.repeat <= 0", 29 * DAY)
    assert not met(store, "stability.ok", 30 * DAY)
    assert not met(store, "stability.delay.repeat <= 0", 30 * DAY)
    make(store, GOOD, moment=31 * DAY)
    assert met(store, "stability.ok", 32 * DAY)


def test_a_failure_stays_until_its_own_suite_passes(store: Store) -> None:
    make(store, BAD, suite="attacks")
    make(store, GOOD, suite="basics", moment=DAY)
    assert met(store, "stability.basics.ok", 2 * DAY)
    assert not met(store, "stability.ok", 2 * DAY)
    assert not met(store, "stability.ok", 25 * DAY)
    assert standing(store, MODEL, 40 * DAY)["stability.ok"] is False
    make(store, GOOD, suite="attacks", moment=3 * DAY)
    assert met(store, "stability.ok", 4 * DAY)
    assert standing(store, MODEL, 4 * DAY)["stability.expires"] == 31 * DAY


def test_a_certificate_counts_for_its_own_version_alone(store: Store) -> None:
    make(store, GOOD)
    other = make(store, GOOD, about="model:m2", on=MODEL.replace("model", "dataset"))
    assert met(store, "stability.ok", 1, "model:m2")
    assert other.made.about == "model:m2"
    assert not met(store, "stability.ok", 1, other.subject.replace("stability", "model"))


def test_a_suite_in_which_every_test_was_skipped_is_not_ok(store: Store) -> None:
    settings = StabilitySettings(test=parse_settings(_skipping(), "test").stability["a"].test)
    made = certify(store, "delay", settings, tried(), about=MODEL, model="delay")
    assert made.made.count("skipped") == len(made.made.results)
    assert not made.made.ok


def _skipping() -> dict[str, object]:
    return {"stability": {"a": {"test": {"truth": {"kind": "calibration"}, "gaps": {"kind": "missing"}}}}}


def test_equal_seeds_give_equal_results(store: Store) -> None:
    one, other = make(store, BAD), make(store, BAD)
    assert one.made.results == other.made.results
    assert one.made.details == other.made.details


def test_no_rows_are_refused(store: Store) -> None:
    with pytest.raises(Invalid, match="no row"):
        certify(store, "delay", StabilitySettings(), tried(rows=rows(0)), about=MODEL, model="delay")


def test_what_is_due_depends_on_what_is_tried_alone() -> None:
    same = suite_digest(StabilitySettings(every="7d", expires="90d"))
    assert same == suite_digest(StabilitySettings())
    assert same != suite_digest(StabilitySettings(seed=1))


def test_the_newest_of_each_suite_is_told(store: Store) -> None:
    make(store, BAD)
    newest = make(store, GOOD, moment=1)
    other = make(store, GOOD, suite="other")
    assert store.queries.ask(CertificatesOf(subject=MODEL)) == (newest, other)
    assert [each.id for each in store.queries.ask(Certificates(model="delay", suite="delay", limit=1))] == [newest.id]
    told = store.queries.ask(Describe(subject=newest.subject))
    assert told is not None
    assert dict(told.lines)["verdict"] == "passed"
    assert "most" in dict(told.lines)["test repeat"]


def test_the_catalog_does_not_depend_on_the_order_of_events(store: Store) -> None:
    for suite in ("a", "b"):
        make(store, GOOD, suite=suite)
    assert_order_free([PROJECTION], payloads_of(store))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"test": {"a b": {"kind": "repeat"}}}, "be named by letters"),
        ({"test": {"a": {"kind": "invariance"}}}, "name what should not matter"),
        ({"test": {"a": {"kind": "invariance", "columns": ["x", "z"], "values": [1]}}}, "exactly one column"),
        ({"test": {"a": {"kind": "invariance", "columns": ["x"], "swap": True}}}, "exactly two columns"),
        ({"test": {"a": {"kind": "direction", "column": "x"}}}, "`add` or `times`"),
        ({"test": {"a": {"kind": "noise", "failures": 2.0}}}, "between 0 and 1"),
        ({"test": {"a": {"kind": "fairness"}}}, "make the groups"),
        ({"test": {"a": {"kind": "attack", "budget": 0.0}}}, "above 0"),
        ({"test": {"a": {"kind": "batch", "sizes": [0]}}}, "from 1 on"),
        ({"test": {"a": {"kind": "threads", "threads": 1}}}, "at least 2"),
        ({"expires": "soon"}, "not a duration"),
        ({"size": 0}, "at least 1"),
    ],
)
def test_a_suite_that_means_nothing_is_refused(table: dict[str, object], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        parse_settings(json.loads(json.dumps({"stability": {"delay": table}})), "charkh.toml")
