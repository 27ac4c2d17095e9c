"""What sets a loop going: an alert, a new version of a dataset, a notification from outside, or time."""

from collections.abc import Sequence

from charkh.core.cron import last_before, parse_cron
from charkh.core.gates import parse_condition
from charkh.core.loop_settings import LoopSettings, parse_trigger
from charkh.core.quantities import parse_duration
from charkh.datasets.index import DatasetVersions
from charkh.loops.brakes import RETRAINED
from charkh.loops.loop import Decision, Trigger
from charkh.loops.notified_index import Notifications
from charkh.loops.notify import FIRING
from charkh.monitors.alert_index import Alerts
from charkh.ports.store import Store

FIRST = 3600.0
"""Seconds after a time of the clock within which a loop that has never run still takes it."""


def triggered(store: Store, settings: LoopSettings, history: Sequence[Decision], moment: float) -> Trigger | None:
    """What triggers the loop at `moment`, or None; of several, the first that the settings name.

    An alert, a version or a notification triggers until a retraining has answered it; a brake only puts it off.

    Args:
        store: where alerts, versions and notifications are.
        settings: its `on`.
        history: the loop's decisions, newest first.
        moment: seconds since the epoch.

    Raises:
        Invalid: `on` is of none of the forms.
    """
    answered = {each.decided.trigger for each in history if each.decided.outcome in RETRAINED}
    for text in settings.triggers:
        kind, said = parse_trigger(text)
        found = _found(store, kind, said, answered, history, moment)
        if found is not None:
            return found
    return None


def _found(
    store: Store, kind: str, said: str, answered: set[str], history: Sequence[Decision], moment: float
) -> Trigger | None:
    if kind == "every":
        return _by_time(history, parse_duration(said), moment)
    if kind == "cron":
        return _by_clock(history, said, moment)
    if kind == "alert":
        return _by_notification(store, said, answered)
    return _by_alert(store, said, answered) if kind == "monitor" else _by_version(store, said, answered)


def _by_alert(store: Store, said: str, answered: set[str]) -> Trigger | None:
    name, _, fact = said.partition("/")
    raised = store.queries.ask(Alerts(monitor=name))
    newest = next((each for each in raised if not fact or parse_condition(each.made.condition).fact == fact), None)
    if newest is None or newest.subject in answered:
        return None
    return Trigger(subject=newest.subject, reason=f"monitor {name}: {newest.made.reason}")


def _by_notification(store: Store, name: str, answered: set[str]) -> Trigger | None:
    newest = next(iter(store.queries.ask(Notifications(name=name, status=FIRING))), None)
    if newest is None or newest.subject in answered:
        return None
    return Trigger(subject=newest.subject, reason=f"alert {name}: {newest.made.summary or 'fires'}")


def _by_version(store: Store, name: str, answered: set[str]) -> Trigger | None:
    newest = next(iter(store.queries.ask(DatasetVersions(name=name))), None)
    if newest is None or newest.subject in answered:
        return None
    return Trigger(subject=newest.subject, reason=f"{newest.ref} is new")


def _by_time(history: Sequence[Decision], span: float, moment: float) -> Trigger | None:
    last = next((each.decided.moment for each in history if each.decided.outcome in RETRAINED), None)
    if last is not None and moment - last < span:
        return None
    return Trigger(reason="it is time" if last is not None else "it has never run")


def _by_clock(history: Sequence[Decision], cron: str, moment: float) -> Trigger | None:
    due = last_before(parse_cron(cron), moment)
    last = next((each.decided.moment for each in history if each.decided.outcome in RETRAINED), None)
    # A loop that has never run waits for its first time instead of catching up on what was before it.
    begun = history[-1].decided.moment if last is None and history else last
    if due is None or (begun is not None and begun >= due):
        return None
    if begun is None and moment - due > FIRST:
        return None
    return Trigger(reason=f"it is time ({cron})")
