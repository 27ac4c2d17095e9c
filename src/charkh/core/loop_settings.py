"""What `charkh.toml` says about loops: triggers, retraining, the gate, the trial and the brakes. Pure data, no I/O."""

import re
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from charkh.core.cron import parse_cron
from charkh.core.errors import Invalid
from charkh.core.quantities import parse_duration

TRIGGERS = ("monitor", "dataset", "every", "cron", "alert")
_ON = "Write on = 'monitor:NAME', 'monitor:NAME/psi', 'dataset:NAME', 'every:7d', 'cron:0 3 * * mon' or 'alert:NAME'."
_BUDGET = re.compile(r"\s*(\S+)\s+in\s+(\S+)\s*")


class LoopSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[loop.NAME]`: what triggers retraining, what runs, which gate decides, how it is let in, and the brakes.

    Attributes:
        on: what triggers it, or a list of that: `monitor:NAME` (any alert), `monitor:NAME/FACT` (alerts about a fact,
            such as `psi`), `dataset:NAME` (a new version), `every:7d`, `cron:0 3 * * mon` (UTC), or `alert:NAME` (a
            notification of Alertmanager).
        run: name of the pipeline that makes a candidate.
        gate: name of the `[gate.NAME]` that decides on promotion.
        cooldown: shortest time between two retrainings, such as `7d`.
        looks: how many candidates a gate may judge on one and the same truth; 0 for no bound.
        holdout: the dataset on whose versions alone candidates may be judged; empty for any.
        budget: how many retrainings in how long, such as `4 in 30d`; empty for no bound.
        time_budget: how long retrainings may take together, such as `10h in 30d`; empty for no bound.
        freeze: spans in which nothing is retrained or promoted: `2026-12-20/2027-01-03`, or days, such as `sat`.
        patience: how long a candidate waits for approvals that are all that is missing, such as `7d`.
        endpoint: where a candidate that passed the gate is tried before it is promoted; empty to promote it at once.
        shadow: requests that it is asked there, without being answered with, before it gets a share; 0 for none.
    """

    on: str | tuple[str, ...]
    run: str
    gate: str = "champion"
    cooldown: str = "0s"
    looks: int = 0
    holdout: str = ""
    budget: str = ""
    time_budget: str = ""
    freeze: tuple[str, ...] = ()
    patience: str = "0s"
    endpoint: str = ""
    shadow: int = 0

    @property
    def triggers(self) -> tuple[str, ...]:
        """Each trigger."""
        return (self.on,) if isinstance(self.on, str) else self.on


class Budget(NamedTuple):
    """So much in so many seconds: retrainings, or seconds of them."""

    amount: float
    span: float


class Freeze(NamedTuple):
    """When nothing is done: between two moments (seconds since the epoch), or on a day of the week (Monday is 0)."""

    begin: float = 0.0
    end: float = 0.0
    weekday: int = -1

    def holds(self, moment: float) -> bool:
        """Whether it is so at a moment."""
        if self.weekday >= 0:
            return datetime.fromtimestamp(moment, UTC).weekday() == self.weekday
        return self.begin <= moment < self.end


def check_loop(settings: LoopSettings) -> None:
    """Refuse what the types do not.

    Raises:
        Invalid: a trigger, a duration, a budget or a span cannot be read.
    """
    if not settings.triggers:
        raise Invalid("a loop starts on nothing", code="loop.trigger", hint=_ON)
    for trigger in settings.triggers:
        parse_trigger(trigger)
    parse_duration(settings.cooldown)
    parse_duration(settings.patience)
    retrainings_of(settings)
    time_of(settings)
    for text in settings.freeze:
        parse_freeze(text)
    if settings.shadow and not settings.endpoint:
        raise Invalid(
            "a loop asks candidates as a shadow and names no endpoint",
            code="config.invalid",
            hint='Write endpoint = "NAME" where they are to be tried.',
        )


def parse_trigger(text: str) -> tuple[str, str]:
    """The kind of a trigger, and what it says.

    Raises:
        Invalid: it is of none of the forms.
    """
    kind, colon, rest = text.partition(":")
    if not colon or not rest or kind not in TRIGGERS:
        raise Invalid(f"a loop cannot start on {text!r}", code="loop.trigger", hint=_ON)
    if kind == "every":
        parse_duration(rest)
    if kind == "cron":
        parse_cron(rest)
    return kind, rest


def retrainings_of(settings: LoopSettings) -> Budget | None:
    """The bound on the number of retrainings, or None.

    Raises:
        Invalid: it cannot be read.
    """
    said = _budget(settings.budget)
    if said is None:
        return None
    if not said[0].isdecimal():
        raise _no_budget(settings.budget)
    return Budget(float(said[0]), parse_duration(said[1]))


def time_of(settings: LoopSettings) -> Budget | None:
    """The bound on the seconds of retrainings, or None.

    Raises:
        Invalid: it cannot be read.
    """
    said = _budget(settings.time_budget)
    return None if said is None else Budget(parse_duration(said[0]), parse_duration(said[1]))


def parse_freeze(text: str) -> Freeze:
    """A span between two dates or times (ISO 8601, UTC), the second of them outside; or a day of the week.

    Raises:
        Invalid: it is neither.
    """
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    if text.strip().lower() in days:
        return Freeze(weekday=days.index(text.strip().lower()))
    begin, slash, end = text.partition("/")
    try:
        span = Freeze(_moment(begin), _moment(end))
    except ValueError:
        span = Freeze()
    if not slash or span.begin >= span.end:
        raise Invalid(
            f"{text!r} is no span",
            code="config.invalid",
            hint="Write 2026-12-20/2027-01-03, where the second day is outside, or a day of the week: sat.",
        )
    return span


def _moment(text: str) -> float:
    found = datetime.fromisoformat(text.strip())
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _budget(text: str) -> tuple[str, str] | None:
    if not text:
        return None
    match = _BUDGET.fullmatch(text)
    if match is None:
        raise _no_budget(text)
    return match[1], match[2]


def _no_budget(text: str) -> Invalid:
    return Invalid(f"{text!r} is no budget", code="config.invalid", hint="Write 4 in 30d, or 10h in 30d.")
