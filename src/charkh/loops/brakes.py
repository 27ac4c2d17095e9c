"""What holds a loop back although something triggered it: a cooldown, and a bound on looks at one truth. Pure."""

from collections.abc import Sequence

from charkh.core.loop_settings import LoopSettings
from charkh.core.quantities import parse_duration
from charkh.loops.loop import Decision

RETRAINED = frozenset({"promoted", "refused", "failed"})
WRITTEN_EVERY = 86400.0
"""Seconds after which a brake that still holds is written down again."""


def cooling(settings: LoopSettings, history: Sequence[Decision], moment: float) -> str:
    """Why the cooldown holds the loop at `moment`, or empty.

    Args:
        settings: of the loop.
        history: its decisions, newest first.
        moment: seconds since the epoch.
    """
    wait = parse_duration(settings.cooldown)
    last = next((each.decided.moment for each in history if each.decided.outcome in RETRAINED), None)
    if last is None or moment - last >= wait:
        return ""
    return f"the last retraining was {_days(moment - last)} ago, and the cooldown is {settings.cooldown}"


def looked_enough(settings: LoopSettings, looks: int) -> str:
    """Why a truth on which `looks` candidates were judged may not be looked at again, or empty.

    Each look at one truth is one more chance to win by luck.
    """
    if settings.looks and looks >= settings.looks:
        return f"{looks} candidates were already judged on this truth, and {settings.looks} is the bound"
    return ""


def braked_before(history: Sequence[Decision], trigger: str, moment: float) -> Decision | None:
    """The loop's newest decision, where it is a brake on this trigger that is less than a day old.

    Its `model` is set where the retraining was done and taught nothing; trying again at once would teach as little.
    """
    newest = history[0] if history else None
    if newest is None or newest.decided.outcome != "braked" or newest.decided.trigger != trigger:
        return None
    return newest if moment - newest.decided.moment < WRITTEN_EVERY else None


def _days(span: float) -> str:
    return f"{span / 86400:.1f} days" if span >= 86400 else f"{span / 3600:.1f} hours"
