"""What `charkh.toml` says about monitors: what is watched, the truth, and when somebody is told. Pure data, no I/O."""

import msgspec

from charkh.core.errors import Invalid
from charkh.core.gates import parse_condition
from charkh.core.quantities import parse_duration

JOINT_TESTS = ("mmd", "domain")
"""Tests of many columns at once."""


class AlertSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One alert of `[monitor.NAME] alert`, where it has terms of its own; what is empty is the monitor's.

    Attributes:
        when: the condition, such as `psi > 0.2`.
        severity: such as `warning` or `page`.
        owner: who looks after it.
        runbook: address of what to do.
        cooldown: for how long a condition that goes on being met raises nothing more.
    """

    when: str
    severity: str = ""
    owner: str = ""
    runbook: str = ""
    cooldown: str = ""


class MonitorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[monitor.NAME]`: the truth to join and the alerts to raise.

    Attributes:
        endpoint: whose requests are watched; the one of the monitor's own name by default.
        truth: `DATASET on KEY within 45d`; `posted within 45d` for what is sent to `/truth/NAME`; or empty.
        known_at: column of the truth's dataset with the time at which it was known; without, when it was recorded.
        predicted_at: column of the requests with the time of the prediction; without, when it was answered.
        target: the column of the truth that the model predicts.
        block: a column whose equal values share what made them, such as the day: for the intervals, and for the
            p-values of drift where requests and the reference have it too.
        segments: columns by whose values drift and metrics are also given, the largest ten values of each.
        score: output of the model that is its score; without, `predict_proba`, or else `predict`.
        estimate: whether performance is estimated before the truth is known.
        held_out: dataset with the target that the model was not fitted to, from which estimates are learned; without,
            they are from the predictions whose truth is known.
        threshold: score from which on a row counts as predicted positive, in estimates.
        multivariate: tests of all inputs at once: `mmd`, `domain` or both.
        embedding: a column of vectors, in requests and the reference, that is compared by itself.
        every: shortest time between two collections by `charkh up`, such as 1d; empty to collect by hand.
        alert: conditions that raise an alert when met; a condition, or a table of one and its terms.
        severity: of its alerts, such as `warning` or `page`.
        owner: who looks after them.
        runbook: address of what to do.
        cooldown: for how long a condition that goes on being met raises nothing more; `0s` to raise at each collection.
    """

    endpoint: str = ""
    truth: str = ""
    known_at: str = ""
    predicted_at: str = ""
    target: str = ""
    block: str = ""
    segments: tuple[str, ...] = ()
    score: str = ""
    estimate: bool = False
    held_out: str = ""
    threshold: float = 0.5
    multivariate: tuple[str, ...] = ()
    embedding: str = ""
    every: str = ""
    alert: tuple[str | AlertSettings, ...] = ()
    severity: str = "warning"
    owner: str = ""
    runbook: str = ""
    cooldown: str = "0s"

    @property
    def alerts(self) -> tuple[AlertSettings, ...]:
        """Each alert with all of its terms."""
        written = (AlertSettings(when=each) if isinstance(each, str) else each for each in self.alert)
        return tuple(
            AlertSettings(
                when=each.when,
                severity=each.severity or self.severity,
                owner=each.owner or self.owner,
                runbook=each.runbook or self.runbook,
                cooldown=each.cooldown or self.cooldown,
            )
            for each in written
        )


def check_monitor(settings: MonitorSettings) -> None:
    """Refuse what the types do not.

    Raises:
        Invalid: a duration or condition cannot be read, a test is unknown, or estimates have nothing to learn from.
    """
    unknown = [each for each in settings.multivariate if each not in JOINT_TESTS]
    if unknown:
        raise Invalid(
            f"no test of many columns is called {unknown[0]!r}",
            code="monitor.multivariate",
            hint=f"There are: {', '.join(JOINT_TESTS)}.",
        )
    if settings.estimate and not (settings.target and (settings.truth or settings.held_out)):
        raise Invalid(
            "an estimate needs a target, and a truth or a held-out dataset to learn from",
            code="monitor.estimate",
            hint='Write `target = "COLUMN"`, and `truth = "DATASET on KEY"` or `held_out = "DATASET"`.',
        )
    if settings.every:
        parse_duration(settings.every)
    for each in settings.alerts:
        parse_condition(each.when)
        parse_duration(each.cooldown)
