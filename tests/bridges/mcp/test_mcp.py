"""The Model Context Protocol: the SDK's own client asks a real `charkh mcp` over stdio."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from tests.functional.conftest import Charkh
from tests.functional.test_server import Server

READING = {
    "search_runs",
    "show_run",
    "compare_runs",
    "metric_history",
    "list_datasets",
    "describe_dataset",
    "diff_datasets",
    "list_models",
    "show_model",
    "who_served",
    "trace",
    "list_alerts",
    "run_checks",
}
WRITING = {"tag_run", "note_run", "move_model_alias"}
HISTORY = """
import charkh
for name, rate in (("first", 0.1), ("second", 0.2)):
    with charkh.run(name=name, params={"rate": rate, "same": 1}, tags={"team": "flights"}):
        for step in range(250):
            charkh.log(loss=1.0 / (step + 1), step=step)
        charkh.log(bad=float("nan"))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    charkh = Charkh(tmp_path_factory.mktemp("workspace"))
    charkh("init")
    charkh("dataset", "add", "flights", charkh.write("flights.csv", "carrier,late\nUA,12\nAA,3\n"), "-m", "January.")
    charkh.write("checks/flights.toml", charkh("check", "infer", "flights"))
    charkh("dataset", "add", "flights", charkh.write("flights.csv", "carrier,late\nUA,12\nAA,\n"))
    charkh.python(HISTORY)
    return charkh.folder


class Asked:
    """A client in a session."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def __call__(self, tool: str, **arguments: Any) -> Any:
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        return result.structured_content

    async def fails(self, tool: str, **arguments: Any) -> str:
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error
        return result.content[0].text  # type: ignore[union-attr]


def asking(folder: Path, work: Any, *flags: str) -> None:
    async def run() -> None:
        command = StdioServerParameters(
            command=sys.executable, args=["-m", "charkh", "-C", str(folder), "mcp", *flags], env={"CHARKH_ACTOR": "ann"}
        )
        async with Client(stdio_client(command)) as client:
            await work(Asked(client))

    asyncio.run(run())


def test_an_assistant_looks_around(folder: Path) -> None:
    async def work(ask: Asked) -> None:
        tools = (await ask.client.list_tools()).tools
        assert {tool.name for tool in tools} == READING
        for tool in tools:
            assert tool.description, tool.name
            assert tool.output_schema is not None, tool.name
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint is True

        found = await ask("search_runs", query="params.rate > 0.15", order="created")
        assert [run["name"] for run in found["runs"]] == ["second"]
        assert found["more"] is False
        assert (await ask("search_runs", limit=1))["more"] is True
        run = await ask("show_run", run="first")
        assert (run["params"], run["status"], run["metrics"]["bad"]) == ({"rate": 0.1, "same": 1}, "finished", "NaN")
        compared = await ask("compare_runs", runs=["first", "second"])
        assert compared["params"] == [{"name": "rate", "values": [0.1, 0.2]}]
        assert compared["equal"] >= 1
        curve = await ask("metric_history", run="first", metric="loss", points=10)
        assert (curve["count"], curve["sampled"], curve["steps"][0], curve["steps"][-1]) == (250, True, 0, 249)
        assert len(curve["steps"]) <= 10

        (listed,) = (await ask("list_datasets"))["datasets"]
        assert (listed["ref"], listed["rows"], listed["columns"]) == (
            "flights@2",
            2,
            {"carrier": "String", "late": "Int64"},
        )
        assert (await ask("describe_dataset", dataset="flights@1"))["message"] == "January."
        different = await ask("diff_datasets", old="flights@1", new="flights@2")
        assert different["files_changed"] == ["flights.csv"]
        assert different["rows"]["changed"] == 1
        held = await ask("run_checks", suite="flights", dataset="flights@1")
        assert (held["passed"], held["rows"]) == (True, 2)
        assert "flights@1" in "\n".join((await ask("trace", what="flights@1"))["lines"])
        assert (await ask("list_models")) == {"models": [], "more": False}
        assert (await ask("list_alerts")) == {"alerts": [], "more": False}
        assert (await ask("who_served", name="delay"))["version"] is None

        (read,) = (await ask.client.read_resource(f"charkh://runs/{run['id']}")).contents
        assert json.loads(read.text)["name"] == "first"  # type: ignore[union-attr]

    asking(folder, work)


def test_errors_say_what_to_do(folder: Path) -> None:
    async def work(ask: Asked) -> None:
        assert "`charkh run" in await ask.fails("show_run", run="nothing")
        assert "[dataset.not_found]" in await ask.fails("describe_dataset", dataset="nothing")
        assert "is no name of a suite" in await ask.fails("run_checks", suite="../../etc/passwd", dataset="flights")
        assert "is no time" in await ask.fails("who_served", name="delay", at="yesterday")
        assert await ask.fails("search_runs", query="params.rate >")
        assert await ask.fails("search_runs", limit=100_000)
        assert await ask.fails("tag_run", run="first", tags={"a": "b"})

    asking(folder, work)


def test_what_it_writes_has_an_author(folder: Path) -> None:
    async def work(ask: Asked) -> None:
        names = {tool.name for tool in (await ask.client.list_tools()).tools}
        assert names == READING | WRITING
        done = await ask(
            "tag_run", run="second", tags={"reviewed": "yes", "team": None, "token": "password=planted-word"}
        )
        assert done["done"] == "tagged: reviewed, team, token"
        await ask("note_run", run="second", text="Better than the first.")
        shown = await ask("show_run", run="second")
        assert shown["tags"]["reviewed"] == "yes"
        assert shown["tags"]["mlflow.note.content"] == "Better than the first."
        assert "team" not in shown["tags"]
        assert "planted-word" not in json.dumps(shown)
        assert "[model.not_found]" in await ask.fails(
            "move_model_alias", model="delay@1", alias="champion", reason="why"
        )

    asking(folder, work, "--allow-writes")
    journal = b"".join(path.read_bytes() for path in (folder / ".charkh" / "journal").rglob("*") if path.is_file())
    assert b"ann (mcp)" in journal


def test_a_server_is_asked_under_a_token(folder: Path) -> None:
    server = Server(folder, "up", "--every", "0s")
    try:
        url = f"http://127.0.0.1:{server.port}/mcp"

        async def work() -> None:
            headers = {"Authorization": f"Bearer {server.token}"}
            async with (
                httpx2.AsyncClient(headers=headers) as http,
                Client(streamable_http_client(url, http_client=http)) as client,
            ):
                assert {tool.name for tool in (await client.list_tools()).tools} == READING
                ask = Asked(client)
                assert (await ask("show_run", run="first"))["name"] == "first"
                assert "[dataset.not_found]" in await ask.fails("describe_dataset", dataset="nothing")

        asyncio.run(work())
        question = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        assert server.ask("/mcp", question, token="")[0] == 401
        assert server.ask("/mcp", question, token="wrong")[0] == 401
        assert server.ask("/mcp", question, Host="evil.test")[0] == 403
    finally:
        code, said = server.stop()
    assert code == 0, said
