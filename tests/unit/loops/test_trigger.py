"""What sets a loop going: an alert, a new version, or time; each until a retraining has answered it."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from charkh.core.errors import Invalid
from charkh.core.loop_settings import LoopSettings
from charkh.loops.loop import Decided, Decision, Outcome
from charkh.loops.trigger import triggered
from charkh.monitors.collect import collect
from charkh.ports.store import Store

DAY = 86400.0


def answered(outcome: Outcome, trigger: str = "", moment: float = 0.0) -> Decision:
    said = Decided(loop="delay", decision="d", outcome=outcome, reason="", moment=moment, trigger=trigger)
    return Decision(decided=said, actor="ann", at=0.0, stamp="")


def on(text: str) -> LoopSettings:
    return LoopSettings(on=text, run="flights")


def test_a_new_version_triggers_until_a_retraining_answers_it(store: Store, month: Callable[..., str]) -> None:
    assert triggered(store, on("dataset:truth"), [], 0) is None
    first = month(1)
    found = triggered(store, on("dataset:truth"), [], 0)
    assert found is not None
    assert (found.subject, found.reason) == (first, "truth@1 is new")
    assert triggered(store, on("dataset:truth"), [answered("braked", first)], 0) == found, "a brake only puts it off"
    assert triggered(store, on("dataset:other"), [], 0) is None
    for outcome in ("promoted", "refused", "failed"):
        assert triggered(store, on("dataset:truth"), [answered(outcome, first)], 0) is None
    second = month(2)
    again = triggered(store, on("dataset:truth"), [answered("refused", first)], 0)
    assert again is not None
    assert again.subject == second


def test_an_alert_triggers_until_a_retraining_answers_it(store: Store) -> None:
    rows = pl.DataFrame({"wind": [float(n % 17) for n in range(500)]})

    def watch(shift: float) -> Any:
        return collect(store, "delay", reference=rows, live=rows + shift, alerts=["psi > 0.2"], moment=1e9 + shift)

    watch(0.0)
    assert triggered(store, on("monitor:delay"), [], 0) is None
    watch(100.0)
    found = triggered(store, on("monitor:delay"), [], 0)
    assert found is not None
    assert found.subject.startswith("alert:")
    assert found.reason.startswith("monitor delay: psi")
    assert triggered(store, on("monitor:delay"), [answered("refused", found.subject)], 0) is None
    assert triggered(store, on("monitor:other"), [], 0) is None


def test_time_triggers_at_once_and_then_when_it_has_passed(store: Store) -> None:
    found = triggered(store, on("every:7d"), [], 0)
    assert found is not None
    assert (found.subject, found.reason) == ("", "it has never run")
    history = [answered("braked", moment=5 * DAY), answered("refused", moment=0.0)]
    assert triggered(store, on("every:7d"), history, 6.9 * DAY) is None
    again = triggered(store, on("every:7d"), history, 7 * DAY)
    assert again is not None
    assert again.reason == "it is time"


@pytest.mark.parametrize("text", ["", "delay", "monitor:", "weather:delay", "every:soon"])
def test_what_is_no_trigger_is_refused(store: Store, text: str) -> None:
    with pytest.raises(Invalid):
        triggered(store, on(text), [], 0)
