"""What sets a loop going: an alert of a monitor, a new version of a dataset, or time."""

from collections.abc import Sequence

from charkh.core.errors import Invalid
from charkh.core.loop_settings import LoopSettings
from charkh.core.quantities import parse_duration
from charkh.datasets.index import DatasetVersions
from charkh.loops.brakes import RETRAINED
from charkh.loops.loop import Decision, Trigger
from charkh.monitors.alert_index import Alerts
from charkh.ports.store import Store


def triggered(store: Store, settings: LoopSettings, history: Sequence[Decision], moment: float) -> Trigger | None:
    """What triggers the loop at `moment`, or None.

    An alert or a version triggers until a retraining has answered it; a brake only puts it off.

    Args:
        store: where alerts and versions are.
        settings: its `on`.
        history: the loop's decisions, newest first.
        moment: seconds since the epoch.

    Raises:
        Invalid: `on` is not of the three forms.
    """
    kind, colon, name = settings.on.partition(":")
    if not colon or not name or kind not in {"monitor", "dataset", "every"}:
        raise Invalid(
            f"a loop cannot start on {settings.on!r}",
            code="loop.trigger",
            hint="Write on = 'monitor:NAME', 'dataset:NAME' or 'every:7d'.",
        )
    answered = {each.decided.trigger for each in history if each.decided.outcome in RETRAINED}
    if kind == "every":
        return _by_time(history, parse_duration(name), moment)
    return _by_alert(store, name, answered) if kind == "monitor" else _by_version(store, name, answered)


def _by_alert(store: Store, name: str, answered: set[str]) -> Trigger | None:
    newest = next(iter(store.queries.ask(Alerts(monitor=name))), None)
    if newest is None or newest.subject in answered:
        return None
    return Trigger(subject=newest.subject, reason=f"monitor {name}: {newest.made.reason}")


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
