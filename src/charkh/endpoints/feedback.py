"""Take what came of answers: a reward, or the truth that says it; durable before it is acknowledged.

Requests that come while one event is written are written together in the next one, so that a thousand a second cost
few events.
"""

import asyncio
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from charkh.core.errors import CharkhError, Invalid, NotFound
from charkh.core.events import Draft
from charkh.core.gates import CHAMPION
from charkh.endpoints.deployment import Deployment
from charkh.endpoints.find import find
from charkh.endpoints.inference_server import InferenceServer, RouteMaker
from charkh.endpoints.prediction import parse_prediction_id
from charkh.endpoints.rollouts.index import CurrentRollout
from charkh.endpoints.rollouts.keys import about, hashed_share
from charkh.endpoints.rollouts.rollout import FEEDBACK_KIND, MAX_ITEMS, Feedback, FeedbackItem, Rollout
from charkh.endpoints.route import Act, Reply, Route
from charkh.endpoints.servable import Servable
from charkh.ports.store import Store

MAX_BATCH = 10_000
MAX_TRUTHS = 200
"""Items of one request that bring the truth instead of a reward: for each the logged answer is read."""


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client says about one answer.

    Attributes:
        prediction_id: that the answer carried.
        key: instead of it, a name that the client gives the answer, such as an order's number.
        route: with a key, the route that the answer named; a rollout that is sticky by this key knows it.
        reward: greater is better; true and false are 1 and 0.
        truth: instead of it, what the prediction should have been; see `reward_of`.
        output: which output the truth is about; the first by default.
    """

    prediction_id: str = ""
    key: str = ""
    route: str = ""
    reward: float | bool | None = None
    truth: float | int | bool | str | None = None
    output: str = ""


_decode: Callable[[bytes], Said | list[Said]] = msgspec.json.Decoder(Said | list[Said]).decode


def read_feedback(body: bytes) -> list[Said]:
    """What a request says: one object, or a list of them.

    Raises:
        Invalid: it is something else, or too many.
    """
    try:
        said = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"this is no feedback: {error}", code="feedback.invalid", hint=_HINT) from error
    items = said if isinstance(said, list) else [said]
    if not 0 < len(items) <= MAX_BATCH:
        raise Invalid(f"{len(items)} items at once", code="feedback.invalid", hint=f"Send from 1 to {MAX_BATCH}.")
    return items


class Feedbacks:
    """Records feedback of one store. Threads: any.

    Args:
        store: where the facts go.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._deployments: dict[str, Deployment] = {}
        self._waiting: list[_Waiting] = []
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def take(self, endpoint: str, said: Sequence[Said]) -> int:
        """Record what was said about answers of an endpoint; how many there were.

        Raises:
            Invalid: an item has no reward, or nobody knows which answer it is about. Then none was recorded.
            NotFound: a prediction, or a deployment, is not known here.
            Unavailable: the journal cannot be written.
        """
        if sum(each.truth is not None for each in said) > MAX_TRUTHS:
            raise Invalid("too many truths at once", code="feedback.invalid", hint=f"Send {MAX_TRUTHS} at a time.")
        going_on = self._store.queries.ask(CurrentRollout(endpoint=endpoint))
        items: dict[str, list[FeedbackItem]] = {}
        for number, each in enumerate(said):
            rollout, item = self._item(endpoint, each, going_on, number)
            items.setdefault(rollout, []).append(item)
        waiting = [_Waiting(endpoint, rollout, found) for rollout, found in items.items()]
        self._write(waiting)
        return len(said)

    def _write(self, mine: "list[_Waiting]") -> None:
        with self._lock:
            self._waiting += mine
        with self._writing:
            with self._lock:
                taken, self._waiting = self._waiting, []
            if taken:
                self._record(taken)
        failure = next((each.failure for each in mine if each.failure is not None), None)
        if failure is not None:
            raise failure

    def _record(self, taken: "list[_Waiting]") -> None:
        together: dict[tuple[str, str], list[FeedbackItem]] = {}
        for each in taken:
            together.setdefault((each.endpoint, each.rollout), []).extend(each.items)
        try:
            self._store.record(
                *(
                    Draft(
                        kind=FEEDBACK_KIND,
                        subject=f"endpoint:{endpoint}",
                        body=Feedback(
                            endpoint=endpoint, rollout=rollout, items=tuple(items[start : start + MAX_ITEMS])
                        ),
                    )
                    for (endpoint, rollout), items in together.items()
                    for start in range(0, len(items), MAX_ITEMS)
                ),
                durable=True,
            )
        except CharkhError as error:
            for each in taken:
                each.failure = error

    def _item(self, endpoint: str, said: Said, going_on: Rollout | None, number: int) -> tuple[str, FeedbackItem]:
        if bool(said.prediction_id) == bool(said.key):
            raise _wrong(number, "names no answer", "Give prediction_id, or a key of your own.")
        if said.key:
            return self._keyed(said, going_on, number)
        deployment = self._deployment(said.prediction_id)
        if deployment.made.endpoint != endpoint:
            raise _wrong(number, f"is about an answer of {deployment.made.endpoint!r}", "Send it there.")
        reward = said.reward if said.reward is not None else self._hit(said, number)
        return deployment.made.rollout, _item(said.prediction_id, deployment.made.route, reward, number)

    def _keyed(self, said: Said, going_on: Rollout | None, number: int) -> tuple[str, FeedbackItem]:
        if said.reward is None:
            raise _wrong(number, "has a key and no reward", "The truth needs the prediction's id; send a reward.")
        route = said.route
        if going_on is not None and not route:
            if not going_on.begun.plan.sticky:
                raise _wrong(number, "has a key and no route", "Send the answer's x-charkh-route as route.")
            route = route_of_key(going_on, said.key)
        if going_on is not None and not going_on.model(route):
            raise _wrong(number, f"names the route {route!r}", f"There are: {', '.join(going_on.routes)}.")
        return going_on.id if going_on is not None else "", _item(said.key, route, said.reward, number)

    def _deployment(self, prediction: str) -> Deployment:
        identifier = parse_prediction_id(prediction).deployment
        found = self._deployments.get(identifier)
        if found is None:
            found = find(self._store, identifier)
            if len(self._deployments) > 1000:
                self._deployments.clear()
            self._deployments[identifier] = found
        return found

    def _hit(self, said: Said, number: int) -> float:
        if said.truth is None:
            raise _wrong(number, "has neither a reward nor a truth", "Give one of them.")
        # Here, because it reads tables, and rewards need none.
        from charkh.endpoints.read import prediction

        outputs = prediction(self._store, said.prediction_id).outputs
        if not outputs:
            raise _wrong(number, "brings the truth about an answer that was not logged", "Send a reward.")
        output = said.output or next(iter(outputs))
        if output not in outputs:
            raise NotFound(f"item {number}: there is no output {output!r}", code="feedback.no_output", hint=_HINT)
        return reward_of(outputs[output], said.truth)


class _Waiting:
    """Feedback that waits to be written."""

    __slots__ = ("endpoint", "failure", "items", "rollout")

    def __init__(self, endpoint: str, rollout: str, items: list[FeedbackItem]) -> None:
        self.endpoint, self.rollout, self.items = endpoint, rollout, items
        self.failure: CharkhError | None = None


def reward_of(predicted: Any, truth: float | int | bool | str) -> float:
    """What a prediction was worth: less its distance for a number with fractions, else 1 for a hit and 0 for a miss."""
    said = predicted.decode(errors="replace") if isinstance(predicted, bytes) else predicted
    if isinstance(said, float) and isinstance(truth, float | int):
        return -abs(said - truth)
    return float(said == truth or str(said) == str(truth))


def route_of_key(rollout: Rollout, key: str) -> str:
    """The route that a key is on now in a sticky rollout."""
    edge, place = 0.0, hashed_share(rollout.id, key)
    for route, share in rollout.shares.items():
        edge += share
        if place <= edge:
            return route
    return CHAMPION


def _item(name: str, route: str, reward: float | bool, number: int) -> FeedbackItem:
    if not math.isfinite(reward):
        raise _wrong(number, f"has the reward {reward}", "It is a number.")
    return FeedbackItem(about(name), route, float(reward))


_HINT = 'Send {"prediction_id": "…", "reward": 1}, or a list of such.'


def _wrong(number: int, what: str, hint: str) -> Invalid:
    return Invalid(f"item {number} {what}", code="feedback.invalid", hint=hint)


def feedback_routes(feedbacks: Feedbacks) -> RouteMaker:
    """`POST /feedback/NAME` for everything that is served (see `read_feedback`); it answers how many were taken."""

    def acting(name: str) -> Act:
        def take(body: bytes) -> Reply:
            return Reply(200, msgspec.json.encode({"taken": feedbacks.take(name, read_feedback(body))}))

        return lambda request: asyncio.to_thread(take, request.body)

    def routes(servables: Sequence[Servable], _application: InferenceServer) -> dict[str, Route]:
        names = {servable.name for servable in servables}
        return {f"/feedback/{name}": Route(("POST",), act=acting(name)) for name in names}

    return routes
