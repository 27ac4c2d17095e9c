"""Rollouts: begun, moved, judged and ended as facts, split between routes, and the same after a restart."""

import random
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Conflict, Invalid, NotFound
from charkh.core.events import Draft
from charkh.core.rollout_settings import RolloutSettings, check_rollout
from charkh.core.sequential import observe
from charkh.endpoints.deploy import deploy
from charkh.endpoints.index import PROJECTION as ENDPOINTS
from charkh.endpoints.index import CurrentDeployment, Endpoints
from charkh.endpoints.log_index import PROJECTION as PREDICTIONS
from charkh.endpoints.rollouts.index import PROJECTION, CurrentRollout, RolloutById, Rollouts
from charkh.endpoints.rollouts.judge import judge_now, judge_rollout
from charkh.endpoints.rollouts.move import begin_rollout, end_rollout, move_rollout
from charkh.endpoints.rollouts.rollout import (
    COUNTED_KIND,
    FEEDBACK_KIND,
    Counted,
    Counts,
    Feedback,
    FeedbackItem,
    Rollout,
)
from charkh.endpoints.rollouts.split import RolloutSplit, bandit_shares
from charkh.endpoints.servable import Servable
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.ports.runtimes import Signature, TensorSpec
from charkh.ports.store import Store
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store

CHAMPION, RIVAL, OTHER = (f"model:{letter * 32}" for letter in "abc")
SIGNATURE = Signature(inputs=(TensorSpec(name="x", datatype="FP64"),), outputs=())


@pytest.fixture
def store() -> Store:
    made = memory_store(ENDPOINTS, PREDICTIONS, PROJECTION, LINEAGE)
    deploy(made, "delay", CHAMPION, signature=SIGNATURE)
    return made


def settings(**more: Any) -> RolloutSettings:
    return RolloutSettings(**more)


def servables(*routes: str) -> dict[str, Servable]:
    return {
        route: Servable(name="delay", version=route, subject="model:1", signature=SIGNATURE, predict=dict)
        for route in ("champion", *routes)
    }


def rewarded(store: Store, rollout: Rollout, seed: int = 1, **means: float) -> None:
    """A thousand yes-or-no rewards for each route, and as many requests."""
    rng = np.random.default_rng(seed)
    for route, mean in means.items():
        rewards: list[float] = (rng.random(1000) < mean).astype(float).tolist()
        items = [FeedbackItem(rng.bytes(16), route, reward) for reward in rewards]
        for start in (0, 500):
            body = Feedback(endpoint="delay", rollout=rollout.id, items=tuple(items[start : start + 500]))
            store.record(Draft(kind=FEEDBACK_KIND, subject="endpoint:delay", body=body))
        count(store, rollout, route, requests=1000)


def count(store: Store, rollout: Rollout, route: str, **numbers: int) -> None:
    counts = Counts(**numbers)  # pyright: ignore[reportArgumentType]
    body = Counted(endpoint="delay", rollout=rollout.id, writer=f"writer-{route}", routes={route: counts})
    store.record(Draft(kind=COUNTED_KIND, subject=f"rollout:{rollout.id}", body=body))


def test_one_rollout_at_a_time_and_saying_the_same_again_changes_nothing(store: Store) -> None:
    begun = begin_rollout(store, "delay", RIVAL, settings=settings(percent=20))
    assert begun.begun.champion == CHAMPION
    assert begun.shares == {"candidate": 0.2}
    assert begin_rollout(store, "delay", RIVAL, settings=settings(percent=20)).id == begun.id
    with pytest.raises(Conflict, match="goes on"):
        begin_rollout(store, "delay", OTHER)
    moved = move_rollout(store, "delay", {"candidate": 0.5}, reason="it looks well")
    assert (moved.shares, moved.moves) == ({"candidate": 0.5}, 1)
    assert move_rollout(store, "delay", {"candidate": 0.9}, after=0).shares == {"candidate": 0.5}
    ended = end_rollout(store, "delay", "promoted")
    assert ended.ended is not None
    assert (ended.ended.model, ended.shares) == (RIVAL, {})
    assert store.queries.ask(CurrentRollout(endpoint="delay")) is None
    with pytest.raises(NotFound, match="no rollout goes on"):
        end_rollout(store, "delay", "stopped")
    assert end_rollout(store, begun.id, "rolled_back").ended == ended.ended
    assert [each.id for each in store.queries.ask(Rollouts(endpoint="delay"))] == [begun.id]


def test_what_is_no_rollout_is_refused(store: Store) -> None:
    with pytest.raises(NotFound, match="nothing is deployed"):
        begin_rollout(store, "price", RIVAL)
    with pytest.raises(Invalid, match="no model"):
        begin_rollout(store, "delay", "run:1")
    with pytest.raises(Invalid, match="candidates"):
        begin_rollout(store, "delay", {"champion": RIVAL})
    begin_rollout(store, "delay", {"b": RIVAL, "c": OTHER})
    with pytest.raises(Invalid, match="no part of the whole"):
        move_rollout(store, "delay", {"b": 0.6, "c": 0.6})
    with pytest.raises(NotFound, match="no route 'd'"):
        move_rollout(store, "delay", {"d": 0.6})
    with pytest.raises(Invalid, match="several candidates"):
        end_rollout(store, "delay", "promoted")


@pytest.mark.parametrize(
    "wrong",
    [
        {"percent": 120},
        {"steps": (50, 5)},
        {"confidence": 1.0},
        {"every": "soon"},
        {"rollback": ("slice(a).auc > 1",)},
        {"least": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        check_rollout(settings(**wrong), "[endpoint.delay.rollout]")


def test_a_route_is_deployed_beside_what_answers(store: Store) -> None:
    route = deploy(store, "delay", RIVAL, signature=SIGNATURE, rollout="1" * 32, route="candidate")
    assert deploy(store, "delay", RIVAL, signature=SIGNATURE, rollout="1" * 32, route="candidate").id == route.id
    current = store.queries.ask(CurrentDeployment(endpoint="delay"))
    assert current is not None
    assert current.made.model == CHAMPION
    [summary] = store.queries.ask(Endpoints())
    assert (summary.deployments, summary.rivals) == (1, ())


def test_a_key_stays_on_its_route_and_on_the_candidate_while_its_share_grows(store: Store) -> None:
    begun = begin_rollout(store, "delay", RIVAL, settings=settings(percent=10, sticky="X-User"))
    split = RolloutSplit(begun, servables("candidate"))
    assert split.headers == ("x-charkh-route", "x-user")
    users = [{"x-user": f"user-{number}"} for number in range(3000)]
    first = [split.choose(user).route for user in users]
    assert [RolloutSplit(begun, servables("candidate")).choose(user).route for user in users] == first
    assert 240 < Counter(first)["candidate"] < 360
    split.follow(move_rollout(store, "delay", {"candidate": 0.3}))
    later = [split.choose(user).route for user in users]
    assert all(now == "candidate" for before, now in zip(first, later, strict=True) if before == "candidate")
    assert 800 < Counter(later)["candidate"] < 1000
    assert split.choose({"x-user": "user-1", "x-charkh-route": "champion"}).route == "champion"
    assert split.choose({"x-charkh-route": "nowhere"}).route in {"champion", "candidate"}


@given(st.dictionaries(st.sampled_from("bcd"), st.floats(0, 0.33), min_size=1), st.floats(0, 1, exclude_max=True))
def test_every_number_falls_on_a_route(shares: dict[str, float], number: float) -> None:
    begun = example(shares)
    choice = RolloutSplit(begun, servables(*"bcd"), lambda: number).choose({})
    edge = 0.0
    for route, share in shares.items():
        edge += share
        if number <= edge:
            assert choice.route == route
            return
    assert choice.route == "champion"


def example(shares: dict[str, float], **more: Any) -> Rollout:
    store = memory_store(ENDPOINTS, PREDICTIONS, PROJECTION, LINEAGE)
    arms = dict.fromkeys(shares, RIVAL)
    begun = begin_rollout(store, "delay", arms, champion=CHAMPION, settings=settings(**more))
    return msgspec.structs.replace(begun, shares=shares)


def test_a_shadow_never_answers_and_is_counted_as_the_candidate(store: Store) -> None:
    begun = begin_rollout(store, "delay", RIVAL, settings=settings(way="shadow", percent=100))
    split = RolloutSplit(begun, servables("candidate"))
    choice = split.choose({})
    assert choice.route == "champion"
    assert [each.version for each in choice.shadows] == ["candidate"]
    assert split.choose({"x-charkh-route": "candidate"}).route == "champion"
    split.answered(choice, failed=False, seconds=0.004, rows=3)
    split.answered(choice._replace(servable=choice.shadows[0], route="shadow"), failed=True, seconds=0.2, rows=3)
    counted = split.counted()
    assert counted is not None
    assert split.counted() is None
    assert (counted.routes["candidate"].failures, counted.routes["champion"].rows) == (1, 3)
    store.record(Draft(kind=COUNTED_KIND, subject=begun.subject, body=counted))
    facts = judge_rollout(store, "delay").routes[0].facts
    assert (facts["error_ratio"], facts["seconds_p99"]) == (1.0, 0.25)


def test_counts_of_several_processes_add_up_and_each_replaces_its_own(store: Store) -> None:
    begun = begin_rollout(store, "delay", RIVAL)
    splits = [RolloutSplit(begun, servables("candidate"), lambda: 0.0) for _ in range(2)]
    for _ in range(3):
        for split in splits:
            split.answered(split.choose({}), failed=False, seconds=0.01, rows=2)
            body = split.counted()
            assert body is not None
            store.record(Draft(kind=COUNTED_KIND, subject=begun.subject, body=body))
    found = store.queries.ask(RolloutById(rollout=begun.id))
    assert found is not None
    assert (found.count("candidate").requests, found.count("candidate").rows) == (6, 12)


def test_the_last_word_about_an_answer_counts_once(store: Store) -> None:
    begun = begin_rollout(store, "delay", RIVAL)
    for rewards in ([0.0, 1.0], [0.5]):
        items = tuple(FeedbackItem(b"a" * 16, "candidate", reward) for reward in rewards)
        body = Feedback(endpoint="delay", rollout=begun.id, items=items)
        store.record(Draft(kind=FEEDBACK_KIND, subject="endpoint:delay", body=body))
    found = store.queries.ask(RolloutById(rollout=begun.id))
    assert found is not None
    assert found.count("candidate").rewards == observe([0.5])


def test_a_better_candidate_is_promoted_and_a_worse_one_rolled_back(store: Store) -> None:
    plan = settings(way="ab", percent=50, promote="when_better")
    begun = begin_rollout(store, "delay", RIVAL, settings=plan)
    assert judge_rollout(store, "delay").action == "wait"
    rewarded(store, begun, champion=0.4, candidate=0.6)
    verdict = judge_rollout(store, "delay")
    assert (verdict.action, verdict.route, verdict.routes[0].said) == ("promote", "candidate", "better")
    end_rollout(store, "delay", "stopped")
    again = begin_rollout(store, "delay", RIVAL, settings=plan)
    rewarded(store, again, champion=0.6, candidate=0.4)
    verdict = judge_rollout(store, "delay")
    assert verdict.action == "roll_back"
    assert verdict.reason.startswith("candidate: worse")


def test_an_alarm_takes_one_of_several_candidates_out_and_the_last_one_ends_it(store: Store) -> None:
    plan = settings(way="ab", percent=60, rollback=("error_ratio > 0.02", "psi > 0.2"), least=50)
    begun = begin_rollout(store, "delay", {"b": RIVAL, "c": OTHER}, settings=plan)
    count(store, begun, "b", requests=40, failures=40)
    assert judge_rollout(store, "delay").action == "wait"
    count(store, begun, "b", requests=60, failures=40)
    verdict = judge_rollout(store, "delay")
    assert (verdict.action, verdict.route, verdict.shares) == ("drop", "b", {"c": 0.3})
    move_rollout(store, "delay", verdict.shares)
    assert judge_rollout(store, "delay", facts={"b.psi": 1.0}).action == "wait"
    verdict = judge_rollout(store, "delay", facts={"c.psi": 0.3})
    assert (verdict.action, verdict.route) == ("roll_back", "c")


def test_a_canary_holds_each_step_until_it_has_seen_enough(store: Store) -> None:
    plan = settings(steps=(5, 50), every="10m", promote="when_no_worse", margin=0.2, rollback=(), within="1d")
    begun = begin_rollout(store, "delay", RIVAL, settings=plan)
    now = begun.at
    assert judge_now(begun, {}, now + 601).action == "wait"
    rewarded(store, begun, champion=0.5, candidate=0.5)
    verdict = judge_rollout(store, "delay", moment=now + 599)
    assert verdict.action == "wait"
    verdict = judge_rollout(store, "delay", moment=now + 601)
    assert (verdict.action, verdict.shares) == ("move", {"candidate": 0.5})
    moved = move_rollout(store, "delay", verdict.shares, after=verdict.after)
    assert judge_now(moved, {}, moved.moved_at + 1).action == "wait"
    verdict = judge_now(moved, {}, moved.moved_at + 601)
    assert (verdict.action, verdict.routes[0].said) == ("promote", "no_worse")
    undecided = msgspec.structs.replace(moved, counts={})
    assert judge_now(undecided, {}, now + 86_401).action == "roll_back"


@pytest.mark.parametrize("way", ["epsilon_greedy", "thompson"])
def test_a_bandit_learns_from_feedback_and_its_state_is_in_the_store(store: Store, way: Any) -> None:
    plan = settings(way=way, epsilon=0.1, floor=0.02)
    begun = begin_rollout(store, "delay", {"b": RIVAL, "c": OTHER}, settings=plan)
    assert begun.shares == pytest.approx({"b": 1 / 3, "c": 1 / 3})
    rewarded(store, begun, champion=0.3, b=0.7, c=0.2)
    found = store.queries.ask(RolloutById(rollout=begun.id))
    assert found is not None
    shares = bandit_shares(found, ("b", "c"))
    assert shares["b"] > 0.85
    assert shares["c"] >= 0.02
    assert bandit_shares(found, ("b", "c")) == shares
    split = RolloutSplit(found, servables("b", "c"), random.Random(1).random)
    routes = Counter(split.choose({}).route for _ in range(500))
    assert routes["b"] > 400


def test_a_bandit_gives_less_and_less_to_what_is_worse() -> None:
    """Of 4,000 requests, the worse arm of 0.5 and 0.6 gets far less than the half that an even split gives it."""
    source, lost = random.Random(4), Counter[str]()
    begun = example({"b": 0.5}, way="thompson")
    rewards: dict[str, list[float]] = {"champion": [], "b": []}
    for _ in range(40):
        counts = {route: Counts(rewards=observe(said)) for route, said in rewards.items()}
        share = bandit_shares(msgspec.structs.replace(begun, counts=counts), ("b",))["b"]
        for _ in range(100):
            route = "b" if source.random() < share else "champion"
            lost[route] += 1
            rewards[route].append(float(source.random() < {"b": 0.6, "champion": 0.5}[route]))
    assert lost["champion"] < 1200


def test_the_catalog_is_the_same_in_any_order(store: Store) -> None:
    begun = begin_rollout(store, "delay", {"b": RIVAL, "c": OTHER})
    rewarded(store, begun, champion=0.3, b=0.7)
    move_rollout(store, "delay", {"b": 0.2})
    end_rollout(store, "delay", "rolled_back", route="c")
    assert_order_free([ENDPOINTS, PREDICTIONS, PROJECTION, LINEAGE], payloads_of(store), [Rollouts()], rounds=2)
