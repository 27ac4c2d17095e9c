"""OTLP over HTTP: spans of requests to a collector, through the egress door, beside the server.

The JSON form of OTLP 1.x (opentelemetry.io/docs/specs/otlp): ids in hex, 64-bit numbers as texts. What the collector
does not take in time is let go: a trace is a help, and never a reason to hold a request or its memory.
"""

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import msgspec

from charkh.core.errors import CharkhError, Invalid
from charkh.core.tracing_settings import TracingSettings
from charkh.endpoints.tracing import Span, Tracer, Value
from charkh.ports.egress import Call, Egress

PORTION = 512
EVERY = 2.0
"""Seconds between two sendings."""
PATIENCE = 60.0
"""Seconds at most that a collector which is down is left alone."""
AGAIN = frozenset({429, 502, 503, 504})
"""Statuses after which OTLP asks to send again."""
_SERVER, _INTERNAL, _ERROR = 2, 1, 2
_log = logging.getLogger("charkh.tracing")


def spans_body(spans: Sequence[Span], service: str, instance: str) -> bytes:
    """The body of one `ExportTraceServiceRequest`.

    Args:
        spans: to send.
        service: `service.name`.
        instance: `service.instance.id`.
    """
    said = version("charkh")
    resource = {"service.name": service, "service.instance.id": instance, "service.version": said}
    scope = {"scope": {"name": "charkh", "version": said}, "spans": [_span(each) for each in spans]}
    document = {"resourceSpans": [{"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scope]}]}
    return msgspec.json.encode(document)


def headers_of(settings: TracingSettings, environment: Mapping[str, str]) -> dict[str, str]:
    """What is sent along, from the variable that the settings name.

    Raises:
        Invalid: the variable is not set, or is not `name=value,name=value`.
    """
    headers = {"content-type": "application/json"}
    if not settings.headers_env:
        return headers
    text = environment.get(settings.headers_env, "")
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or not name:
            # The text is a secret: it is not shown.
            raise Invalid(
                f"the variable {settings.headers_env} does not hold headers",
                code="tracing.headers",
                hint="Export it as name=value,name=value: for most collectors authorization=Bearer …",
            )
        headers[name.strip().lower()] = value.strip()
    return headers


class Sending:
    """Sends the spans of a tracer on a thread of its own, from `start` to `stop`.

    Args:
        tracer: whose spans are sent.
        settings: where to.
        egress: the door.
        environment: variables, for the headers.
        instance: of the service, such as `host:port`.

    Raises:
        Invalid: the headers cannot be read, or the address is none.
        Denied: the operator has not said that the collector may be called.
    """

    def __init__(
        self,
        tracer: Tracer,
        settings: TracingSettings,
        egress: Egress,
        *,
        environment: Mapping[str, str] = os.environ,
        instance: str = "",
    ) -> None:
        egress.check(settings.url)
        self._tracer = tracer
        self._settings = settings
        self._egress = egress
        self._headers = headers_of(settings, environment)
        self._instance = instance
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="charkh-traces", daemon=True)
        self._pause = EVERY
        self._failure = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, grace: float) -> bool:
        """Send what waits, once, and end; whether that was done within `grace` seconds."""
        self._end.set()
        self._thread.join(grace)
        return not self._thread.is_alive()

    def send(self) -> bool:
        """Send everything that waits; whether the collector took it. What it did not take is let go."""
        while spans := self._tracer.take(PORTION):
            body = spans_body(spans, self._settings.service, self._instance)
            try:
                answer = self._egress.call(Call("POST", self._settings.url, self._headers, body))
            except CharkhError as error:
                self._say(error.message)
                return False
            if answer.status >= 300:
                self._say(f"the collector answered {answer.status}")
                if answer.status in AGAIN:
                    self._pause = max(self._pause, min(PATIENCE, answer.retry_after or 0.0))
                return False
        self._failure = ""
        return True

    def _work(self) -> None:
        ended = False
        while not ended:
            ended = self._end.wait(self._pause)
            self._pause = EVERY if self.send() else min(PATIENCE, self._pause * 2)

    def _say(self, what: str) -> None:
        if what != self._failure:
            _log.warning("spans are not sent: %s", what)
        self._failure = what


def _span(span: Span) -> dict[str, object]:
    made: dict[str, object] = {
        "traceId": span.trace,
        "spanId": span.span,
        "name": span.name,
        "kind": _INTERNAL if span.inner else _SERVER,
        "startTimeUnixNano": str(span.began),
        "endTimeUnixNano": str(span.ended),
        "attributes": _attributes(span.attributes),
        "status": {"code": _ERROR, "message": span.error} if span.error else {},
    }
    if span.parent:
        made["parentSpanId"] = span.parent
    return made


def _attributes(values: Mapping[str, Value]) -> list[dict[str, object]]:
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _value(value: Value) -> dict[str, object]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
