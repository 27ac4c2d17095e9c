"""Experiments and runs over MLflow's protocol: life, words of refusals, points, params, tags, search, data."""

import math
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.bridges.mlflow.conftest import Client

from charkh.bridges.mlflow.run_shape import status_of
from charkh.runs.find import by_id
from charkh.runs.live import open_segments
from charkh.runs.seal import seal_ended
from charkh.runs.start import start


def metric(key: str, value: object, timestamp: int = 1000, step: int = 0) -> dict[str, Any]:
    return {"key": key, "value": value, "timestamp": timestamp, "step": step}


def metrics_of(client: Client, run: str) -> dict[str, Any]:
    return {each["key"]: each["value"] for each in client.get("runs/get", run_id=run)["run"]["data"]["metrics"]}


def tags_of(client: Client, run: str) -> dict[str, str]:
    return {each["key"]: each["value"] for each in client.get("runs/get", run_id=run)["run"]["data"]["tags"]}


def ids(answer: Any) -> list[str]:
    return [run["info"]["run_id"] for run in answer["runs"]]


# Experiments


def test_a_life_of_an_experiment(client: Client) -> None:
    made = client.post("experiments/create", name="flights/delay", tags=[{"key": "team", "value": "air"}])
    identifier = made["experiment_id"]
    assert identifier.isdecimal()
    shown = client.get("experiments/get-by-name", experiment_name="flights/delay")["experiment"]
    assert shown["artifact_location"] == f"mlflow-artifacts:/{identifier}"
    assert shown["tags"] == [{"key": "team", "value": "air"}]
    assert abs(shown["creation_time"] / 1000 - time.time()) < 60
    assert client.refused("experiments/create", name="flights/delay")[:2] == (400, "RESOURCE_ALREADY_EXISTS")
    client.post("experiments/set-experiment-tag", experiment_id=identifier, key="team", value="sky")
    client.post("experiments/update", experiment_id=identifier, new_name="flights/late")
    run = client.run(identifier)

    client.post("experiments/delete", experiment_id=identifier)
    shown = client.get("experiments/get", experiment_id=identifier)["experiment"]
    assert (shown["lifecycle_stage"], shown["name"]) == ("deleted", "flights/late")
    assert client.refused("experiments/create", name="flights/late")[1] == "RESOURCE_ALREADY_EXISTS"
    assert client.get("runs/get", run_id=run)["run"]["info"]["lifecycle_stage"] == "deleted"
    assert "must be in the 'active' state" in client.refused("runs/create", experiment_id=identifier)[2]
    assert client.refused("experiments/update", experiment_id=identifier, new_name="x")[1] == "INVALID_STATE"
    client.post("experiments/restore", experiment_id=identifier)
    assert client.get("runs/get", run_id=run)["run"]["info"]["lifecycle_stage"] == "active"
    client.post("experiments/delete-experiment-tag", experiment_id=identifier, key="team")
    gone = client.refused("experiments/delete-experiment-tag", experiment_id=identifier, key="team")
    assert gone == (404, "RESOURCE_DOES_NOT_EXIST", f"No tag with name: team in experiment with id {identifier}")


def test_the_default_experiment_is_always_there(shared: Client) -> None:
    assert shared.get("experiments/get-by-name", experiment_name="Default")["experiment"]["experiment_id"] == "0"
    assert shared.refused("experiments/delete", experiment_id="0")[0] == 400


def test_experiments_are_searched_page_by_page(client: Client) -> None:
    for number in range(4):
        client.post("experiments/create", name=f"e{number}", tags=[{"key": "n", "value": str(number)}])
    first = client.post("experiments/search", max_results=3, order_by=["name ASC"])
    assert [each["name"] for each in first["experiments"]] == ["Default", "e0", "e1"]
    rest = client.post("experiments/search", max_results=3, order_by=["name ASC"], page_token=first["next_page_token"])
    assert [each["name"] for each in rest["experiments"]] == ["e2", "e3"]
    assert "next_page_token" not in rest
    found = client.post("experiments/search", filter="name LIKE 'e%' AND tags.n != '2'", order_by=["name DESC"])
    assert [each["name"] for each in found["experiments"]] == ["e3", "e1", "e0"]
    assert client.post("experiments/search", filter="creation_time > 4102444800000")["experiments"] == []
    assert client.refused("experiments/search", filter="color = 'x'")[1] == "INVALID_PARAMETER_VALUE"
    assert client.refused("experiments/search", max_results=0)[0] == 400
    assert "base64" in client.refused("experiments/search", page_token="!!")[2]


@pytest.mark.parametrize("identifier", ["abc", "1.5", "", "1" * 30])
def test_an_id_that_is_none_is_refused(shared: Client, identifier: str) -> None:
    answer = shared.ask("GET", "/api/2.0/mlflow/experiments/get", None, {"experiment_id": identifier})
    assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    missing = shared.ask("GET", "/api/2.0/mlflow/experiments/get", None, {"experiment_id": "77"})
    assert (missing.status, missing.json()["message"]) == (404, "No Experiment with id=77 exists")


# Runs


def test_a_life_of_a_run(shared: Client) -> None:
    tags = [{"key": "mlflow.user", "value": "ann"}, {"key": "mlflow.source.name", "value": "train.py"}]
    made = shared.post("runs/create", experiment_id="0", user_id="ann", start_time=1_500, tags=tags, run_name="one")
    info = made["run"]["info"]
    run = info["run_id"]
    assert info["run_uuid"] == run
    assert (info["status"], info["start_time"], info["user_id"]) == ("RUNNING", 1_500, "ann")
    assert info["artifact_uri"] == f"mlflow-artifacts:/0/{run}/artifacts"
    assert "end_time" not in info
    assert tags_of(shared, run) == {
        "mlflow.runName": "one",
        "mlflow.source.name": "train.py",
        "mlflow.user": "ann",
    }
    ended = shared.post("runs/update", run_id=run, status="FINISHED", end_time=2_500)["run_info"]
    assert (ended["status"], ended["end_time"]) == ("FINISHED", 2_500)
    again = shared.post("runs/update", run_id=run, status="RUNNING")["run_info"]
    assert (again["status"], "end_time" in again) == ("RUNNING", False)
    for status in ("SCHEDULED", "KILLED", "FAILED"):
        assert shared.post("runs/update", run_uuid=run, status=status)["run_info"]["status"] == status
    assert shared.refused("runs/update", run_id=run, status="LOST")[1] == "INVALID_PARAMETER_VALUE"


def test_a_run_has_a_name_whoever_gives_it(shared: Client) -> None:
    run = shared.run()
    name = tags_of(shared, run)["mlflow.runName"]
    assert name.count("-") == 2
    shared.post("runs/update", run_id=run, run_name="renamed")
    assert tags_of(shared, run)["mlflow.runName"] == "renamed"
    shared.post("runs/set-tag", run_id=run, key="mlflow.runName", value="tagged")
    assert shared.get("runs/get", run_id=run)["run"]["info"]["run_name"] == "tagged"
    clash = shared.refused("runs/create", run_name="a", tags=[{"key": "mlflow.runName", "value": "b"}])
    assert clash[2] == (
        "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values"
        " (run_name='a', mlflow.runName='b')."
    )


def test_a_part_of_a_run_points_to_it(shared: Client) -> None:
    parent = shared.run()
    child = shared.run(tags=[{"key": "mlflow.parentRunId", "value": parent}])
    odd = shared.run(tags=[{"key": "mlflow.parentRunId", "value": "elsewhere"}])
    assert tags_of(shared, child)["mlflow.parentRunId"] == parent
    for named, found in ((parent, [child]), ("elsewhere", [odd])):
        where = f"tags.mlflow.parentRunId = '{named}'"
        assert ids(shared.post("runs/search", experiment_ids=["0"], filter=where)) == found


def test_a_deleted_run_is_not_written_and_comes_back(client: Client) -> None:
    run = client.run()
    client.post("runs/delete", run_id=run)
    said = f"The run {run} must be in the 'active' state. Current state is deleted."
    for path, fields in (
        ("log-metric", metric("a", 1)),
        ("log-parameter", {"key": "a", "value": "b"}),
        ("set-tag", {"key": "a", "value": "b"}),
        ("log-batch", {}),
        ("update", {"status": "FINISHED"}),
    ):
        assert client.refused(f"runs/{path}", run_id=run, **fields) == (400, "INVALID_PARAMETER_VALUE", said)
    assert ids(client.post("runs/search", experiment_ids=["0"])) == []
    assert ids(client.post("runs/search", experiment_ids=["0"], run_view_type="DELETED_ONLY")) == [run]
    client.post("runs/restore", run_id=run)
    client.post("runs/log-metric", run_id=run, **metric("a", 1))
    assert ids(client.post("runs/search", experiment_ids=["0"], run_view_type="ALL")) == [run]


def test_a_run_that_is_not_there_is_404(shared: Client) -> None:
    said = (404, "RESOURCE_DOES_NOT_EXIST", f"Run with id={'f' * 32} not found")
    for path, fields in (("log-metric", metric("a", 1)), ("delete", {}), ("set-tag", {"key": "a", "value": "b"})):
        assert shared.refused(f"runs/{path}", run_id="f" * 32, **fields) == said
    assert shared.refused("runs/log-metric")[2].startswith("Missing value for required parameter 'run_id'.")


def test_a_lost_run_has_failed_unless_its_client_was_heard_of_here(shared: Client) -> None:
    run, recorded = by_id(shared.store, shared.run()), by_id(shared.store, start(shared.store).id)
    service = shared.application.service
    assert status_of(msgspec.structs.replace(recorded, status="lost"), service) == "FAILED"
    assert status_of(msgspec.structs.replace(run, status="lost"), service) == "RUNNING"


def test_a_run_of_this_program_is_one_of_mlflows(client: Client) -> None:
    active = start(client.store)
    active.log({"loss": 0.5}, step=3, time=2.0)
    assert client.get("runs/get", run_id=active.id)["run"]["info"]["status"] == "RUNNING"
    active.end("failed")
    answer = client.post("runs/search", experiment_ids=["0"], filter="status = 'FAILED' and metrics.loss = 0.5")
    (found,) = answer["runs"]
    assert found["data"]["metrics"] == [
        {"key": "loss", "value": 0.5, "timestamp": 2000, "step": 3, "run_id": active.id}
    ]


# Points


def test_the_point_that_shows_is_the_last_by_step_then_time_then_value(client: Client) -> None:
    run = client.run()
    for value, timestamp, step in ((1, 50, 0), (9, 10, 2), (3, 40, 2), (4, 40, 2), (2, 30, 2), (7, 99, 1)):
        client.post("runs/log-metric", run_id=run, **metric("m", value, timestamp, step))
    assert metrics_of(client, run) == {"m": 4}
    client.post("runs/update", run_id=run, status="FINISHED")
    assert open_segments(client.store) == {}
    assert metrics_of(client, run) == {"m": 4}
    shown = client.get("runs/get", run_id=run)["run"]["data"]["metrics"][0]
    assert (shown["step"], shown["timestamp"]) == (2, 99)


def test_a_history_is_in_order_once_and_by_pages(shared: Client) -> None:
    run = shared.run()
    points = [metric("m", value, timestamp, step) for value, timestamp, step in ((3, 30, 1), (1, 10, 5), (2, 20, 3))]
    for _ in range(2):
        shared.post("runs/log-batch", run_id=run, metrics=[*points, metric("other", 1)])
        shared.post("runs/log-metric", run_id=run, **points[0])
    whole = shared.get("metrics/get-history", run_id=run, metric_key="m")["metrics"]
    assert [each["value"] for each in whole] == [1, 2, 3]
    page = shared.get("metrics/get-history", run_id=run, metric_key="m", max_results=2)
    assert [each["step"] for each in page["metrics"]] == [5, 3]
    rest = shared.get(
        "metrics/get-history", run_id=run, metric_key="m", max_results=2, page_token=page["next_page_token"]
    )
    assert [each["step"] for each in rest["metrics"]] == [1]
    assert "next_page_token" not in rest
    assert shared.get("metrics/get-history", run_id=run, metric_key="none") == {}


def test_what_is_no_finite_number_is_kept(shared: Client) -> None:
    run = shared.run()
    for step, value in enumerate(("NaN", "Infinity", "-Infinity", 1e308, "0.5")):
        shared.post("runs/log-metric", run_id=run, **metric("m", value, step, step))
    values = [each["value"] for each in shared.get("metrics/get-history", run_id=run, metric_key="m")["metrics"]]
    assert values == ["NaN", "Infinity", "-Infinity", 1e308, 0.5]


def test_several_runs_are_read_at_once_and_thinned_out(shared: Client) -> None:
    runs = sorted(shared.run() for _ in range(2))
    for run in runs:
        points = [metric("m", step / 2, step, step) for step in range(50)]
        shared.post("runs/log-batch", run_id=run, metrics=points)
    both = shared.get("metrics/get-history-bulk", run_id=runs, metric_key="m", max_results=60)["metrics"]
    assert [each["run_id"] for each in both] == [runs[0]] * 50 + [runs[1]] * 10
    thin = shared.get("metrics/get-history-bulk-interval", run_ids=runs, metric_key="m", max_results=5)["metrics"]
    steps = [each["step"] for each in thin if each["run_id"] == runs[1]]
    assert steps == [0, 10, 20, 30, 40, 49]
    part = shared.get(
        "metrics/get-history-bulk-interval", run_ids=runs, metric_key="m", start_step=10, end_step=12, max_results=100
    )
    assert [each["step"] for each in part["metrics"]] == [10, 11, 12] * 2
    wrong = shared.ask(
        "GET",
        "/api/2.0/mlflow/metrics/get-history-bulk-interval",
        None,
        {"run_ids": runs, "metric_key": "m", "start_step": 1},
    )
    assert "both must be specified" in wrong.json()["message"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"value": 1, "timestamp": 1}, "Missing value for required parameter 'key'."),
        ({"key": "a", "timestamp": 1}, "Missing value for required parameter 'value'."),
        ({"key": "a", "value": 1}, "Missing value for required parameter 'timestamp'."),
        (metric("a", True), "Invalid value true for parameter 'value' supplied"),
        (metric("a", "high"), "Invalid value \"high\" for parameter 'value' supplied"),
        (metric("a", [1]), "Invalid value [1] for parameter 'value' supplied"),
        ({**metric("a", 1), "timestamp": "soon"}, "Invalid value \"soon\" for parameter 'timestamp' supplied"),
        ({**metric("a", 1), "step": 1.5}, "Invalid value 1.5 for parameter 'step' supplied"),
        (metric("a", 1, -5), "Timestamp must be a nonnegative long"),
        (metric("../a", 1), "must not resolve to other names"),
        (metric("a?b", 1), "Names may only contain alphanumerics"),
        (metric("a" * 251, 1), "'Metric name' exceeds the maximum length of 250 characters"),
    ],
)
def test_a_point_that_cannot_be_kept_is_refused(shared: Client, fields: dict[str, Any], said: str) -> None:
    status, code, message = shared.refused("runs/log-metric", run_id=shared.run(), **fields)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert said in message


# Params and tags


def test_a_param_stays_what_it_is(shared: Client) -> None:
    run = shared.run()
    for _ in range(2):
        shared.post("runs/log-parameter", run_id=run, key="rate", value="0.1")
    shared.post("runs/log-parameter", run_id=run, key="long", value="x" * 7000)
    assert shared.refused("runs/log-parameter", run_id=run, key="rate", value="0.2")[2] == (
        f"Changing param values is not allowed. Param with key='rate' was already logged with value='0.1' for run"
        f" ID='{run}'. Attempted logging new value '0.2'."
    )
    told = shared.refused("runs/log-batch", run_id=run, params=[{"key": "rate", "value": "1"}])[2]
    assert "[{'key': 'rate', 'old_value': '0.1', 'new_value': '1'}]" in told
    params = shared.get("runs/get", run_id=run)["run"]["data"]["params"]
    assert {each["key"]: len(each["value"]) for each in params} == {"rate": 3, "long": 6000}
    shared.application.service.forget(run)
    shared.post("runs/log-parameter", run_id=run, key="long", value="x" * 6000)


def test_a_credential_among_params_is_not_kept_and_may_be_said_again(shared: Client) -> None:
    run = shared.run()
    for _ in range(2):
        shared.post("runs/log-parameter", run_id=run, key="api_key", value="planted-1234567890")
    shown = shared.get("runs/get", run_id=run)["run"]["data"]["params"]
    assert shown == [{"key": "api_key", "value": "[redacted]"}]


def test_params_of_a_run_of_this_program_are_texts(shared: Client) -> None:
    with start(shared.store, params={"n": 3, "rate": 0.5, "deep": True, "none": None, "layers": [1, 2]}) as run:
        pass
    shown = shared.get("runs/get", run_id=run.id)["run"]["data"]["params"]
    assert {each["key"]: each["value"] for each in shown} == {
        "n": "3",
        "rate": "0.5",
        "deep": "True",
        "none": "None",
        "layers": "[1,2]",
    }


def test_tags_of_any_length_come_and_go(shared: Client) -> None:
    run = shared.run()
    long = "note " * 1500
    shared.post("runs/set-tag", run_id=run, key="mlflow.note.content", value=long)
    shared.post("runs/set-tag", run_id=run, key="stage", value="draft")
    shared.post("runs/set-tag", run_id=run, key="stage", value="done")
    assert tags_of(shared, run)["mlflow.note.content"] == long
    assert tags_of(shared, run)["stage"] == "done"
    shared.post("runs/delete-tag", run_id=run, key="stage")
    assert "stage" not in tags_of(shared, run)
    assert shared.refused("runs/delete-tag", run_id=run, key="stage") == (
        404,
        "RESOURCE_DOES_NOT_EXIST",
        f"No tag with name: stage in run with id {run}",
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"metrics": [metric("a", 1)] * 1001}, "at most 1000 metrics. Got 1001 metrics."),
        ({"params": [{"key": str(n), "value": ""} for n in range(101)]}, "at most 100 params. Got 101 params."),
        ({"tags": [{"key": str(n), "value": ""} for n in range(101)]}, "at most 100 tags. Got 101 tags."),
        (
            {"metrics": [metric("a", 1)] * 950, "tags": [{"key": str(n), "value": ""} for n in range(51)]},
            "at most 1000 metrics, params, and tags. Got 1001",
        ),
        ({"params": [{"key": "a", "value": "1"}, {"key": "a", "value": "1"}]}, "Duplicate parameter keys"),
        ({"metrics": [{"key": "a", "value": 1}]}, "Missing value for required parameter 'metrics[0].timestamp'"),
        ({"params": [{"value": "1"}]}, "Missing value for required parameter 'params[0].key'"),
        ({"tags": "a"}, "Invalid value \"a\" for parameter 'tags' supplied"),
        ({"tags": [{"key": "a", "value": "x" * 1_000_000}]}, "must be at most 1000000 bytes"),
    ],
)
def test_a_batch_that_is_too_much_is_refused(shared: Client, fields: dict[str, Any], said: str) -> None:
    status, code, message = shared.refused("runs/log-batch", run_id=shared.run(), **fields)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert said in message


# Search


def test_runs_are_found_ordered_and_paged(client: Client) -> None:
    identifier = client.post("experiments/create", name="other")["experiment_id"]
    runs: list[str] = []
    for number in range(5):
        run = client.run("0", start_time=1000 + number, run_name=f"run {number}")
        runs.append(run)
        client.post(
            "runs/log-batch",
            run_id=run,
            metrics=[metric("loss", "NaN" if number == 4 else number % 3)],
            params=[{"key": "rate", "value": f"0.{number}"}],
            tags=[{"key": "kind", "value": "Big" if number % 2 else "small"}],
        )
        if number < 3:
            client.post("runs/update", run_id=run, status="FINISHED", end_time=5000)
    client.run(identifier)

    def found(text: str = "", *order: str, **more: Any) -> list[int]:
        wanted = {"experiment_ids": ["0"], "filter": text, "order_by": list(order), **more}
        return [runs.index(run) for run in ids(client.post("runs/search", **wanted))]

    assert found() == [4, 3, 2, 1, 0]
    assert found("", "metrics.loss DESC") == [2, 1, 3, 0, 4]
    assert found("", "metrics.loss ASC", "params.rate DESC") == [3, 0, 1, 2, 4]
    assert found("metrics.loss = 0 and params.rate != '0.0'") == [3]
    assert found("tags.kind LIKE 'B%'") == [3, 1]
    assert found("tags.kind ILIKE 'b%' AND status = 'FINISHED'") == [1]
    assert found("attributes.end_time <= 5000 and start_time > 1000") == [2, 1]
    assert found(f"run_id IN ('{runs[0]}', '{runs[3]}')", "start_time ASC") == [0, 3]
    assert found("run_name LIKE '%2'") == [2]
    assert found("params.rate IS NULL") == []
    assert found("metrics.nothing > 0") == []
    first = client.post("runs/search", experiment_ids=["0"], max_results=2, order_by=["params.rate DESC"])
    second = client.post(
        "runs/search",
        experiment_ids=["0"],
        max_results=2,
        order_by=["params.rate DESC"],
        page_token=first["next_page_token"],
    )
    assert [runs.index(run) for run in ids(first) + ids(second)] == [4, 3, 2, 1]
    assert len(ids(client.post("runs/search", experiment_ids=["0", identifier]))) == 6
    assert client.post("runs/search", experiment_ids=[])["runs"] == []
    assert client.refused("runs/search", experiment_ids=["0"], max_results=50_001)[0] == 400


def test_runs_of_one_moment_are_told_apart_by_their_ids(client: Client) -> None:
    runs = sorted(client.run(start_time=1) for _ in range(5))
    for _ in range(2):
        first = client.post("runs/search", experiment_ids=["0"], max_results=3)
        rest = client.post("runs/search", experiment_ids=["0"], max_results=3, page_token=first["next_page_token"])
        assert ids(first) + ids(rest) == runs
        # Once more with segments that are held open.
        for run in runs[::2]:
            client.post("runs/log-metric", run_id=run, **metric("m", 1))


# Data


def dataset(name: str, digest: str, context: str = "training", **more: str) -> dict[str, Any]:
    fields = {"name": name, "digest": digest, "source_type": "local", "source": "{}", **more}
    return {"dataset": fields, "tags": [{"key": "mlflow.data.context", "value": context}]}


def test_data_that_a_run_used_is_shown_once_and_found(client: Client) -> None:
    run, other = client.run(), client.run()
    long = '{"mlflow_colspec": [' + "1, " * 2000 + "1]}"
    for _ in range(2):
        client.post("runs/log-inputs", run_id=run, datasets=[dataset("tiny", "d1", schema=long, source="s" * 2000)])
    client.post("runs/log-inputs", run_id=other, datasets=[dataset("tiny", "d2", "eval"), dataset("big", "d3")])
    (shown,) = client.get("runs/get", run_id=run)["run"]["inputs"]["dataset_inputs"]
    assert shown["dataset"]["schema"] == long
    assert shown["dataset"]["source"] == "s" * 2000
    assert shown["tags"] == [{"key": "mlflow.data.context", "value": "training"}]
    for text, wanted in (
        ("dataset.name = 'tiny'", {run, other}),
        ("datasets.digest IN ('d2', 'd9')", {other}),
        ("datasets.context LIKE 'tr%' and dataset.name != 'big'", {run, other}),
        ("datasets.name = 'none'", set[str]()),
    ):
        assert set(ids(client.post("runs/search", experiment_ids=["0"], filter=text))) == wanted
    summaries = client.post("experiments/search-datasets", experiment_ids=["0"])["dataset_summaries"]
    assert [(each["name"], each["digest"], each["context"]) for each in summaries] == [
        ("big", "d3", "training"),
        ("tiny", "d1", "training"),
        ("tiny", "d2", "eval"),
    ]
    assert client.refused("runs/log-inputs", run_id=run, datasets=[dataset("x", "d" * 37)])[0] == 400
    assert client.refused("runs/log-inputs", run_id=run, datasets=[{"dataset": {"name": "x"}}])[0] == 400


# Servers that go away


def test_what_was_acknowledged_is_there_for_the_next_server(tmp_path: Path) -> None:
    first = Client(tmp_path)
    run = first.run()
    for step in range(3):
        first.post("runs/log-metric", run_id=run, **metric("m", step, step, step))
    # It is not closed: as after `kill -9`, its segments are left as they are.
    second = Client(tmp_path)
    second.post("runs/log-metric", run_id=run, **metric("m", 2, 2, 2))
    second.post("runs/log-metric", run_id=run, **metric("m", 9, 9, 9))
    for client in (first, second):
        values = [each["value"] for each in client.get("metrics/get-history", run_id=run, metric_key="m")["metrics"]]
        assert values == [0, 1, 2, 9]
        assert metrics_of(client, run) == {"m": 9}
    first.close()
    second.post("runs/update", run_id=run, status="FINISHED")
    assert metrics_of(second, run) == {"m": 9}
    second.close()
    third = Client(tmp_path)
    seal_ended(third.store)
    assert open_segments(third.store) == {}
    assert math.isclose(metrics_of(third, run)["m"], 9)
    third.close()
