"""Every route with what nobody would send: never a 500, never a hang, and no traceback in an answer."""

import json
from typing import Any, cast
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from security.team import Team

FIELDS = (
    *("run_id", "run_uuid", "experiment_id", "experiment_ids", "name", "new_name", "key", "value", "step", "timestamp"),
    *("metrics", "params", "tags", "filter", "order_by", "max_results", "page_token", "path", "source", "version"),
    *("alias", "stage", "status", "model_id", "models", "datasets", "run_name", "start_time", "end_time", "view_type"),
    *("lifecycle_stage", "ref", "where", "limit", "scope", "role", "reason", "token", "prefix", "number", "events"),
    *("artifact_location", "description", "url", "parts", "upload_id", "num_parts", "metric_key", "start_step"),
    *("end_step", "run_ids", "artifact_path", "model_json", "expires", "limits", "label"),
)
WORDS = st.sampled_from(
    ["", "0", "-1", "NaN", "Infinity", "9" * 30, "run:", "delay@champion", "../x", "%00", "\x00", "'", '"', "(", "`",
     "a = ", "metrics.a > 1", "params.`x y` like '%'", "attributes.status in ('x',)", "2020-13-45", "null", "🙂" * 50,
     "x" * 3000]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | WORDS | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=12,
)
BODIES = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8) | VALUES
QUERIES = st.lists(st.tuples(st.sampled_from(FIELDS) | st.text(max_size=5), WORDS | st.text(max_size=20)), max_size=5)
RAW = st.binary(max_size=200)


def known(team: Team, value: Any) -> Any:
    """The value, now and then about something that is there."""
    if isinstance(value, list):
        return [known(team, each) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    there = {"run_id": team.runs["mine"], "experiment_id": team.projects["mine"], "name": "reader"}
    fields = cast("dict[str, Any]", value)
    return {name: there.get(name, "") if each == "" else known(team, each) for name, each in fields.items()}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_request_makes_the_server_fail(team: Team, data: st.DataObject) -> None:
    way = data.draw(st.sampled_from(team.ways))
    pairs = data.draw(QUERIES)
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    target = f"{way.path}?{query}" if query else way.path
    who = data.draw(st.sampled_from(["owner", "owner", "owner", "mine", "reader", ""]))
    if way.method == "GET":
        answer = team.ask(way.method, target, who=who)
    elif data.draw(st.integers(0, 4)) == 0:
        headers = {"content-type": data.draw(st.sampled_from(["application/json", "text/plain", ""]))}
        answer = team.ask(way.method, target, who=who, raw=data.draw(RAW), headers=headers)
    else:
        answer = team.ask(way.method, target, who=who, body=known(team, data.draw(BODIES)))
    # 501 says of a part of the protocol that it is not carried; 503 asks the client to come again.
    assert answer.status < 500 or answer.status == 501, f"{way.method} {target}: {answer.body!r}"
    assert b"Traceback" not in answer.body
    assert b"/work/" not in answer.body
    assert str(team.workspace.folder).encode() not in answer.body or way.path == "/"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet="abx.`'\"()=<>!~%, andorotiklsmetricspg0123456789-", max_size=60), order=WORDS)
def test_no_filter_makes_the_server_fail(team: Team, text: str, order: str) -> None:
    for target in (
        f"/api/runs?where={quote(text)}&order={quote(order)}",
        f"/api/runs?where={quote('params.a = 1 and ' + text)}",
    ):
        assert team.ask("GET", target, who="owner").status in {200, 400}
    for path in ("runs/search", "experiments/search", "logged-models/search"):
        body = {"experiment_ids": [team.projects["mine"]], "filter": text, "filter_string": text, "max_results": 5}
        answer = team.ask("POST", f"/api/2.0/mlflow/{path}", who="owner", body=body)
        assert answer.status in {200, 400}, f"{path} {json.dumps(body)}: {answer.body!r}"
    body = {"locations": [{"mlflow_experiment": {"experiment_id": team.projects["mine"]}}], "filter": text}
    answer = team.ask("POST", "/api/3.0/mlflow/traces/search", who="owner", body=body)
    assert answer.status in {200, 400}, f"traces {json.dumps(body)}: {answer.body!r}"
    for path in ("registered-models/search", "model-versions/search"):
        answer = team.ask("GET", f"/api/2.0/mlflow/{path}?filter={quote(text)}", who="owner")
        assert answer.status in {200, 400}, f"{path} {text!r}: {answer.body!r}"
