"""Judge a rollout: what is known of each route, what the sequential test says of it, and what should be done now."""

import math
import time
from collections.abc import Mapping
from typing import Literal

import msgspec

from charkh.core.events import Fact
from charkh.core.gates import CHAMPION, Evidence, Verdict, judge, parse_condition
from charkh.core.rollout_settings import FACTS
from charkh.core.sequential import Comparison, Sums, compare
from charkh.core.sequential import judge as judge_interval
from charkh.endpoints.rollouts.move import find_rollout
from charkh.endpoints.rollouts.rollout import Counts, Rollout
from charkh.ports.store import Store

Action = Literal["wait", "move", "drop", "promote", "roll_back", "ended"]


class RouteVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one candidate.

    Attributes:
        route: its route.
        model: `model:ID`.
        facts: what conditions read, such as `error_ratio`.
        comparison: with the champion, by the rollout's measure.
        said: `better`, `worse`, `no_worse` or `undecided`.
        alarms: conditions for taking it out that are met.
    """

    route: str
    model: str
    facts: dict[str, float | int | bool | str]
    comparison: Comparison
    said: str
    alarms: tuple[Verdict, ...] = ()


class RolloutVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What should be done now.

    Attributes:
        rollout: id.
        endpoint: name.
        action: `wait`, `move` (to `shares`), `drop` (one candidate of several; to `shares`), `promote` (`route`),
            `roll_back`, or `ended` where it has ended.
        route: the candidate that it is about, or empty.
        shares: to move to.
        after: how many moves there had been when it was judged.
        reason: in a sentence.
        champion: what is known of the champion.
        routes: what is known of each candidate that is still asked.
    """

    rollout: str
    endpoint: str
    action: Action
    route: str = ""
    shares: dict[str, float] = {}
    after: int = 0
    reason: str
    champion: dict[str, float | int | bool | str] = {}
    routes: tuple[RouteVerdict, ...] = ()


def judge_rollout(
    store: Store, endpoint: str, *, facts: Mapping[str, Fact] | None = None, moment: float | None = None
) -> RolloutVerdict:
    """What should be done with the rollout at an endpoint; it only looks.

    Args:
        store: where it is.
        endpoint: its name, or the id of a rollout.
        facts: further facts about the candidates that conditions may read, such as a monitor's `psi`; one that is
            about a single candidate is named ROUTE.FACT.
        moment: seconds since the epoch; now by default.

    Raises:
        NotFound: no rollout goes on there.
    """
    return judge_now(find_rollout(store, endpoint), facts or {}, time.time() if moment is None else moment)


def judge_now(rollout: Rollout, facts: Mapping[str, Fact], moment: float) -> RolloutVerdict:
    """As `judge_rollout`, of what is known already."""
    champion = route_facts(rollout, CHAMPION)
    routes = tuple(_judged(rollout, route, champion, facts) for route in rollout.routes if route != CHAMPION)
    verdict = RolloutVerdict(
        rollout=rollout.id,
        endpoint=rollout.begun.endpoint,
        action="wait",
        after=rollout.moves,
        reason=f"undecided after {sum(route.comparison.observations for route in routes)} observations",
        champion=champion,
        routes=routes,
    )
    if rollout.ended is not None:
        return msgspec.structs.replace(verdict, action="ended", reason=f"it was {rollout.ended.outcome}")
    for decide in (_alarmed, _promoted, _overdue, _moved):
        changes = decide(rollout, routes, moment)
        if changes:
            return msgspec.structs.replace(verdict, **changes)
    return verdict


def route_facts(rollout: Rollout, route: str) -> dict[str, float | int | bool | str]:
    """What is known of a route; a number that nothing was observed of is left out."""
    counts, shares = rollout.count(route), rollout.shares
    share = shares.get(route, 0.0) if route != CHAMPION else 1.0 - math.fsum(shares.values()) * _answers(rollout)
    known: dict[str, float | int | bool | str] = {
        "requests": counts.requests,
        "rows": counts.rows,
        "failures": counts.failures,
        "rewards": counts.rewards.count,
        "share": share,
    }
    numbers = {
        "error_ratio": counts.errors.mean,
        "seconds": counts.seconds.mean,
        "seconds_p50": counts.quantile(0.5),
        "seconds_p99": counts.quantile(0.99),
        "reward": counts.rewards.mean,
    }
    return {**known, **{name: number for name, number in numbers.items() if not math.isnan(number)}}


def measured(counts: Counts, measure: str) -> Sums:
    """The stream that candidates are compared by."""
    return {"reward": counts.rewards, "error_ratio": counts.errors}.get(measure, counts.seconds)


def _answers(rollout: Rollout) -> float:
    return 0.0 if rollout.begun.plan.way == "shadow" else 1.0


def _judged(rollout: Rollout, route: str, champion: Mapping[str, Fact], further: Mapping[str, Fact]) -> RouteVerdict:
    plan = rollout.begun.plan
    # Several candidates are several tests: together they err no more often than one may (Bonferroni).
    confidence = 1.0 - (1.0 - plan.confidence) / len(rollout.begun.arms)
    comparison = compare(
        measured(rollout.count(CHAMPION), plan.measure),
        measured(rollout.count(route), plan.measure),
        confidence=confidence,
        least=plan.least,
    )
    said = judge_interval(comparison, greater_is_better=plan.measure == "reward", margin=plan.margin)
    facts = route_facts(rollout, route)
    facts |= {"better": said == "better", "worse": said == "worse"}
    own = f"{route}."
    facts |= {name.removeprefix(own): fact for name, fact in further.items() if "." not in name or name.startswith(own)}
    return RouteVerdict(
        route=route,
        model=rollout.model(route),
        facts=facts,
        comparison=comparison,
        said=said,
        alarms=tuple(_alarms(rollout, facts, champion)),
    )


def _alarms(rollout: Rollout, facts: Mapping[str, Fact], champion: Mapping[str, Fact]) -> list[Verdict]:
    """The conditions that are met; a share of few requests is not believed."""
    plan = rollout.begun.plan
    enough = int(facts.get("requests", 0)) >= plan.least
    conditions = [parse_condition(text) for text in plan.rollback]
    believed = [each for each in conditions if enough or each.fact not in FACTS or each.fact in {"worse", "failures"}]
    return [verdict for verdict in judge(believed, Evidence(candidate=facts, champion=champion)) if verdict.met]


def _alarmed(rollout: Rollout, routes: tuple[RouteVerdict, ...], _moment: float) -> dict[str, object]:
    alarmed = [route for route in routes if route.alarms]
    if not alarmed:
        return {}
    first = alarmed[0]
    reason = f"{first.route}: {'; '.join(f'{alarm.condition} ({alarm.reason})' for alarm in first.alarms)}"
    left = {route: share for route, share in rollout.shares.items() if route not in {each.route for each in alarmed}}
    if not left:
        return {"action": "roll_back", "route": first.route, "reason": reason}
    return {"action": "drop", "route": first.route, "reason": reason, "shares": left}


def _promoted(rollout: Rollout, routes: tuple[RouteVerdict, ...], moment: float) -> dict[str, object]:
    plan = rollout.begun.plan
    if plan.promote == "by_hand" or (plan.way == "canary" and not _held(rollout, moment)):
        return {}
    good = {"better"} if plan.promote == "when_better" else {"better", "no_worse"}
    best = [route for route in routes if route.said in good]
    if not best:
        return {}
    sign = 1.0 if plan.measure == "reward" else -1.0
    winner = max(best, key=lambda route: sign * route.comparison.difference)
    return {"action": "promote", "route": winner.route, "reason": _told(winner, plan.measure)}


def _overdue(rollout: Rollout, _routes: tuple[RouteVerdict, ...], moment: float) -> dict[str, object]:
    within = rollout.begun.plan.within
    if not within or moment - rollout.at < within:
        return {}
    return {"action": "roll_back", "reason": f"undecided after {within:.0f} s, which is all the time that it has"}


def _moved(rollout: Rollout, routes: tuple[RouteVerdict, ...], moment: float) -> dict[str, object]:
    """The next step of a canary, once this one has been held long enough and seen enough."""
    plan = rollout.begun.plan
    later = [step for step in plan.steps if step > _percent(rollout) + 1e-9]
    waited = moment - rollout.moved_at >= plan.every
    seen = all(rollout.count(route.route).requests >= plan.least for route in routes)
    if plan.way != "canary" or not later or not waited or not seen:
        return {}
    shares = dict.fromkeys(rollout.shares, later[0] / 100 / len(rollout.shares))
    return {"action": "move", "shares": shares, "reason": f"{_percent(rollout):g} % held, on to {later[0]:g} %"}


def _held(rollout: Rollout, moment: float) -> bool:
    """Whether a canary has been held at its last step."""
    steps = rollout.begun.plan.steps
    return not steps or (
        _percent(rollout) >= steps[-1] - 1e-9 and moment - rollout.moved_at >= rollout.begun.plan.every
    )


def _percent(rollout: Rollout) -> float:
    return 100 * math.fsum(rollout.shares.values())


def _told(route: RouteVerdict, measure: str) -> str:
    found = route.comparison
    return (
        f"{route.route} is {route.said.replace('_', ' ')}: {measure} differs by {found.difference:+.4g}, "
        f"from {found.lower:+.4g} to {found.upper:+.4g} at any moment, after {found.observations} observations"
    )
