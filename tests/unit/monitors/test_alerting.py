"""An alert that goes on firing is raised once in a while, ends when it is over, and people have a say in it."""

import time

import polars as pl
import pytest

from charkh.core.errors import Invalid, NotFound
from charkh.monitors.alert_index import Alerts, Firing, Silences
from charkh.monitors.alerting import AlertTerms
from charkh.monitors.attend import acknowledge, silence, unsilence
from charkh.monitors.collect import collect
from charkh.monitors.index import PROJECTION
from charkh.ports.store import Store
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store

SOUND = pl.DataFrame({"a": [float(number % 50) for number in range(500)]})
SHIFTED = SOUND.with_columns(pl.col("a") + 40)
EMPTY_TRUTH = "auc < 0.7"


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION)


def look(store: Store, moment: float, live: pl.DataFrame, cooldown: float = 0.0, when: str = "psi > 0.2") -> None:
    terms = {when: AlertTerms(severity="page", owner="ann", runbook="https://example.com/r", cooldown=cooldown)}
    collect(store, "delay", reference=SOUND, live=live, alerts=[when], terms=terms, moment=moment)


def raised(store: Store) -> list[float]:
    return [alert.made.moment for alert in store.queries.ask(Alerts())]


def test_what_goes_on_firing_is_raised_after_its_cooldown(store: Store) -> None:
    for moment in (0.0, 10.0, 59.0, 60.0, 70.0):
        look(store, moment, SHIFTED, cooldown=60.0)
    assert raised(store) == [60.0, 0.0]
    newest, oldest = store.queries.ask(Alerts())
    assert newest.episode == oldest.made.alert
    assert (oldest.made.severity, oldest.made.owner, oldest.made.runbook) == ("page", "ann", "https://example.com/r")
    (fires,) = store.queries.ask(Firing(monitor="delay"))
    assert fires.made.alert == newest.made.alert


def test_an_alert_ends_when_its_condition_is_not_met_and_may_come_again(store: Store) -> None:
    look(store, 0.0, SHIFTED)
    look(store, 10.0, SOUND)
    assert store.queries.ask(Firing()) == ()
    assert [alert.resolved for alert in store.queries.ask(Alerts())] == [10.0]
    look(store, 20.0, SHIFTED, cooldown=3600.0)
    assert raised(store) == [20.0, 0.0]
    newest, oldest = store.queries.ask(Alerts())
    assert newest.episode != oldest.episode


def test_what_is_not_known_ends_nothing(store: Store) -> None:
    look(store, 0.0, SHIFTED)
    look(store, 10.0, SHIFTED, when=EMPTY_TRUTH)
    assert len(store.queries.ask(Firing())) == 1


def test_who_looks_after_an_alert_is_not_told_again_before_it_is_over(store: Store) -> None:
    look(store, 0.0, SHIFTED)
    (alert,) = store.queries.ask(Firing())
    said = acknowledge(store, alert.made.alert[:12], note="token=abcdefghijklmnop1234 the sensor moved")
    assert said.acknowledged == store.actor
    assert "abcdefghijklmnop1234" not in said.note
    look(store, 10.0, SHIFTED)
    assert raised(store) == [0.0]
    look(store, 20.0, SOUND)
    look(store, 30.0, SHIFTED)
    assert raised(store) == [30.0, 0.0]
    assert store.queries.ask(Alerts())[0].acknowledged == ""
    for wrong in ("", "zz"):
        with pytest.raises(NotFound):
            acknowledge(store, wrong)


def test_a_silence_holds_for_its_monitor_condition_and_time(store: Store) -> None:
    now = time.time()
    held = silence(store, "delay", seconds=3600.0, condition="psi > 0.2", reason="a migration")
    look(store, now, SHIFTED)
    assert store.queries.ask(Alerts())[0].made.silenced
    look(store, now + 7200.0, SHIFTED)
    assert not store.queries.ask(Alerts())[0].made.silenced
    unsilence(store, held.made.silence[:14])
    look(store, now + 1.0, SHIFTED)
    assert store.queries.ask(Silences()) == ()
    silence(store, "other", seconds=3600.0)
    look(store, now + 2.0, SHIFTED)
    assert [alert.made.silenced for alert in store.queries.ask(Alerts())] == [False, False, False, True]
    with pytest.raises(Invalid):
        silence(store, "delay", seconds=0.0)
    with pytest.raises(NotFound):
        unsilence(store, held.made.silence)


def test_the_order_of_the_facts_does_not_matter(store: Store) -> None:
    for moment, live in ((0.0, SHIFTED), (5.0, SHIFTED), (10.0, SOUND), (20.0, SHIFTED)):
        look(store, moment, live)
    acknowledge(store, store.queries.ask(Firing())[0].made.alert)
    unsilence(store, silence(store, "delay", seconds=3600.0).made.silence)
    silence(store, "delay", seconds=3600.0)
    assert_order_free([PROJECTION], payloads_of(store), [Alerts(), Firing(), Silences()])
