"""What `charkh.toml` says about monitors: what is watched, the truth, and when somebody is told. Pure data, no I/O."""

import msgspec

from charkh.core.gates import parse_condition
from charkh.core.quantities import parse_duration


class MonitorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[monitor.NAME]`: the truth to join and the alerts to raise.

    Attributes:
        endpoint: whose requests are watched; the one of the monitor's own name by default.
        truth: `DATASET on KEY within 45d`, or empty.
        target: the column of the truth that the model predicts.
        block: a column whose equal values share what made them, such as the day, for the intervals.
        every: shortest time between two collections by `charkh up`, such as 1d; empty to collect by hand.
        alert: conditions that raise an alert when met.
    """

    endpoint: str = ""
    truth: str = ""
    target: str = ""
    block: str = ""
    every: str = ""
    alert: tuple[str, ...] = ()


def check_monitor(settings: MonitorSettings) -> None:
    """Refuse what the types do not.

    Raises:
        Invalid: a duration or condition cannot be read.
    """
    if settings.every:
        parse_duration(settings.every)
    for text in settings.alert:
        parse_condition(text)
