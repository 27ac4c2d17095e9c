"""What holds a loop back although something triggered it: cooldown, budget, freeze, looks at one truth. Pure."""

from collections.abc import Sequence

from charkh.core.loop_settings import LoopSettings, parse_freeze, retrainings_of, time_of
from charkh.core.quantities import parse_duration
from charkh.loops.loop import Decision

RETRAINED = frozenset({"promoted", "refused", "failed", "waiting", "trying", "superseded"})
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


def spent(settings: LoopSettings, history: Sequence[Decision], moment: float) -> str:
    """Why the budget holds the loop at `moment`, or empty.

    Args:
        settings: of the loop.
        history: its decisions, newest first.
        moment: seconds since the epoch.
    """
    done = [each.decided for each in history if each.decided.outcome in RETRAINED]
    most = retrainings_of(settings)
    if most is not None:
        count = sum(moment - most.span < each.moment <= moment for each in done)
        if count >= most.amount:
            return f"there were {count} retrainings in {_days(most.span)}, and the budget is {settings.budget}"
    longest = time_of(settings)
    if longest is not None:
        seconds = sum(each.seconds for each in done if moment - longest.span < each.moment <= moment)
        if seconds >= longest.amount:
            return (
                f"retrainings took {_days(seconds)} in {_days(longest.span)}, and the budget is {settings.time_budget}"
            )
    return ""


def frozen(settings: LoopSettings, moment: float) -> str:
    """The span of `freeze` that holds the loop at `moment`, in words, or empty."""
    held = next((text for text in settings.freeze if parse_freeze(text).holds(moment)), "")
    return f"it is frozen: {held}" if held else ""


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
    if span >= 86400:
        return f"{span / 86400:.1f} days"
    return f"{span / 3600:.1f} hours" if span >= 3600 else f"{span / 60:.0f} minutes"
