"""The routes of one rollout while it is served: who answers a request, and what is counted of it.

A route is chosen on the event loop, from numbers that a thread brings up to date. A key falls on the same point of
[0, 1) in every process, and candidates lie there from 0 on: who is on a candidate stays on it while its share grows.
"""

import random
import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import NamedTuple

from charkh.core.gates import CHAMPION
from charkh.core.ids import new_id
from charkh.core.sequential import Sums
from charkh.endpoints.door import Headers
from charkh.endpoints.offer import Choice
from charkh.endpoints.rollouts.keys import hashed_share
from charkh.endpoints.rollouts.move import BANDITS
from charkh.endpoints.rollouts.rollout import BOUNDS, Counted, Counts, Plan, Rollout
from charkh.endpoints.servable import Servable

SHADOW = "shadow"
ROUTE_HEADER = "x-charkh-route"
"""Names the route of an answer; a client that sends it back stays on it."""


class _Now(NamedTuple):
    """What requests are sent by; replaced as a whole."""

    choices: tuple[Choice, ...]
    limits: tuple[float, ...]
    by_name: Mapping[str, int]
    shadows: tuple[tuple[float, Choice], ...]


class _Tally:
    """What this process has counted of one route."""

    __slots__ = ("bins", "failures", "requests", "rows", "seconds", "squares")

    def __init__(self) -> None:
        self.requests = self.rows = self.failures = 0
        self.seconds = self.squares = 0.0
        self.bins = [0] * (len(BOUNDS) + 1)

    def counts(self) -> Counts:
        return Counts(
            requests=self.requests,
            rows=self.rows,
            failures=self.failures,
            seconds=Sums(self.requests, self.seconds, self.squares),
            bins=tuple(self.bins),
        )


class RolloutSplit:
    """A `Split` of one rollout.

    Threads: `choose` is called on one event loop, the others anywhere.

    Args:
        rollout: as it stands.
        servables: by route, `champion` among them.
        random_number: gives numbers in [0, 1); for tests.

    Attributes:
        headers: lower-case names of the headers that are read.
        rollout: id of the rollout.
    """

    def __init__(
        self,
        rollout: Rollout,
        servables: Mapping[str, Servable],
        random_number: Callable[[], float] = random.random,
    ) -> None:
        self.rollout = rollout.id
        self._plan: Plan = rollout.begun.plan
        self._endpoint = rollout.begun.endpoint
        self._sticky = self._plan.sticky
        self.headers = (ROUTE_HEADER, self._sticky) if self._sticky else (ROUTE_HEADER,)
        self._random = random_number
        self._servables = dict(servables)
        self._routes = {id(servable): route for route, servable in servables.items()}
        self._lock = threading.Lock()
        self._writer = new_id()
        self._tallies = {route: _Tally() for route in servables}
        self._written: Counted | None = None
        self._now = self._as_of(rollout)

    def follow(self, rollout: Rollout) -> None:
        """Send requests by what the rollout says now."""
        self._now = self._as_of(rollout)

    def choose(self, headers: Headers) -> Choice:
        now = self._now
        named = headers.get(ROUTE_HEADER, "")
        number = now.by_name.get(named, -1) if named else -1
        if number < 0:
            key = headers.get(self._sticky, "") if self._sticky else ""
            place = hashed_share(self.rollout, key) if key else self._random()
            number = min(bisect_left(now.limits, place), len(now.choices) - 1)
        choice = now.choices[number]
        if not now.shadows:
            return choice
        asked = tuple(shadow.servable for share, shadow in now.shadows if share >= 1.0 or self._random() < share)
        return choice._replace(shadows=asked)

    def answered(self, choice: Choice, *, failed: bool, seconds: float, rows: int) -> None:
        # A shadow is known by its servable: the route that an answer names is not its own.
        tally = self._tallies.get(self._routes.get(id(choice.servable), choice.route))
        if tally is None:
            return
        with self._lock:
            tally.requests += 1
            tally.rows += rows
            tally.failures += failed
            tally.seconds += seconds
            tally.squares += seconds * seconds
            tally.bins[bisect_left(BOUNDS, seconds)] += 1

    def counted(self) -> Counted | None:
        """All that this process has counted; None where nothing came since this was asked last."""
        with self._lock:
            routes = {route: tally.counts() for route, tally in self._tallies.items() if tally.requests}
            found = Counted(endpoint=self._endpoint, rollout=self.rollout, writer=self._writer, routes=routes)
            if not routes or found == self._written:
                return None
            self._written = found
            return found

    def _as_of(self, rollout: Rollout) -> _Now:
        shares = {route: share for route, share in rollout.shares.items() if route in self._servables}
        if self._plan.way == SHADOW:
            shadows = tuple((share, Choice(self._servables[route], SHADOW)) for route, share in shares.items())
            return _Now((Choice(self._servables[CHAMPION], CHAMPION),), (1.0,), {CHAMPION: 0}, shadows)
        if self._plan.way in BANDITS:
            shares = bandit_shares(rollout, tuple(shares))
        routes = [*shares, CHAMPION]
        limits = (*accumulate(shares.values()), 1.0)
        choices = tuple(Choice(self._servables[route], route) for route in routes)
        return _Now(choices, limits, {route: number for number, route in enumerate(routes)}, ())


def bandit_shares(rollout: Rollout, routes: tuple[str, ...]) -> dict[str, float]:
    """By candidate, the share that a bandit gives it, from the rewards so far; the champion has the rest.

    Thompson sampling's share of an arm is the probability that it is the best one, which is drawn here: a Beta
    posterior for rewards from 0 to 1 (Thompson, Biometrika 25, 1933; Chapelle and Li, NeurIPS 2011). Epsilon-greedy
    gives the best mean all but epsilon (Sutton and Barto, section 2.2). No route gets less than the plan's floor.
    """
    plan = rollout.begun.plan
    arms = (CHAMPION, *routes)
    known = {route: rollout.count(route).rewards for route in arms}
    raw = _thompson(known) if plan.way == "thompson" else _greedy(known, plan.epsilon)
    floor = min(plan.floor, 1.0 / len(arms))
    raised = {route: floor + (1.0 - floor * len(arms)) * share for route, share in raw.items()}
    return {route: raised[route] for route in routes}


_DRAWS = 400


def _thompson(known: Mapping[str, Sums]) -> dict[str, float]:
    source = random.Random(0)  # noqa: S311 (the same rewards give the same shares in every process)
    wins = dict.fromkeys(known, 0)
    posterior = {route: _beta(sums) for route, sums in known.items()}
    for _ in range(_DRAWS):
        drawn = {route: source.betavariate(*ends) for route, ends in posterior.items()}
        wins[max(drawn, key=lambda route: drawn[route])] += 1
    return {route: count / _DRAWS for route, count in wins.items()}


def _beta(sums: Sums) -> tuple[float, float]:
    total = min(max(sums.total, 0.0), float(sums.count))
    return 1.0 + total, 1.0 + sums.count - total


def _greedy(known: Mapping[str, Sums], epsilon: float) -> dict[str, float]:
    unseen = [route for route, sums in known.items() if not sums.count]
    # What was never rewarded might be the best: it is tried first.
    best = unseen or [max(known, key=lambda route: known[route].mean)]
    each = epsilon / len(known)
    return {route: each + ((1.0 - epsilon) / len(best) if route in best else 0.0) for route in known}
