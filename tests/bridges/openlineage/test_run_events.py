"""OpenLineage run events: its own client takes every one, and a receiver gets them as they happen."""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.functional.conftest import Charkh
from tests.functional.test_server import Server
from tests.receivers import Said, receiving

from peers import peer_program

SCRIPT = """
import charkh

@charkh.step
def prepare(raw: charkh.Table) -> charkh.Table:
    return charkh.recipe("tidy.json")(raw)

@charkh.step
def fail(raw: charkh.Table) -> int:
    raise ValueError("no such column")

@charkh.pipeline
def flights() -> None:
    charkh.add("tidy", prepare(charkh.dataset("flights")))

@charkh.pipeline
def broken() -> None:
    fail(charkh.dataset("flights"))
"""
RECIPE = {
    "recipe": 1,
    "steps": [
        {"op": "rename", "columns": {"dep": "departure"}},
        {"op": "trim", "columns": ["carrier"]},
        {"op": "derive", "column": "minutes", "value": "late * 2"},
    ],
}
TAKE = """
import importlib, json, pkgutil, sys
from openlineage.client import event_v2, generated
from openlineage.client.serde import Serde

KINDS = {}
for module in pkgutil.iter_modules(generated.__path__):
    found = importlib.import_module(f"openlineage.client.generated.{module.name}")
    for name, kind in vars(found).items():
        if isinstance(kind, type) and name.endswith("Facet"):
            KINDS[name] = kind

def facets(given):
    taken = {}
    for name, content in given.items():
        schema = content.pop("_schemaURL")
        content.pop("_producer")
        if name.startswith("charkh_"):
            continue
        kind = KINDS[schema.rpartition("/")[2]]
        assert kind._get_schema() == schema, (kind._get_schema(), schema)
        taken[name] = kind(**content)
    return taken

def dataset(kind, given, **more):
    return kind(namespace=given["namespace"], name=given["name"], facets=facets(given["facets"]), **more)

SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/"

def take(event):
    when = {"eventTime": event["eventTime"], "producer": event["producer"]}
    assert event["schemaURL"].startswith(SCHEMA), event
    if "dataset" in event:
        return event_v2.DatasetEvent(dataset=dataset(event_v2.StaticDataset, event["dataset"]), **when)
    run, job = event["run"], event["job"]
    return event_v2.RunEvent(
        eventType=event_v2.RunState(event["eventType"]),
        run=event_v2.Run(runId=run["runId"], facets=facets(run["facets"])),
        job=event_v2.Job(namespace=job["namespace"], name=job["name"], facets=facets(job["facets"])),
        inputs=[
            dataset(event_v2.InputDataset, each, inputFacets=facets(each["inputFacets"])) for each in event["inputs"]
        ],
        outputs=[
            dataset(event_v2.OutputDataset, each, outputFacets=facets(each.get("outputFacets", {})))
            for each in event["outputs"]
        ],
        **when,
    )

told = []
for line in open(sys.argv[1]):
    taken = take(json.loads(line))
    Serde.to_json(taken)
    told.append(type(taken).__name__)
print(json.dumps(told))
"""

Event = Mapping[str, Any]


def history(charkh: Charkh) -> None:
    """A workspace in which most things have happened."""
    charkh.write("flights.csv", "carrier,dep,late\nUA ,1,12\nAA,2,3\n")
    charkh("dataset", "add", "flights", "flights.csv", "-m", "January.")
    charkh.write("tidy.json", json.dumps(RECIPE))
    charkh.write("pipelines.py", SCRIPT)
    charkh.write("charkh.toml", 'pipelines = "pipelines.py"\n')
    charkh("pipeline", "run", "flights")
    assert charkh.run("pipeline", "run", "broken").returncode != 0
    charkh.python(
        "import charkh\n"
        "with charkh.run(name='night', project='delays', params={'rate': 0.1, 'api_token': 'planted-secret'}) as run:\n"
        "    charkh.log(loss=float('nan'))\n"
    )


def of_job(events: Sequence[Event], job: str) -> list[Event]:
    return [each for each in events if each.get("job", {}).get("name") == job]


@pytest.mark.needs("peer:openlineage")
def test_the_client_takes_everything_that_happened(charkh: Charkh, tmp_path: Path) -> None:
    history(charkh)
    charkh("export", "openlineage", "-o", tmp_path / "events.jsonl")
    done = subprocess.run(
        [peer_program("openlineage", "python"), "-c", TAKE, tmp_path / "events.jsonl"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "events.jsonl").read_text()
    assert "planted-secret" not in text
    events = [json.loads(line) for line in text.splitlines()]
    assert set(json.loads(done.stdout)) == {"RunEvent", "DatasetEvent"}

    added = of_job(events, "dataset.flights")
    assert [each["eventType"] for each in added] == ["START", "COMPLETE"]
    (output,) = added[1]["outputs"]
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 2
    assert output["facets"]["documentation"]["description"] == "January."

    run = of_job(events, "flights")
    assert [each["eventType"] for each in run] == ["START", "RUNNING", "COMPLETE"]
    assert len({each["run"]["runId"] for each in run}) == 1
    assert run[1]["run"]["facets"]["processing_engine"]["name"] == "charkh"
    (made,) = run[2]["outputs"]
    assert made["name"] == "tidy"
    lineage = made["facets"]["columnLineage"]["fields"]
    traced = {
        column: [(each["field"], each["transformations"][0]["subtype"]) for each in fields["inputFields"]]
        for column, fields in lineage.items()
    }
    assert traced == {
        "carrier": [("carrier", "TRANSFORMATION")],
        "departure": [("dep", "TRANSFORMATION")],
        "late": [("late", "IDENTITY")],
        "minutes": [("late", "TRANSFORMATION")],
    }

    step = of_job(events, "flights.prepare")
    assert [each["eventType"] for each in step] == ["START", "COMPLETE"]
    assert step[0]["inputs"][0]["name"] == "flights"
    assert step[1]["run"]["facets"]["parent"]["run"]["runId"] == run[0]["run"]["runId"]

    failed = of_job(events, "broken.fail")
    assert [each["eventType"] for each in failed] == ["START", "FAIL"]
    assert "no such column" in failed[1]["run"]["facets"]["errorMessage"]["message"]
    assert of_job(events, "broken")[-1]["eventType"] == "FAIL"

    night = of_job(events, "delays")
    assert [each["eventType"] for each in night][-1] == "COMPLETE"
    params = {each["key"]: each["value"] for each in night[-1]["run"]["facets"]["executionParameters"]["parameters"]}
    assert params["rate"] == "0.1"
    assert night[-1]["run"]["facets"]["charkh_run"]["metrics"] == {"loss": "NaN"}
    times = [each["eventTime"] for each in night]
    assert times == sorted(times)


def test_events_go_to_a_receiver_and_only_newer_ones(charkh: Charkh) -> None:
    history(charkh)
    with receiving() as receiver:
        every = charkh.json("export", "openlineage", "--url", receiver.url)["sent"]
        assert every == len(receiver.came) > 10
        assert {came.headers["content-type"] for came in receiver.came} == {"application/json"}
        assert charkh.json("export", "openlineage", "--since", "2999-01-01", "--url", receiver.url) == {"sent": 0}
    with receiving(lambda _came: Said(500)) as receiver:
        assert "the receiver answered 500" in charkh.fails(16, "export", "openlineage", "--url", receiver.url)


def test_a_server_tells_as_it_happens(charkh: Charkh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEZ_KEY", "planted-key")
    with receiving() as receiver:
        charkh.write(
            "charkh.toml",
            f'[egress]\nprivate = ["127.0.0.1:*"]\n'
            f'[openlineage]\nurl = "{receiver.url}/api/v1/lineage"\napi_key_env = "MARQUEZ_KEY"\nnamespace = "lake"\n',
        )
        charkh.python("import charkh\nwith charkh.run(name='before'): pass\n")
        # What is told is what happens from the first time on that somebody looks.
        assert charkh.json("webhook", "deliver") == {}
        server = Server(tmp_path, "up", "--every", "0s")
        try:
            charkh.python("import charkh\nwith charkh.run(name='after'): pass\n")
            deadline = time.monotonic() + 20
            while not any(json.loads(came.body)["eventType"] == "COMPLETE" for came in receiver.came):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            server.stop()
        told = [json.loads(came.body) for came in receiver.came]
        assert [each["eventType"] for each in told] == ["START", "RUNNING", "COMPLETE"]
        assert {(each["job"]["namespace"], each["job"]["name"]) for each in told} == {("lake", "after")}
        assert {came.path for came in receiver.came} == {"/api/v1/lineage"}
        assert {came.headers["authorization"] for came in receiver.came} == {"Bearer planted-key"}
    for path in (tmp_path / ".charkh").rglob("*"):
        assert not path.is_file() or b"planted-key" not in path.read_bytes()
