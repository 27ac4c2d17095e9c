"""The noun: what a rollout is, what its events say, and what is counted of its routes. Pure data, no I/O."""

from typing import Literal

import msgspec

from charkh.core.gates import CHAMPION
from charkh.core.sequential import Sums

BEGUN_KIND = "rollout.begun/1"
MOVED_KIND = "rollout.moved/1"
ENDED_KIND = "rollout.ended/1"
COUNTED_KIND = "rollout.counted/1"
FEEDBACK_KIND = "endpoint.feedback/1"

TRIES = "tries"
AGAINST = "against"
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends in seconds of the bins that latencies are counted in; one more bin holds what took longer."""
MAX_ITEMS = 500
"""Feedback in one event."""

Outcome = Literal["promoted", "rolled_back", "stopped"]


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One route of a rollout and the model on it, `model:ID`."""

    route: str
    model: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a rollout goes on: the settings that it was begun with (`RolloutSettings`), durations in seconds.

    It is part of events, so that what changes in `charkh.toml` does not change a rollout that goes on.
    """

    way: str = "canary"
    steps: tuple[float, ...] = ()
    every: float = 0.0
    least: int = 100
    sticky: str = ""
    epsilon: float = 0.1
    floor: float = 0.01
    measure: str = "reward"
    confidence: float = 0.95
    margin: float = 0.0
    rollback: tuple[str, ...] = ()
    promote: str = "by_hand"
    within: float = 0.0


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `rollout.begun/1`.

    Attributes:
        endpoint: name of the endpoint.
        rollout: id of the rollout, which is the subject's id.
        champion: subject of the model that answers without it, `model:ID`.
        arms: the candidates.
        shares: by route of a candidate, its share of the requests from 0 to 1; the champion has the rest.
        plan: how it goes on.
        reason: why, in a sentence, without credentials.
        decided_by: id of the decision of a loop, or empty for a person.
    """

    endpoint: str
    rollout: str
    champion: str
    arms: tuple[Arm, ...]
    shares: dict[str, float]
    plan: Plan
    reason: str = ""
    decided_by: str = ""


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `rollout.moved/1`: other shares from now on.

    Attributes:
        endpoint: name of the endpoint.
        rollout: id of the rollout.
        number: of the move, from 1.
        shares: by route of a candidate; one that is not in it is asked no more.
        reason: why, in a sentence, without credentials.
        decided_by: id of the decision of a loop, or empty.
    """

    endpoint: str
    rollout: str
    number: int
    shares: dict[str, float]
    reason: str = ""
    decided_by: str = ""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `rollout.ended/1`: the champion alone answers, whichever that is.

    Attributes:
        endpoint: name of the endpoint.
        rollout: id of the rollout.
        outcome: `promoted`, `rolled_back` or `stopped`.
        route: of the candidate that was promoted, or that was the reason; empty for none.
        model: its model, `model:ID`, or empty.
        counts: by route, what was known then.
        reason: why, in a sentence, without credentials.
        decided_by: id of the decision of a loop, or empty.
    """

    endpoint: str
    rollout: str
    outcome: str
    route: str = ""
    model: str = ""
    counts: dict[str, "Counts"] = {}
    reason: str = ""
    decided_by: str = ""


class Counts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is counted of one route.

    Attributes:
        requests: that it was asked, as a shadow too.
        rows: in them.
        failures: requests that its model did not answer, by its own fault.
        seconds: of the model, a request each.
        bins: requests by the seconds that they took, as `BOUNDS`.
        rewards: feedback.
    """

    requests: int = 0
    rows: int = 0
    failures: int = 0
    seconds: Sums = Sums()
    bins: tuple[int, ...] = ()
    rewards: Sums = Sums()

    def __add__(self, other: "Counts") -> "Counts":
        size = max(len(self.bins), len(other.bins))
        ours, theirs = (each.bins + (0,) * (size - len(each.bins)) for each in (self, other))
        return Counts(
            requests=self.requests + other.requests,
            rows=self.rows + other.rows,
            failures=self.failures + other.failures,
            seconds=self.seconds + other.seconds,
            bins=tuple(one + another for one, another in zip(ours, theirs, strict=True)),
            rewards=self.rewards + other.rewards,
        )

    @property
    def errors(self) -> Sums:
        """The stream of requests that failed (1) or did not (0)."""
        return Sums(self.requests, float(self.failures), float(self.failures))

    def quantile(self, share: float) -> float:
        """An upper bound of the seconds within which this share of the requests was answered; NaN without requests."""
        wanted, seen = share * sum(self.bins), 0
        for bound, count in zip((*BOUNDS, float("inf")), self.bins, strict=False):
            seen += count
            if count and seen >= wanted:
                return bound
        return float("nan")


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `rollout.counted/1`: what one process has counted since it began; its next one takes this one's place.

    Attributes:
        endpoint: name of the endpoint.
        rollout: id of the rollout.
        writer: id of the process's counts.
        routes: by route.
    """

    endpoint: str
    rollout: str
    writer: str
    routes: dict[str, Counts]


class FeedbackItem(msgspec.Struct, frozen=True, array_like=True):
    """What came of one answer.

    Attributes:
        about: 16 bytes that name the answer: a digest of the prediction's id, or of the key that a client gave.
        route: that answered; empty where it is not known.
        reward: greater is better.
    """

    about: bytes
    route: str
    reward: float


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `endpoint.feedback/1`: at most `MAX_ITEMS` at once; the last word about an answer counts.

    Attributes:
        endpoint: name of the endpoint.
        rollout: id of the rollout that the answers belong to; empty for none.
        items: what came of them.
    """

    endpoint: str
    rollout: str = ""
    items: tuple[FeedbackItem, ...]


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout as the catalog answers it.

    Attributes:
        begun: what its first event says.
        shares: by route of a candidate, its share now; empty after its end.
        moves: how often the shares have moved.
        moved_at: seconds since the epoch of the last move, or of the beginning.
        ended: what its end says; None while it goes on.
        counts: by route, `champion` among them, what has been counted.
        actor: who began it, `user@host`.
        at: seconds since the epoch of the beginning.
        ended_at: of the end, or None.
        stamp: the total order of concurrent rollouts.
    """

    begun: Begun
    shares: dict[str, float]
    moves: int
    moved_at: float
    ended: Ended | None
    counts: dict[str, Counts]
    actor: str
    at: float
    ended_at: float | None
    stamp: str

    @property
    def id(self) -> str:
        return self.begun.rollout

    @property
    def subject(self) -> str:
        """`rollout:ID`, as it stands in edges."""
        return f"rollout:{self.begun.rollout}"

    @property
    def routes(self) -> tuple[str, ...]:
        """`champion`, and the candidates that are still asked."""
        return (CHAMPION, *(arm.route for arm in self.begun.arms if arm.route in self.shares))

    def count(self, route: str) -> Counts:
        return self.counts.get(route, Counts())

    def model(self, route: str) -> str:
        """Subject of the model on a route; empty where there is none of that name."""
        if route == CHAMPION:
            return self.begun.champion
        return next((arm.model for arm in self.begun.arms if arm.route == route), "")
