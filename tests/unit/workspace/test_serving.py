"""Endpoints in one process: warmed up, swapped, put back without a load, taken down, and let go for memory."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.errors import Conflict, Denied, NotFound, Unavailable
from charkh.datasets.add import add_table
from charkh.endpoints import memory as memory_module
from charkh.endpoints.application import Application
from charkh.endpoints.deploy import stop
from charkh.endpoints.door import Door
from charkh.endpoints.index import CurrentDeployment
from charkh.endpoints.read import predictions
from charkh.endpoints.servable import Servable
from charkh.endpoints.watch import Watch
from charkh.models.alias import move_alias, remove_alias
from charkh.models.find import find
from charkh.models.register import register
from charkh.models.trust import distrust, trust
from charkh.ports.projections import Query
from charkh.ports.runtimes import Tensors
from charkh.recipes.document import parse_recipe
from charkh.recipes.record import record
from charkh.stores.catalog import Catalog
from charkh.workspace import keeping, serving
from charkh.workspace.deploying import deploy_by_hand
from charkh.workspace.metering import watch_of
from charkh.workspace.serving import Serving
from charkh.workspace.wanted import roll_back_endpoint
from charkh.workspace.workspace import Workspace, open_workspace

SETTINGS = """
[endpoint.delay]
model = "delay@champion"

[endpoint.fixed]
model = "delay@2"
"""
RECORD = b'[{"hour": 9, "wind": 1}]'
HOURS, WIND = np.array([1.0, 9.0, 17.0, 22.0]), np.array([3.5, 2.0, 1.0, 2.0])


def one_more(workspace: Workspace, strength: float, name: str = "delay") -> str:
    estimator: Any = LogisticRegression(C=strength)
    model = estimator.fit(np.column_stack([HOURS, WIND]), [0, 1, 1, 0])
    example = {"hour": HOURS, "wind": WIND}
    return register(workspace.store, name, model, runtimes=workspace.runtimes, example=example).ref


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Workspace]]:
    opened: list[Workspace] = []

    def open_with(settings: str = SETTINGS) -> Workspace:
        for each in opened:
            each.close()
        (tmp_path / "charkh.toml").write_text(settings)
        workspace = open_workspace(tmp_path)
        if not opened:
            for strength in (1.0, 0.01):
                one_more(workspace, strength)
            move_alias(workspace.store, "delay@1", "champion")
        opened[:] = [workspace]
        return workspace

    yield open_with
    for each in opened:
        each.close()


@pytest.fixture
def workspace(make: Callable[..., Workspace]) -> Workspace:
    return make()


class Client:
    """Asks an application, and lets it look at the workspace again."""

    def __init__(
        self,
        workspace: Workspace,
        names: tuple[str, ...] = ("delay",),
        watch: Watch | None = None,
        *,
        resumes: bool = False,
    ) -> None:
        self.serving = Serving(workspace, names, resumes=resumes)
        door = Door("127.0.0.1", open_inference=True)
        self.application = Application(self.serving.offer(), door, reload=self.serving.offer, watch=watch)

    def ask(self, path: str = "/predict/delay", method: str = "POST") -> tuple[int, Any, dict[str, str]]:
        async def read(_limit: int) -> bytes:
            return RECORD

        reply = asyncio.run(self.application.respond(method, path, "127.0.0.1", {}, read))
        return reply.status, msgspec.json.decode(reply.body), dict(reply.headers)

    def version(self, name: str = "delay") -> str:
        status, answer, _ = self.ask(f"/predict/{name}")
        assert status == 200, answer
        return answer["model_version"]

    def refresh(self) -> None:
        asyncio.run(self.application.refresh())


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Refs of the models that were loaded, in order."""
    seen: list[str] = []
    real = serving.load

    def counted(store: Any, ref: str, **more: Any) -> Any:
        loaded = real(store, ref, **more)
        seen.append(loaded.version.ref)
        return loaded

    monkeypatch.setattr(serving, "load", counted)
    return seen


def test_going_back_takes_no_load_and_what_it_answers_is_logged(workspace: Workspace, loads: list[str]) -> None:
    client = Client(workspace)
    assert client.version() == "1"
    move_alias(workspace.store, "delay@2", "champion")
    client.refresh()
    assert client.version() == "2"
    back = roll_back_endpoint(workspace, "delay", reason="it was worse")
    assert (back.version.ref, back.alias, back.deployment) == ("delay@1", "champion", None)
    client.refresh()
    assert client.version() == "1"
    move_alias(workspace.store, "delay@2", "champion")
    client.refresh()
    assert client.version() == "2"
    assert loads == ["delay@1", "delay@2"], "both stay loaded"
    client.application.close()
    assert predictions(workspace.store, "delay").height == 4
    with pytest.raises(Denied, match="distrusted"):
        distrust(workspace.store, "delay@1", "it leaks")
        roll_back_endpoint(workspace, "delay")


def test_a_fixed_version_is_put_back_by_a_deployment_that_outlives_the_server(
    make: Callable[..., Workspace], loads: list[str]
) -> None:
    workspace = make('[endpoint.fixed]\nmodel = "delay@1"\n')
    assert Client(workspace, ("fixed",)).version("fixed") == "1"
    with pytest.raises(NotFound, match="before"):
        roll_back_endpoint(workspace, "fixed")
    workspace = make()
    client = Client(workspace, ("fixed",))
    assert client.version("fixed") == "2"
    back = roll_back_endpoint(workspace, "fixed", reason="it was worse")
    assert back.version.ref == "delay@1"
    assert back.deployment is not None
    client.refresh()
    assert client.version("fixed") == "1"
    deployed = workspace.store.queries.ask(CurrentDeployment(endpoint="fixed"))
    assert deployed == back.deployment, "the server has deployed nothing else"
    assert Client(workspace, ("fixed",)).version("fixed") == "1"
    with pytest.raises(NotFound, match="before"):
        roll_back_endpoint(workspace, "fixed")
    one_more(workspace, 0.3)
    workspace = make('[endpoint.fixed]\nmodel = "delay@3"\n')
    assert Client(workspace, ("fixed",)).version("fixed") == "3", "the settings say something new"
    assert roll_back_endpoint(workspace, "fixed").version.ref == "delay@1"
    workspace = make()
    assert Client(workspace, ("fixed",)).version("fixed") == "2"


def test_a_deployment_by_hand_is_followed_until_the_settings_say_something_else(
    workspace: Workspace, loads: list[str]
) -> None:
    client, settings = Client(workspace), EndpointSettings(model="delay@2")
    made, _ = deploy_by_hand(workspace, "delay", settings, reason="try the second")
    client.refresh()
    assert client.version() == "2"
    current = workspace.store.queries.ask(CurrentDeployment(endpoint="delay"))
    assert current is not None
    assert current.id == made.id, "the server has deployed nothing else"
    assert Client(workspace).version() == "2", "also after a restart"
    one_more(workspace, 0.3)
    move_alias(workspace.store, "delay@3", "champion")
    client.refresh()
    assert client.version() == "3"
    move_alias(workspace.store, "delay@2", "champion")
    client.refresh()
    assert client.version() == "2"
    move_alias(workspace.store, "delay@1", "champion")
    client.refresh()
    assert client.version() == "1", "they have said something else meanwhile"
    client.application.close()
    found = predictions(workspace.store, "delay")
    assert found["version"].to_list() == ["2", "2", "3", "2", "1"]
    assert loads.count("delay@3") == 1


def test_what_the_settings_come_to_say_by_themselves_is_theirs_again(workspace: Workspace) -> None:
    client = Client(workspace)
    deploy_by_hand(workspace, "delay", EndpointSettings(model="delay@2"))
    client.refresh()
    for champion, version in (("delay@2", "2"), ("delay@1", "1")):
        move_alias(workspace.store, champion, "champion")
        client.refresh()
        assert client.version() == version


def test_a_deployment_by_hand_is_rolled_back_without_the_alias(workspace: Workspace) -> None:
    client = Client(workspace)
    one_more(workspace, 0.3)
    for model in ("delay@2", "delay@3"):
        deploy_by_hand(workspace, "delay", EndpointSettings(model=model))
        client.refresh()
    for version in ("2", "1"):
        back = roll_back_endpoint(workspace, "delay")
        assert (back.version.ref, back.alias) == (f"delay@{version}", "")
        client.refresh()
        assert client.version() == version
    assert find(workspace.store, "delay@champion").ref == "delay@1"


def test_what_was_stopped_answers_nothing_until_it_is_deployed_again(workspace: Workspace, loads: list[str]) -> None:
    client = Client(workspace)
    assert client.version() == "1"
    stop(workspace.store, "delay", reason="complaints")
    client.refresh()
    move_alias(workspace.store, "delay@2", "champion")
    client.refresh()
    restarted = Client(workspace)
    for each in (client, restarted):
        status, answer, _ = each.ask()
        assert (status, answer["code"]) == (503, "endpoint.taken_down")
        assert "it was stopped (complaints)" in answer["error"]
        assert each.ask("/v2/models/delay/ready", method="GET")[0] == 503
    assert loads == ["delay@1"], "nothing is loaded for an endpoint that answers nothing"
    with pytest.raises(Conflict, match="was stopped"):
        roll_back_endpoint(workspace, "delay")
    made, _ = deploy_by_hand(workspace, "delay", workspace.settings.endpoint["delay"])
    for each in (client, restarted):
        each.refresh()
        assert each.version() == "2"
        each.application.close()
    assert set(predictions(workspace.store, "delay")["deployment"].to_list()[1:]) == {made.id}


GRAPH = """
[endpoint.both.graph]
root = "both"

[endpoint.both.graph.node.both]
kind = "combiner"
of = ["first", "second"]

[endpoint.both.graph.node.first]
kind = "model"
model = "delay@1"

[endpoint.both.graph.node.second]
kind = "model"
model = "delay@2"
"""


def test_a_graph_is_deployed_by_hand_and_begins_again(make: Callable[..., Workspace], loads: list[str]) -> None:
    workspace = make(GRAPH)
    settings = workspace.settings.endpoint["both"]
    made, first = deploy_by_hand(workspace, "both", settings)
    assert (first.ref, made.made.models) == (
        "delay@1",
        tuple(find(workspace.store, f"delay@{n}").subject for n in "12"),
    )
    client = Client(workspace, ("both",))
    assert client.version("both") == "1"
    current = workspace.store.queries.ask(CurrentDeployment(endpoint="both"))
    assert current is not None
    assert current.id == made.id, "the server finds that it says the same"
    loads.clear()
    stop(workspace.store, "both")
    client.refresh()
    assert client.ask("/predict/both")[0] == 503
    again, _ = deploy_by_hand(workspace, "both", settings)
    client.refresh()
    assert client.version("both") == "1"
    assert (again.made.signature, loads) == (made.made.signature, []), "what is known is not loaded to be known"


def test_a_stop_during_a_load_is_not_taken_back_by_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    client, real = Client(workspace), serving.load

    def stopping(*arguments: Any, **more: Any) -> Any:
        stop(workspace.store, "delay", reason="meanwhile")
        return real(*arguments, **more)

    monkeypatch.setattr(serving, "load", stopping)
    move_alias(workspace.store, "delay@2", "champion")
    for _ in range(2):
        client.refresh()
    assert client.ask()[0] == 503
    assert workspace.store.queries.ask(CurrentDeployment(endpoint="delay")) is None


def failing(_inputs: Tensors) -> Tensors:
    raise ZeroDivisionError("the model's own")


def test_what_does_not_answer_its_example_is_never_offered(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(workspace)
    real = keeping.warm_up

    def broken(servable: Servable, example: bytes) -> None:
        assert b'"hour"' in example
        real(replace(servable, predict=failing), example)

    monkeypatch.setattr(keeping, "warm_up", broken)
    move_alias(workspace.store, "delay@2", "champion")
    client.refresh()
    client.refresh()
    assert client.version() == "1"
    said = [each.getMessage() for each in caplog.records if "goes on with version 1" in each.getMessage()]
    assert len(said) == 1
    assert "ZeroDivisionError" in said[0]
    with pytest.raises(Unavailable, match="does not answer its example"):
        Serving(workspace, ["delay"]).offer()
    monkeypatch.undo()
    monkeypatch.setattr(keeping, "AGAIN_SECONDS", 0.0)
    client.refresh()
    assert client.version() == "2"


def test_what_is_distrusted_is_taken_down_and_says_why(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    client = Client(workspace, ("delay", "fixed"))
    distrust(workspace.store, "delay@1", "it leaks")
    client.refresh()
    client.refresh()
    status, answer, headers = client.ask()
    assert (status, answer["code"]) == (503, "endpoint.taken_down")
    assert "it leaks" in answer["error"]
    assert headers["retry-after"] == "1"
    assert client.ask("/v2/models/delay/ready", "GET")[:2] == (503, {"name": "delay", "ready": False})
    assert client.version("fixed") == "2", "its neighbour answers"
    assert len([each for each in caplog.records if "answers no more" in each.getMessage()]) == 1
    trust(workspace.store, "delay@1", "it does not")
    client.refresh()
    assert client.version() == "1"
    distrust(workspace.store, "delay@1", "it does")
    move_alias(workspace.store, "delay@2", "champion")
    client.refresh()
    assert client.version() == "2"
    client.application.close()
    assert predictions(workspace.store, "delay").height == 2, "the log went on"


BOUNDED = """
[serving]
memory = "{bytes}B"
[endpoint.a]
model = "delay@1"
[endpoint.b]
model = "delay@2"
[endpoint.c]
model = "delay@1"
pinned = true
"""


def test_who_was_not_asked_for_longest_is_let_go_and_comes_back(
    make: Callable[..., Workspace], caplog: pytest.LogCaptureFixture
) -> None:
    size = find(make().store, "delay@1").made.tree.size
    workspace = make(BOUNDED.format(bytes=2 * memory_module.GROWTH * size + size))
    caplog.set_level(logging.INFO, "charkh")
    watch = watch_of(workspace)
    client = Client(workspace, ("a", "b", "c"), watch)
    held = [each.is_held() for each in client.application.offered]
    assert held == [False, True, True], "there is room for two, and one of them is pinned"
    watch.holds()
    assert loaded(watch) == {"a": 0.0, "b": 1.0, "c": 1.0}
    status, answer, headers = client.ask("/predict/a")
    assert (status, answer["code"], headers["retry-after"]) == (503, "endpoint.loading", "1")
    assert "endpoint a, version 1" in answer["error"]
    deadline = time.monotonic() + 20
    while client.ask("/predict/a")[0] == 503 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert client.version("a") == "1"
    assert client.version("c") == "1"
    held = [each.is_held() for each in client.application.offered]
    assert held == [True, False, True]
    watch.holds()
    assert loaded(watch) == {"a": 1.0, "b": 0.0, "c": 1.0}
    client.serving.close()


def loaded(watch: Watch) -> dict[str, float]:
    (family,) = (each for each in watch.instruments.meters.read() if each.name == "charkh_model_loaded")
    return {each.labels["model"]: each.value for each in family.samples}


def test_what_cannot_be_loaded_again_says_so(make: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch) -> None:
    size = find(make().store, "delay@1").made.tree.size
    workspace = make(BOUNDED.format(bytes=2 * memory_module.GROWTH * size + size))
    client = Client(workspace, ("a", "b", "c"))

    def gone(*_arguments: Any, **_more: Any) -> Any:
        raise Unavailable("the disk is gone", code="vault.gone")

    monkeypatch.setattr(serving, "load", gone)
    deadline = time.monotonic() + 20
    status, answer, _ = client.ask("/predict/a")
    while answer["code"] == "endpoint.loading" and time.monotonic() < deadline:
        time.sleep(0.02)
        status, answer, _ = client.ask("/predict/a")
    assert (status, answer["code"]) == (503, "endpoint.cannot_load")
    assert "the disk is gone" in answer["error"]
    assert client.version("b") == "2", "nobody was let go for it"
    client.serving.close()


def test_who_takes_the_place_of_a_server_that_died_begins_with_what_was_deployed(workspace: Workspace) -> None:
    assert Client(workspace).version() == "1"
    one_more(workspace, 0.3)
    move_alias(workspace.store, "delay@2", "champion")
    distrust(workspace.store, "delay@2", "it leaks")
    with pytest.raises(Denied):
        Serving(workspace, ["delay"]).offer()
    client = Client(workspace, resumes=True)
    assert client.version() == "1"
    client.refresh()
    assert client.version() == "1"
    distrust(workspace.store, "delay@1", "it leaks, too")
    client.refresh()
    client = Client(workspace, resumes=True)
    for _ in range(2):
        status, answer, _ = client.ask()
        assert (status, answer["code"]) == (503, "endpoint.taken_down")
        assert "it leaks, too" in answer["error"]
        client.refresh()
    move_alias(workspace.store, "delay@3", "champion")
    client.refresh()
    assert client.version() == "3"
    remove_alias(workspace.store, "delay", "champion")
    client.refresh()
    assert client.version() == "3"
    assert Client(workspace, resumes=True).version() == "3"


def test_an_example_behind_recipes_writes_its_times_as_programs_do(make: Callable[[str], Workspace]) -> None:
    workspace = make(
        SETTINGS.replace('"delay@champion"', '"delay@champion"\nrecipes = ["times"]\nexample = "asked"', 1)
    )
    begin = datetime(2013, 1, 31, 9, tzinfo=UTC)
    times = {"at": [begin, begin.replace(microsecond=500_000)], "local": [begin.replace(tzinfo=None)] * 2}
    add_table(workspace.store, "asked", pl.DataFrame({**times, "wind": [1.0, 2.0]}))
    steps = [
        {"op": "parse_time", "column": "at", "formats": ["%Y-%m-%dT%H:%M:%S%.fZ"], "zone": "UTC"},
        {"op": "parse_time", "column": "local", "formats": ["%Y-%m-%dT%H:%M:%S"]},
        {"op": "derive", "column": "hour", "value": "hour(at)"},
        {"op": "cast", "columns": {"hour": "Float64"}},
    ]
    record(workspace.store, parse_recipe(msgspec.json.encode({"recipe": 1, "steps": steps}), "times"), "times")
    (servable,) = Serving(workspace, ("delay",))()
    assert [spec.datatype for spec in servable.signature.inputs] == ["BYTES", "BYTES", "FP64"]


def test_a_look_where_nothing_came_asks_how_far_the_facts_are_and_nothing_else(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Serving(workspace)
    first = served()
    asked: list[str] = []
    ask = Catalog.ask

    def asking(catalog: Catalog, query: Query[Any]) -> Any:
        asked.append(type(query).__name__)
        return ask(catalog, query)

    monkeypatch.setattr(Catalog, "ask", asking)
    served()  # the deployments, which the first look has recorded
    asked.clear()
    assert all(now is then for now, then in zip(served(), first, strict=True))
    assert asked == ["Position"]
    move_alias(workspace.store, "delay@2", "champion")
    assert [each.version for each in served()] == ["2", "2"]
