"""A candidate of the loop on live requests: asked as a shadow, then answering half of them, until the loop decides."""

import time
from collections.abc import Callable, Iterator, Sequence

import polars as pl

from charkh.core.errors import Unavailable
from charkh.core.gates import CHAMPION
from charkh.demo.client import InferenceClient
from charkh.endpoints.index import CurrentDeployment
from charkh.endpoints.rollouts.index import CurrentRollout, RolloutById
from charkh.endpoints.rollouts.rollout import Rollout
from charkh.loops.loop import Decision
from charkh.ports.store import Store

CANARY = 30
"""Requests that the canary gets to be judged by: ten days of three airports. The two answer in turn, as the caller
says: by the server's chance, no two runs of the year would come out alike."""
SERVED_SECONDS = 30.0
DECIDED_SECONDS = 10.0
"""A server writes what it counted after one, three and seven seconds; then the rest of the month decides."""
Turn = Callable[[], Decision]


class Requests:
    """The requests of a month, in the order of its days: each is the departures of one airport on one day.

    Args:
        rows: the month's schedule.
        client: that sends them.
    """

    def __init__(self, rows: pl.DataFrame, client: InferenceClient) -> None:
        self._waiting: Iterator[pl.DataFrame] = iter(rows.partition_by("month", "day", "origin", maintain_order=True))
        self._client = client
        self.sent = 0
        self.rows = 0
        self.days = 0

    def send(self, count: int | None = None, routes: Sequence[str] = ("",)) -> None:
        """Send the next so many, or all that are left.

        Args:
            count: how many at most; None for all.
            routes: that answer in turn; an empty one for whichever the server chooses.

        Raises:
            Unavailable: the server refuses or does not answer.
        """
        for number, part in enumerate(self._waiting, start=1):
            self.rows += len(self._client.infer(part, routes[number % len(routes)]))
            self.sent += 1
            self.days = int(part["day"][0])
            if number == count:
                break


def try_candidate(store: Store, endpoint: str, shadow: int, requests: Requests, turn: Turn) -> Decision | None:
    """Let the candidate that waits for it be tried, as far as the requests reach; None where none waits.

    Args:
        store: where the rollout is.
        endpoint: where it is tried.
        shadow: requests that it is asked as a shadow.
        requests: of the month.
        turn: turns the loop that tries it.

    Raises:
        Unavailable: the server does not come to serve it.
    """
    rollout = store.queries.ask(CurrentRollout(endpoint=endpoint))
    if rollout is None:
        return None
    if rollout.begun.plan.way == "shadow":
        _wait_for_arm(store, rollout)
        requests.send(shadow)
        shadowed = rollout
        _until(turn, lambda _: _is_over(store, shadowed))
        rollout = store.queries.ask(CurrentRollout(endpoint=endpoint))
        if rollout is None:
            return turn()
    _wait_for_arm(store, rollout)
    requests.send(CANARY, (CHAMPION, rollout.begun.arms[0].route))
    return _until(turn, lambda decision: decision.decided.outcome != "trying")


def wait_for_version(store: Store, endpoint: str, model: str) -> None:
    """Return when a version (its subject) answers all requests of an endpoint.

    Raises:
        Unavailable: it does not come to do so.
    """
    _wait_for(store, CurrentDeployment(endpoint=endpoint), model)


def wait_for_end(store: Store, rollout: Rollout) -> Rollout:
    """The rollout when it is over.

    Raises:
        Unavailable: it goes on.
    """
    deadline = time.monotonic() + SERVED_SECONDS
    while True:
        found = store.queries.ask(RolloutById(rollout=rollout.id))
        if found is not None and found.ended is not None:
            return found
        if time.monotonic() > deadline:
            raise Unavailable(f"the rollout {rollout.id} goes on", code="demo.not_served")
        time.sleep(0.1)


def routes_of(rollouts: Sequence[Rollout]) -> tuple[int, int]:
    """Requests that the champion and the candidate were asked in rollouts."""
    champion = sum(each.count("champion").requests for each in rollouts)
    return champion, sum(each.count(arm.route).requests for each in rollouts for arm in each.begun.arms)


def _wait_for_arm(store: Store, rollout: Rollout) -> None:
    (arm,) = rollout.begun.arms
    asked = CurrentDeployment(endpoint=rollout.begun.endpoint, rollout=rollout.id, route=arm.route)
    _wait_for(store, asked, arm.model)


def _wait_for(store: Store, asked: CurrentDeployment, model: str) -> None:
    deadline = time.monotonic() + SERVED_SECONDS
    while True:
        found = store.queries.ask(asked)
        if found is not None and found.made.model == model:
            break
        if time.monotonic() > deadline:
            raise Unavailable(f"the server does not serve {model}", code="demo.not_served")
        time.sleep(0.05)
    time.sleep(0.3)  # it is deployed a moment before it is asked


def _is_over(store: Store, rollout: Rollout) -> bool:
    found = store.queries.ask(RolloutById(rollout=rollout.id))
    return found is not None and found.ended is not None


def _until(turn: Turn, changed: Callable[[Decision], bool]) -> Decision:
    """Turn the loop until something changed, or for as long as a server takes to write what it counted."""
    deadline = time.monotonic() + DECIDED_SECONDS
    while True:
        decision = turn()
        if changed(decision) or time.monotonic() > deadline:
            return decision
        time.sleep(0.25)
