"""A rollout while it is served: split, counted, fed back, promoted by itself, and the same after a restart."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from charkh.core.errors import Invalid, NotFound
from charkh.core.ids import new_id
from charkh.endpoints.application import Application
from charkh.endpoints.door import Door
from charkh.endpoints.feedback import Feedbacks, feedback_routes, read_feedback, reward_of
from charkh.endpoints.index import DeploymentById
from charkh.endpoints.instruments import REQUESTS
from charkh.endpoints.prediction import parse_prediction_id
from charkh.endpoints.read import predictions
from charkh.endpoints.rollouts.index import CurrentRollout, FeedbackSums, Rollouts
from charkh.endpoints.rollouts.judge import judge_rollout
from charkh.endpoints.rollouts.move import begin_rollout, end_rollout
from charkh.models.alias import move_alias
from charkh.models.find import find
from charkh.models.register import register
from charkh.models.trust import distrust
from charkh.workspace.metering import watch_of
from charkh.workspace.rollouts import promote_route
from charkh.workspace.serving import Serving
from charkh.workspace.workspace import Workspace, open_workspace

SETTINGS = """
[endpoint.delay]
model = "delay@champion"
[endpoint.delay.rollout]
way = "ab"
percent = 50
sticky = "x-user"
promote = "when_better"

[endpoint.both.graph]
root = "vote"
[endpoint.both.graph.node.vote]
kind = "combiner"
how = "vote"
of = ["old", "new"]
[endpoint.both.graph.node.old]
kind = "model"
model = "delay@1"
[endpoint.both.graph.node.new]
kind = "model"
model = "delay@2"
"""
RECORD = b'[{"hour": 9, "wind": 1}]'


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "charkh.toml").write_text(SETTINGS)
    hours, wind = np.array([1.0, 9.0, 17.0, 22.0]), np.array([3.5, 2.0, 1.0, 2.0])
    with open_workspace(tmp_path) as opened:
        for strength in (1.0, 0.01):
            estimator: Any = LogisticRegression(C=strength)
            model = estimator.fit(np.column_stack([hours, wind]), [0, 1, 1, 0])
            register(opened.store, "delay", model, runtimes=opened.runtimes, example={"hour": hours, "wind": wind})
        move_alias(opened.store, "delay@1", "champion")
        yield opened


class Client:
    """Asks an application, and lets it look at the workspace again."""

    def __init__(self, workspace: Workspace) -> None:
        self.serving = Serving(workspace)
        door = Door("127.0.0.1", open_inference=True)
        makers = (feedback_routes(Feedbacks(workspace.store)),)
        self.watch = watch_of(workspace)
        self.application = Application(
            self.serving.offer(), door, reload=self.serving.offer, makers=makers, watch=self.watch
        )

    def ask(self, path: str, body: bytes = RECORD, **headers: str) -> tuple[int, Any, dict[str, str]]:
        async def read(_limit: int) -> bytes:
            return body

        async def asked() -> Any:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            return await self.application.respond("POST", path, "127.0.0.1", given, read)

        reply = asyncio.run(asked())
        return reply.status, msgspec.json.decode(reply.body), dict(reply.headers)

    def counted(self) -> dict[str, float]:
        """Requests by the label `route`."""
        (requests,) = [each for each in self.watch.instruments.meters.read() if each.name == REQUESTS]
        found: dict[str, float] = {}
        for each in requests.samples:
            found[each.labels["route"]] = found.get(each.labels["route"], 0.0) + each.value
        return found

    def refresh(self) -> None:
        asyncio.run(self.application.refresh())


def test_a_graph_answers_like_a_model_and_its_deployment_names_all_of_it(workspace: Workspace) -> None:
    client = Client(workspace)
    status, answer, _ = client.ask("/predict/both")
    assert status == 200
    identifier = parse_prediction_id(answer["predictions"][0]["prediction_id"]).deployment
    deployment = workspace.store.queries.ask(DeploymentById(deployment=identifier))
    assert deployment is not None
    assert deployment.made.models == (
        find(workspace.store, "delay@1").subject,
        find(workspace.store, "delay@2").subject,
    )
    assert '"vote"' in deployment.made.graph
    again = Serving(workspace).offer()
    assert [each.log.deployment for each in again.servables if each.name == "both" and each.log] == [identifier]


def test_a_candidate_is_split_off_fed_back_and_wins(workspace: Workspace) -> None:
    store, client = workspace.store, Client(workspace)
    assert "x-charkh-route" not in client.ask("/predict/delay")[2]
    candidate = find(store, "delay@2")
    plan = workspace.settings.endpoint["delay"].rollout
    begun = begin_rollout(store, "delay", candidate.subject, settings=plan)
    client.refresh()
    said: list[dict[str, Any]] = []
    routes: set[str] = set()
    for number in range(40):
        _, answer, headers = client.ask("/predict/delay", x_user=f"user-{number}")
        route = headers["x-charkh-route"]
        routes.add(route)
        again = client.ask("/predict/delay", x_user=f"user-{number}")
        assert again[2]["x-charkh-route"] == route
        assert answer["model_version"] == {"champion": "1", "candidate": "2"}[route]
        said.append({"prediction_id": answer["predictions"][0]["prediction_id"], "reward": route == "candidate"})
    assert routes == {"champion", "candidate"}
    by_route = client.counted()
    assert by_route.pop("") == 1
    assert set(by_route) == routes
    assert sum(by_route.values()) == 80
    status, taken, _ = client.ask("/feedback/delay", msgspec.json.encode(said))
    assert (status, taken) == (200, {"taken": 40})
    client.serving.close()
    found = store.queries.ask(CurrentRollout(endpoint="delay"))
    assert found is not None
    assert sum(each.requests for each in found.counts.values()) == 80
    assert (found.count("candidate").rewards.mean, found.count("champion").rewards.mean) == (1.0, 0.0)
    # Another process goes on where this one stopped.
    other = Client(workspace)
    keyed = [{"key": f"order-{number}", "route": route, "reward": number % 10 < (8 if route == "candidate" else 3)}
             for number in range(400) for route in ("champion", "candidate")]  # fmt: skip
    for index, item in enumerate(keyed):
        item["key"] = f"order-{index}"
    Feedbacks(store).take("delay", read_feedback(msgspec.json.encode(keyed)))
    rollout = other.serving._rollouts["delay"]  # pyright: ignore[reportPrivateUsage]
    rollout._looked = -1e9  # pyright: ignore[reportPrivateUsage]
    other.refresh()
    assert find(store, "delay@champion").id == candidate.id
    other.refresh()
    assert other.ask("/predict/delay")[1]["model_version"] == "2"
    [ended] = store.queries.ask(Rollouts(endpoint="delay"))
    assert ended.ended is not None
    assert (ended.id, ended.ended.outcome, ended.ended.model) == (begun.id, "promoted", candidate.subject)


def test_a_champion_that_is_replaced_by_hand_ends_the_rollout(workspace: Workspace) -> None:
    store, client = workspace.store, Client(workspace)
    begin_rollout(store, "delay", find(store, "delay@2").subject)
    client.refresh()
    move_alias(store, "delay@2", "champion")
    client.refresh()
    [ended] = store.queries.ask(Rollouts())
    assert ended.ended is not None
    assert (ended.ended.outcome, ended.ended.route) == ("promoted", "candidate")
    assert "x-charkh-route" not in client.ask("/predict/delay")[2]


def test_a_shadow_is_asked_after_the_answer_and_counted(workspace: Workspace) -> None:
    store, client = workspace.store, Client(workspace)
    plan = msgspec.structs.replace(workspace.settings.endpoint["delay"].rollout, way="shadow", percent=100)
    begun = begin_rollout(store, "delay", find(store, "delay@2").subject, settings=plan)
    client.refresh()
    for _ in range(5):
        assert client.ask("/predict/delay")[2]["x-charkh-route"] == "champion"
    client.application._shadows._pool.shutdown(wait=True)  # pyright: ignore[reportPrivateUsage]
    client.serving.close()
    found = store.queries.ask(CurrentRollout(endpoint="delay"))
    assert found is not None
    assert (found.count("candidate").requests, found.count("champion").requests) == (5, 5)
    assert promote_route(workspace, "delay").ended is not None
    assert begun.id == found.id


def test_what_a_shadow_said_is_logged_and_is_no_answer(workspace: Workspace) -> None:
    store, client = workspace.store, Client(workspace)
    plan = msgspec.structs.replace(workspace.settings.endpoint["delay"].rollout, way="shadow", percent=100)
    begin_rollout(store, "delay", find(store, "delay@2").subject, settings=plan)
    client.refresh()
    client.ask("/predict/delay")
    client.application._shadows._pool.shutdown(wait=True)  # pyright: ignore[reportPrivateUsage]
    for each in client.serving.offer().servables:
        if each.log is not None:
            each.log.flush()
    assert sorted(predictions(store, "delay")["route"]) == ["candidate", "champion"]
    assert predictions(store, "delay", shadows=False)["route"].to_list() == ["champion"]


def test_the_candidate_of_a_loop_is_promoted_by_the_loop(workspace: Workspace) -> None:
    store, client = workspace.store, Client(workspace)
    plan = workspace.settings.endpoint["delay"].rollout
    begin_rollout(store, "delay", find(store, "delay@2").subject, settings=plan, decided_by=new_id())
    client.refresh()
    wins = {"champion": 3, "candidate": 8}
    said = [{"key": f"order-{number}-{route}", "route": route, "reward": number % 10 < won}
            for number in range(400) for route, won in wins.items()]  # fmt: skip
    Feedbacks(store).take("delay", read_feedback(msgspec.json.encode(said)))
    assert judge_rollout(store, "delay").action == "promote"
    rollout = client.serving._rollouts["delay"]  # pyright: ignore[reportPrivateUsage]
    rollout._looked = -1e9  # pyright: ignore[reportPrivateUsage]
    client.refresh()
    assert find(store, "delay@champion").ref == "delay@1"
    assert store.queries.ask(CurrentRollout(endpoint="delay")) is not None


def test_a_rollout_is_looked_at_sooner_at_first(workspace: Workspace) -> None:
    store, client = workspace.store, Client(workspace)
    begin_rollout(store, "delay", find(store, "delay@2").subject)
    client.refresh()
    rollout = client.serving._rollouts["delay"]  # pyright: ignore[reportPrivateUsage]
    pauses: list[float] = []
    for _ in range(5):
        pauses.append(rollout._pause)  # pyright: ignore[reportPrivateUsage]
        rollout._looked -= rollout._pause  # pyright: ignore[reportPrivateUsage]
        client.refresh()
    assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_feedback_that_is_about_nothing_is_refused_and_truth_is_a_reward(workspace: Workspace) -> None:
    store, client = workspace.store, Client(workspace)
    _, answer, _ = client.ask("/predict/delay")
    row = answer["predictions"][0]
    feedbacks = Feedbacks(store)
    label = next(name for name in row if name != "prediction_id")
    said = {"prediction_id": row["prediction_id"], "truth": row[label], "output": label}
    assert feedbacks.take("delay", read_feedback(msgspec.json.encode(said))) == 1
    sums = store.queries.ask(FeedbackSums(endpoint="delay"))
    assert sums[""].count == 1
    for wrong in (b"{", b"[]", b"[1]", b'{"reward": 1}', b'{"key": "a", "truth": 1}', b'{"prediction_id": "a"}'):
        assert client.ask("/feedback/delay", wrong)[0] == 400
    with pytest.raises(Invalid, match="about an answer of 'delay'"):
        feedbacks.take("both", read_feedback(msgspec.json.encode(said)))
    assert client.ask("/feedback/nothing")[0] == 404
    with pytest.raises(NotFound):
        end_rollout(store, "delay", "stopped")


@pytest.mark.parametrize(
    ("predicted", "truth", "reward"),
    [("EU", "EU", 1.0), (b"EU", "US", 0.0), (2, 2, 1.0), (2.5, 2, -0.5), (2.5, 3.0, -0.5), (True, True, 1.0)],
)
def test_what_a_prediction_was_worth(predicted: Any, truth: Any, reward: float) -> None:
    assert reward_of(predicted, truth) == reward


def test_a_candidate_that_is_distrusted_is_taken_out(workspace: Workspace) -> None:
    client = Client(workspace)
    begin_rollout(
        workspace.store,
        "delay",
        {"new": find(workspace.store, "delay@2").subject},
        champion=find(workspace.store, "delay@1").subject,
        settings=workspace.settings.endpoint["delay"].rollout,
    )
    client.refresh()
    assert len([each for each in client.application.offered if each.name == "delay"]) == 2
    distrust(workspace.store, "delay@2", "it leaks")
    client.refresh()
    assert [each.version for each in client.application.offered if each.name == "delay"] == ["1"]
    (rollout,) = workspace.store.queries.ask(Rollouts(endpoint="delay"))
    assert rollout.ended is not None
    assert "it leaks" in rollout.ended.reason
