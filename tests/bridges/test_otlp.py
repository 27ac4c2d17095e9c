"""OTLP: what is sent is what OpenTelemetry's own messages hold, and a collector that is down costs nothing."""

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from charkh.bridges.otlp import Sending, headers_of, spans_body
from charkh.core.errors import Denied, Invalid
from charkh.core.tracing_settings import TracingSettings
from charkh.endpoints.tracing import Tracer
from charkh.stores.egress_http import Allowed, HttpEgress
from peers import peer_program

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
READ = """
import base64, json, sys
from google.protobuf.json_format import ParseDict, MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
document = json.load(open(sys.argv[1]))
# OTLP's JSON has ids in hex, where protobuf's own has base64.
for resource in document["resourceSpans"]:
    for scope in resource["scopeSpans"]:
        for span in scope["spans"]:
            for name in ("traceId", "spanId", "parentSpanId"):
                if name in span:
                    span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
message = ParseDict(document, ExportTraceServiceRequest())
spans = message.resource_spans[0].scope_spans[0].spans
print(json.dumps([{
    "trace": span.trace_id.hex(), "span": span.span_id.hex(), "parent": span.parent_span_id.hex(), "name": span.name,
    "kind": span.kind, "status": span.status.code, "nanoseconds": span.end_time_unix_nano - span.start_time_unix_nano,
    "attributes": {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes},
} for span in spans]))
"""


class Collector:
    """A collector that keeps what it is sent, and answers with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.bodies.append(body)
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(collector.status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *args: Any) -> None:
                del format, args

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


EGRESS = HttpEgress(Allowed(private=("127.0.0.1",)))


def traced(tracer: Tracer) -> None:
    trace = tracer.begin(PARENT)
    assert trace is not None
    tracer.end(
        trace,
        "POST /v2/models/{model}/infer",
        attributes={"http.response.status_code": 200, "charkh.model": "delay", "charkh.share": 0.5, "charkh.ok": True},
        compute=1e-6,
    )


@pytest.mark.needs("peer:otlp")
def test_opentelemetrys_own_messages_hold_it(tmp_path: Path) -> None:
    tracer = Tracer(0.0)
    traced(tracer)
    path = tmp_path / "spans.json"
    path.write_bytes(spans_body(tracer.take(9), "flights", "host:7462"))
    python = peer_program("otlp", "python")
    said = subprocess.run([python, "-c", READ, path], capture_output=True, text=True, check=True).stdout
    inner, outer = json.loads(said)
    assert outer["trace"] == inner["trace"] == PARENT.split("-")[1]
    assert outer["parent"] == PARENT.split("-")[2]
    assert inner["parent"] == outer["span"]
    assert (outer["kind"], inner["kind"]) == (2, 1)
    assert outer["attributes"] == {
        "http.response.status_code": 200,
        "charkh.model": "delay",
        "charkh.share": 0.5,
        "charkh.ok": True,
    }
    assert 0 <= inner["nanoseconds"] <= outer["nanoseconds"]


def test_a_thread_sends_what_waits_and_ends_with_the_server(collector: Collector) -> None:
    tracer = Tracer(0.0)
    settings = TracingSettings(url=collector.url, headers_env="HEADERS")
    sending = Sending(tracer, settings, EGRESS, environment={"HEADERS": "authorization=Bearer t=1, x-team=a"})
    sending.start()
    traced(tracer)
    assert sending.stop(10.0)
    (body,) = collector.bodies
    assert len(json.loads(body)["resourceSpans"][0]["scopeSpans"][0]["spans"]) == 2
    assert collector.headers[0]["authorization"] == "Bearer t=1"
    assert collector.headers[0]["x-team"] == "a"


def test_a_collector_that_is_down_costs_its_spans_and_nothing_else(collector: Collector) -> None:
    tracer = Tracer(0.0)
    sending = Sending(tracer, TracingSettings(url=collector.url), EGRESS)
    collector.status = 503
    traced(tracer)
    assert not sending.send()
    collector.status = 200
    traced(tracer)
    assert sending.send()
    assert len(collector.bodies) == 2


def test_only_a_host_that_the_operator_lists_is_called() -> None:
    with pytest.raises(Denied):
        Sending(Tracer(0.0), TracingSettings(url="https://elsewhere.example/v1/traces"), EGRESS)


def test_headers_that_cannot_be_read_are_not_shown() -> None:
    settings = TracingSettings(url="https://x.example", headers_env="HEADERS")
    with pytest.raises(Invalid) as raised:
        headers_of(settings, {"HEADERS": "a-secret-without-a-name"})
    assert "a-secret" not in str(raised.value) + raised.value.hint
