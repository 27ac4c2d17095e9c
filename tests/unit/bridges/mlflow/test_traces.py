"""Traces over the protocol: what is taken, how it is found again, and what is refused."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.bridges.mlflow.envelope import MlflowError
from charkh.bridges.mlflow.spans import (
    file_shape,
    from_file,
    from_otlp,
    from_otlp_json,
    old_file_shape,
    trace_of,
    wire_shape,
)
from charkh.bridges.mlflow.trace_filters import parse_filter
from charkh.bridges.mlflow.trace_shape import read_duration, read_timestamp, timestamp
from charkh.runs.trace import Span, SpanEvent
from unit.bridges.mlflow.conftest import TOKEN, Answer, Client

V3 = "/api/3.0/mlflow"


def otlp(trace: str, name: str, *, parent: str = "", attributes: dict[str, Any] | None = None) -> dict[str, Any]:
    """A span in OpenTelemetry's JSON."""
    return {
        "traceId": trace * 32,
        "spanId": ("b" if parent else "a") * 16,
        "parentSpanId": parent * 16,
        "name": name,
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": 1700000001500000000,
        "attributes": [{"key": key, "value": value} for key, value in (attributes or {}).items()],
        "status": {"code": 1},
    }


def send(client: Client, *spans: dict[str, Any], **headers: str) -> Answer:
    """Export spans; headers in the place of the usual ones."""
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    return export(client, body, **{"content-type": "application/json", "x-mlflow-experiment-id": "0", **headers})


def export(client: Client, body: bytes, **headers: str) -> Answer:
    return client.ask("POST", "/v1/traces", body, headers=headers)


def searched(client: Client, text: str = "", **more: Any) -> list[str]:
    """The letters of the traces that meet a filter."""
    answer = client.ask("POST", f"{V3}/traces/search", fields(text, **more))
    assert answer.status == 200, answer.body
    return [each["trace_id"][3] for each in answer.json().get("traces", ())]


def fields(text: str, **more: Any) -> dict[str, Any]:
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
    return {"locations": [place], "filter": text, **more}


def begun(client: Client, letter: str, **info: Any) -> dict[str, Any]:
    """Describe a trace as clients do at its end."""
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
    told = {
        "trace_id": f"tr-{letter * 32}",
        "trace_location": place,
        "request_time": f"2025-01-01T00:00:0{int(letter, 16) % 10}.5Z",
        "execution_duration": "1.25s",
        "state": "OK",
        **info,
    }
    answer = client.ask("POST", f"{V3}/traces", {"trace": {"trace_info": told}})
    assert answer.status == 200, answer.body
    return answer.json()["trace"]["trace_info"]


def test_spans_alone_make_a_trace(client: Client) -> None:
    inputs = {
        "mlflow.spanInputs": {"stringValue": "what?"},
        "mlflow.chat.tokenUsage": {"stringValue": '{"total_tokens": 3}'},
    }
    answer = send(client, otlp("c", "child", parent="a"))
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    trace = f"tr-{'c' * 32}"
    state = client.ask("GET", f"{V3}/traces/{trace}").json()["trace"]["trace_info"]["state"]
    assert state == "IN_PROGRESS"
    packed = gzip.compress(
        json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [otlp("c", "root", attributes=inputs)]}]}]}).encode()
    )
    usual = {"content-type": "application/json", "x-mlflow-experiment-id": "0", "content-encoding": "gzip"}
    assert export(client, packed, **usual).status == 200
    found = client.ask("GET", f"{V3}/traces/get", None, {"trace_id": trace}).json()["trace"]
    info = found["trace_info"]
    assert (info["state"], info["request_preview"], info["execution_duration"]) == ("OK", "what?", "1.500s")
    assert info["tags"]["mlflow.traceName"] == "root"
    assert info["tags"]["mlflow.trace.spansLocation"] == "TRACKING_STORE"
    assert json.loads(info["trace_metadata"]["mlflow.trace.tokenUsage"]) == {"total_tokens": 3}
    assert [each["name"] for each in found["spans"]] == ["root", "child"]


def test_what_is_no_export_is_refused(client: Client) -> None:
    assert send(client, otlp("c", "x"), **{"x-mlflow-experiment-id": ""}).status == 422
    assert send(client, otlp("c", "x"), **{"x-mlflow-experiment-id": "99"}).status == 404
    assert send(client, otlp("c", "x"), **{"content-type": "text/plain"}).status == 400
    assert send(client, otlp("c", "x"), **{"content-encoding": "gzip"}).status == 400
    assert send(client, otlp("c", "x"), **{"content-encoding": "br"}).status == 400
    assert send(client, {"name": "without ids"}).status == 422
    usual = {"content-type": "application/x-protobuf", "x-mlflow-experiment-id": "0"}
    assert export(client, b"no protobuf at all", **usual).status == 400
    bomb = gzip.compress(b"0" * (65 * 1024 * 1024))
    assert export(client, bomb, **{**usual, "content-encoding": "gzip"}).status == 400


def test_traces_are_found_by_everything_that_is_said_of_them(client: Client) -> None:
    run = client.run()
    begun(client, "1", tags={"env": "prod", "mlflow.traceName": "first"}, trace_metadata={"mlflow.sourceRun": run})
    begun(client, "2", tags={"env": "dev"}, state="ERROR", execution_duration="9s", client_request_id="req")
    begun(client, "3", tags={"env": "production"})
    client.post("traces/link-to-run", run_id=run, trace_ids=[f"tr-{'3' * 32}"])
    send(client, otlp("1", "plan", attributes={"model": {"stringValue": "gpt"}, "temperature": {"doubleValue": 0.5}}))
    send(client, otlp("2", "act", attributes={"mlflow.spanType": {"stringValue": "TOOL"}}))
    judged = {"assessment_name": "quality", "source": {"source_type": "HUMAN", "source_id": "ann"}}
    path = f"{V3}/traces/tr-{'2' * 32}/assessments"
    assert client.ask("POST", path, {"assessment": {**judged, "feedback": {"value": "bad"}}}).status == 200
    assert (
        client.ask(
            "POST", path, {"assessment": {**judged, "feedback": {"value": True}, "assessment_name": "ok"}}
        ).status
        == 200
    )
    assert searched(client) == ["3", "2", "1"]
    for text, letters in {
        "status = 'ERROR'": "2",
        "trace.status != 'ERROR' AND tags.env LIKE 'prod%'": "31",
        "tag.env RLIKE '^prod(uction)?$'": "31",
        "tag.env IS NULL": "",
        "tags.other IS NULL": "321",
        f"run_id = '{run}'": "31",
        f"attributes.run_id IN ('{run}', 'x') AND name = 'first'": "1",
        "client_request_id ILIKE 'REQ'": "2",
        "execution_time_ms > 5000": "2",
        "timestamp_ms >= 1735689602500": "32",
        "timestamp < 1735689602500": "1",
        "end_time > 1735689609000": "2",
        "request_id IN ('tr-x')": "",
        "span.name = 'plan'": "1",
        "span.type = 'TOOL' AND span.status = 'OK'": "2",
        "span.attributes.model = 'gpt'": "1",
        "span.attributes.temperature = '0.5'": "1",
        "span.content LIKE '%gpt%'": "1",
        "trace.text ILIKE '%TOOL%'": "2",
        "feedback.quality = 'bad'": "2",
        "feedback.quality != 'bad'": "",
        "feedback.ok = 'true'": "2",
        "feedback.quality IS NULL": "31",
        f"metadata.`mlflow.sourceRun` = '{run}'": "1",
    }.items():
        assert "".join(searched(client, text)) == letters, text
    assert searched(client, order_by=["execution_time_ms DESC", "timestamp_ms ASC"])[0] == "2"
    assert searched(client, order_by=["timestamp ASC"]) == ["1", "2", "3"]


def test_pages_have_every_trace_once(client: Client) -> None:
    for letter in "1234567":
        begun(client, letter, tags={"env": "a" if letter in "246" else "b"})
    for order in (["timestamp_ms ASC"], ["timestamp_ms DESC"], ["name", "execution_time DESC"]):
        found: list[str] = []
        token = ""
        while True:
            answer = client.ask(
                "POST", f"{V3}/traces/search", fields("", max_results=3, order_by=order, page_token=token)
            )
            found += [each["trace_id"][3] for each in answer.json()["traces"]]
            token = answer.json().get("next_page_token", "")
            if not token:
                break
        assert sorted(found) == list("1234567"), order
    assert client.ask("POST", f"{V3}/traces/search", fields("", page_token="bm8=")).status == 400
    assert client.ask("POST", f"{V3}/traces/search", fields("", max_results=501)).status == 400


@pytest.mark.parametrize(
    "text",
    [
        "nobody.knows = 'x'",
        "color = 'x'",
        "timestamp_ms = 'x'",
        "status = 5",
        "status IN 'OK'",
        "status = ('OK')",
        "span.content = 'x'",
        "span.attributes. = 'x'",
        "span.color = 'x'",
        "tags.a > 'x'",
        "feedback.a = 3",
        "text RLIKE 'x'",
        "status = 'OK' OR status = 'ERROR'",
        "name RLIKE",
    ],
)
def test_filters_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(MlflowError) as refused:
        parse_filter(text)
    assert refused.value.status == 400


def test_a_regular_expression_cannot_take_for_ever(client: Client) -> None:
    begun(client, "1", tags={"long": "a" * 400 + "b"})
    assert searched(client, "tags.long RLIKE '(a+)+$'") == []
    assert searched(client, "tags.long RLIKE '(a|a)*b$'") == ["1"]
    for pattern in ("(", "(a{1000}){1000}{1000}", r"(?=a)\1"):
        answer = client.ask("POST", f"{V3}/traces/search", fields(f"tags.long RLIKE '{pattern}'"))
        assert answer.status == 400, pattern


@given(st.text(max_size=60))
def test_a_filter_is_read_or_refused(text: str) -> None:
    try:
        assert isinstance(parse_filter(text).clauses, tuple)
    except MlflowError as error:
        assert error.status == 400


def test_deleting_says_how_many(client: Client) -> None:
    for letter in "1234":
        begun(client, letter)
    asked = {"experiment_id": "0"}
    assert client.refused("traces/delete-traces", **asked)[0] == 400
    assert client.refused("traces/delete-traces", **asked, max_timestamp_millis=1, request_ids=["x"])[0] == 400
    assert client.refused("traces/delete-traces", **asked, max_timestamp_millis=1, max_traces=0)[0] == 400
    assert client.post("traces/delete-traces", **asked, request_ids=[f"tr-{'2' * 32}", "x"]) == {"traces_deleted": 1}
    assert client.post("traces/delete-traces", **asked, max_timestamp_millis=1 << 41, max_traces=1) == {
        "traces_deleted": 1
    }
    assert searched(client) == ["4", "3"]
    assert client.ask("GET", f"{V3}/traces/tr-{'2' * 32}").status == 404


def test_what_old_clients_upload_is_read_again(client: Client) -> None:
    started = client.post("traces", experiment_id="0", timestamp_ms=1000, tags=[{"key": "a", "value": "1"}])
    info = started["trace_info"]
    place = {tag["key"]: tag["value"] for tag in info["tags"]}["mlflow.artifactLocation"].partition(":/")[2]
    old = {
        "name": "work",
        "context": {"trace_id": f"0x{'a' * 32}", "span_id": f"0x{'b' * 16}"},
        "parent_id": None,
        "start_time": 5,
        "end_time": 9,
        "status_code": "OK",
        "status_message": "",
        "attributes": {"mlflow.traceRequestId": json.dumps(info["request_id"]), "n": "[1]"},
        "events": [{"name": "seen", "timestamp": 7, "attributes": {"x": "y"}}],
    }
    path = f"/api/2.0/mlflow-artifacts/artifacts/{place}/traces.json"
    assert client.ask("PUT", path, json.dumps({"spans": [old]}).encode()).status == 200
    (span,) = client.ask("GET", path).json()["spans"]
    del span["context"], old["context"]
    assert span == old
    assert client.ask("PUT", path.replace("traces.json", "other.bin"), b"x").status == 400
    assert client.ask("PUT", path, b"{").status == 400
    ended = client.ask(
        "PATCH",
        f"/api/2.0/mlflow/traces/{info['request_id']}",
        {"timestamp_ms": 4000, "status": "OK", "tags": [{"key": "b", "value": "2"}]},
    ).json()["trace_info"]
    assert (ended["execution_time_ms"], ended["status"]) == (3000, "OK")
    assert {"a": "1", "b": "2"}.items() <= {tag["key"]: tag["value"] for tag in ended["tags"]}.items()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
SPANS = st.builds(
    Span,
    otel=st.binary(min_size=16, max_size=16).map(bytes.hex),
    id=st.binary(min_size=8, max_size=8).map(bytes.hex),
    parent=st.just("") | st.binary(min_size=8, max_size=8).map(bytes.hex),
    name=st.text(max_size=10),
    began_ns=st.integers(0, 2**62),
    ended_ns=st.integers(0, 2**62),
    status=st.sampled_from(["unset", "ok", "error"]),
    message=st.text(max_size=5),
    attributes=st.dictionaries(st.text(max_size=8), JSON, max_size=3),
    events=st.lists(st.builds(SpanEvent, name=st.text(max_size=5), at_ns=st.integers(0, 2**62)), max_size=2).map(tuple),
)


@given(SPANS)
def test_a_span_goes_through_both_of_its_forms(span: Span) -> None:
    from google.protobuf import json_format
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

    message = json_format.ParseDict(wire_shape(span), Message())
    assert from_otlp(message) == span
    for shape in (file_shape, old_file_shape):
        again = from_file(json.loads(json.dumps(shape(span))))
        assert trace_of(again) == trace_of(span)
        assert (again.otel, again.id, again.parent, again.events) == (span.otel, span.id, span.parent, span.events)
        assert {key: again.attributes[key] for key in span.attributes} == span.attributes


@given(JSON)
def test_anything_is_a_span_or_is_refused(value: object) -> None:
    given = {"traceId": "a" * 32, "spanId": "b" * 16, "attributes": value, "events": value, "status": value}
    for read in (from_otlp_json, from_file):
        try:
            assert read(given).name == ""
        except MlflowError as error:
            assert error.status == 400


@given(st.integers(0, 253_402_300_799_999))
def test_moments_come_back(moment: int) -> None:
    assert read_timestamp(timestamp(moment), "request_time") == moment
    assert read_duration(f"{moment / 1000:.3f}s", "d") == moment


def test_other_experiments_are_other_peoples(client: Client) -> None:
    begun(client, "1")
    assert client.ask("GET", f"{V3}/traces/tr-{'1' * 32}", token="x" * 43).status == 401
    assert client.ask("GET", f"{V3}/traces/tr-{'1' * 32}", token=TOKEN).status == 200
