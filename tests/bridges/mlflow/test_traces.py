"""Unmodified MLflow clients trace against `charkh up`, and keep evaluation datasets and scorers there."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bridges.mlflow.tracking_client import client_of
from tests.functional.test_server import Server, charkh

from charkh.workspace.workspace import open_workspace

TRACING = """
import json, sys, time
import mlflow
from mlflow import MlflowClient
from mlflow.entities import AssessmentSource, AssessmentSourceType, SpanType

client = MlflowClient()
experiment = mlflow.set_experiment(sys.argv[1]).experiment_id

@mlflow.trace(span_type=SpanType.TOOL)
def look_up(word):
    return {"word": word, "found": True}

with mlflow.start_run() as run:
    with mlflow.start_span("answer", span_type=SpanType.CHAIN) as root:
        root.set_inputs({"question": "what is a wheel?"})
        look_up("wheel")
        with mlflow.start_span("model", span_type=SpanType.LLM) as inner:
            inner.set_attributes({"temperature": 0.5, "stop": ["a", "b"]})
            inner.add_event(mlflow.entities.SpanEvent("first token", attributes={"ms": 12}))
        root.set_outputs("a circle that turns")
        mlflow.update_current_trace(tags={"topic": "wheels"}, metadata={"mlflow.trace.session": "s-1"})
try:
    with mlflow.start_span("broken"):
        raise ValueError("it broke")
except ValueError:
    pass
mlflow.flush_trace_async_logging()

def wait_for(count):
    for _ in range(100):
        found = mlflow.search_traces(locations=[experiment], return_type="list")
        if len(found) == count:
            return found
        time.sleep(0.1)
    raise AssertionError(len(found))

found = wait_for(2)
by_name = {trace.info.tags["mlflow.traceName"]: trace for trace in found}
good, bad = by_name["answer"], by_name["broken"]
assert good.info.state == "OK" and bad.info.state == "ERROR", (good.info, bad.info)
assert [span.name for span in good.data.spans] == ["answer", "look_up", "model"]
model = good.data.spans[2]
assert model.attributes["stop"] == ["a", "b"] and model.attributes["temperature"] == 0.5
assert model.events[0].name == "first token" and model.parent_id == good.data.spans[0].span_id
assert good.data.spans[0].inputs == {"question": "what is a wheel?"}
assert good.info.trace_metadata["mlflow.sourceRun"] == run.info.run_id

def names(text, **more):
    return [each.info.tags["mlflow.traceName"] for each in client.search_traces([experiment], text, **more)]

assert names("trace.status = 'ERROR'") == ["broken"]
assert names("tag.topic = 'wheels' AND span.type = 'LLM'") == ["answer"]
assert names("span.attributes.temperature = '0.5'") == ["answer"]
assert names("trace.text LIKE '%circle that turns%'") == ["answer"]
assert names(f"attributes.run_id = '{run.info.run_id}'") == ["answer"]
assert names("metadata.`mlflow.trace.session` RLIKE '^s-[0-9]$'") == ["answer"]
assert names("", order_by=["execution_time_ms DESC"])[0] == "answer"

trace = good.info.trace_id
source = AssessmentSource(AssessmentSourceType.HUMAN, "ann@example.com")
given = mlflow.log_feedback(trace_id=trace, name="correct", value=True, rationale="it is", source=source)
mlflow.log_expectation(trace_id=trace, name="answer", value={"text": "a circle"}, source=source)
mlflow.update_assessment(trace, given.assessment_id, mlflow.entities.Feedback(name="correct", value=False))
told = {each.name: each for each in mlflow.get_trace(trace).info.assessments}
assert told["correct"].value is False and told["answer"].value == {"text": "a circle"}, told
assert names("feedback.correct = 'false'") == ["answer"]
mlflow.delete_assessment(trace, given.assessment_id)
assert [each.name for each in mlflow.get_trace(trace).info.assessments] == ["answer"]

mlflow.set_trace_tag(trace, "reviewed", "yes")
assert mlflow.get_trace(trace).info.tags["reviewed"] == "yes"
mlflow.delete_trace_tag(trace, "reviewed")

from mlflow.genai.datasets import create_dataset, get_dataset, search_datasets
made = create_dataset(name="questions", experiment_id=[experiment], tags={"team": "ml"})
made.merge_records([{"inputs": {"q": "a"}, "expectations": {"e": 1}}, {"inputs": {"q": "b"}}])
made.merge_records([{"inputs": {"q": "a"}, "expectations": {"f": 2}}])
assert get_dataset(dataset_id=made.dataset_id).name == "questions"
again = client.get_dataset(made.dataset_id)
assert {json.dumps(each.inputs): each.expectations for each in again.records}['{"q": "a"}'] == {"e": 1, "f": 2}
(only,) = search_datasets(experiment_ids=[experiment], filter_string="tags.team = 'ml'")
assert only.name == "questions"

assert client.delete_traces(experiment, trace_ids=[bad.info.trace_id]) == 1
assert names("") == ["answer"]
json.dump({"trace": trace, "run": run.info.run_id}, open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("traces")
    open_workspace(folder, create=True).close()
    started = Server(folder, "up", "--every", "0s")
    yield started
    if started.process.poll() is None:
        started.stop()


@pytest.mark.needs("peer:mlflow")
def test_a_client_traces_finds_and_judges(server: Server, tmp_path: Path) -> None:
    told = client_of(server, "mlflow", TRACING, tmp_path / "out.json", "traced")
    listed = charkh(server.folder, "run", "traces", told["run"], "--json")
    assert listed.returncode == 0, listed.stderr
    assert [each["logged"]["trace"] for each in json.loads(listed.stdout)] == [told["trace"]]
    shown = charkh(server.folder, "run", "traces", told["trace"])
    assert shown.returncode == 0, shown.stderr
    assert "  look_up" in shown.stdout and "what is a wheel" not in shown.stdout
