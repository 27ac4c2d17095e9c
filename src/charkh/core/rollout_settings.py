"""What `charkh.toml` says about rollouts: `[endpoint.NAME.rollout]`. Pure data, no I/O.

[endpoint.delay.rollout]
sticky = "x-user"
steps = [5, 25, 50]
every = "2h"
rollback = ["error_ratio > 0.02", "reward < champion @99%"]
"""

import math
from typing import Literal

import msgspec

from charkh.core.errors import Invalid
from charkh.core.gates import CHAMPION, parse_condition
from charkh.core.quantities import parse_duration

Way = Literal["canary", "ab", "shadow", "epsilon_greedy", "thompson"]
Measure = Literal["reward", "error_ratio", "seconds"]
WAYS: tuple[Way, ...] = ("canary", "ab", "shadow", "epsilon_greedy", "thompson")
MAX_CANDIDATES = 20
FACTS = frozenset(
    {
        "requests",
        "rows",
        "failures",
        "error_ratio",
        "seconds",
        "seconds_p50",
        "seconds_p99",
        "rewards",
        "reward",
        "share",
        "better",
        "worse",
    }
)
"""What is known about each route of a rollout; a caller may bring further facts, such as a monitor's."""


class RolloutSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[endpoint.NAME.rollout]`: how a candidate is let in, and when it is taken out again.

    Attributes:
        way: `canary` (in steps), `ab` (a fixed share), `shadow` (asked, not answered), `epsilon_greedy`, `thompson`.
        candidates: by route, the model that is tried as soon as the endpoint is served, such as `delay@candidate`;
            empty where somebody begins rollouts.
        percent: share of the requests that candidates get together, for `ab` and a canary without steps, or that
            a shadow is asked.
        steps: percentages of a canary, rising.
        every: how long a canary holds each step at least.
        least: requests, for a reward rewards, that each route needs before it is judged.
        sticky: header whose equal values stay on one route; by chance where it is not sent.
        epsilon: share of the requests by which `epsilon_greedy` explores.
        floor: share of the requests that a bandit gives every route at least.
        measure: what candidates are compared by; a reward is better when greater, the others when less.
        confidence: of the sequential test, whenever it is looked at.
        margin: by how much a candidate may be worse and still count as good enough for `promote`.
        rollback: conditions on a candidate's facts that take it out at once; `worse` is what the sequential test says.
        promote: `by_hand`, or `when_better` or `when_no_worse` by the sequential test (a canary after its last step).
        within: how long a rollout may stay undecided before it is rolled back; empty for ever.
    """

    way: Way = "canary"
    candidates: dict[str, str] = {}
    percent: float = 10.0
    steps: tuple[float, ...] = ()
    every: str = "1h"
    least: int = 100
    sticky: str = ""
    epsilon: float = 0.1
    floor: float = 0.01
    measure: Measure = "reward"
    confidence: float = 0.95
    margin: float = 0.0
    rollback: tuple[str, ...] = ("worse",)
    promote: Literal["by_hand", "when_better", "when_no_worse"] = "by_hand"
    within: str = ""


def check_rollout(settings: RolloutSettings, where: str) -> None:
    """Refuse what the types do not.

    Args:
        settings: to be checked.
        where: names them in errors.

    Raises:
        Invalid: a share, a duration, a condition or a step is none.
    """
    shares = {"percent": settings.percent / 100, "epsilon": settings.epsilon, "floor": settings.floor}
    for name, share in shares.items():
        if not 0.0 <= share <= 1.0:
            raise _wrong(where, f"{name} is {getattr(settings, name)}", "It is a share of the requests.")
    if not 0.5 <= settings.confidence < 1.0:
        raise _wrong(where, f"confidence is {settings.confidence}", "It is a number from 0.5 up to below 1.")
    if not math.isfinite(settings.margin) or settings.margin < 0 or settings.least < 1:
        raise _wrong(where, "margin or least is none", "A margin is not negative, and at least one request is needed.")
    if any(not 0 < step <= 100 for step in settings.steps) or list(settings.steps) != sorted(set(settings.steps)):
        raise _wrong(where, f"steps are {list(settings.steps)}", "They are percentages that rise, such as [1, 10, 50].")
    if settings.floor * (len(settings.candidates) + 1) > 1.0:
        raise _wrong(where, f"floor is {settings.floor}", "The routes together get one whole at most.")
    if len(settings.candidates) > MAX_CANDIDATES or CHAMPION in settings.candidates:
        raise _wrong(where, "candidates are too many, or one is called champion", "Champion is what answers now.")
    for text in (settings.every, settings.within):
        if text:
            parse_duration(text)
    for text in settings.rollback:
        condition = parse_condition(text)
        if condition.slice_by or condition.by:
            raise _wrong(where, f"rollback has {text!r}", "A rollout knows no slices and no approvals.")


def _wrong(where: str, what: str, hint: str) -> Invalid:
    return Invalid(f"{where} {what}", code="config.invalid", hint=hint)
