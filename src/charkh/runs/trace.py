"""Traces of requests to language models and other services: facts, and how the catalog answers them.

A trace is what a client says of one request (when, how long, how it went, labels); its spans, which hold the texts
that went in and out, are bytes in the vault, and the fact has an index of them. Times are integers as the protocols
have them: milliseconds of a trace (MLflow), nanoseconds of a span (OpenTelemetry).
"""

from typing import Any, Literal

import msgspec

from charkh.core.files import FileRef

TRACE_KIND = "run.trace/1"
SPANS_KIND = "run.trace_spans/1"
TAGGED_KIND = "run.trace_tagged/1"
ASSESSED_KIND = "run.trace_assessed/1"
LINKED_KIND = "run.trace_linked/1"
DELETED_KIND = "run.trace_deleted/1"

State = Literal["unknown", "ok", "error", "in_progress"]
SpanStatus = Literal["unset", "ok", "error"]
AssessmentKind = Literal["feedback", "expectation", "other"]

MAX_SHORT = 500
"""Characters of a text that stands in an event; what is longer is in the trace's texts, in the vault."""

MAX_INDEXED = 2000
"""Spans that one fact indexes; a client sends more of them in several."""


class TraceLogged(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.trace/1`: what is said of a request; of several about one trace the latest stays.

    Attributes:
        trace: id, as the client made it: `tr-` and 32 hex digits.
        project: id.
        name: of the trace, usually that of its first span.
        state: how it went.
        began_ms: milliseconds since the epoch.
        duration_ms: milliseconds; None while it goes on.
        run: id of the run that it was made in, or empty.
        request: the client's own id of the request, or empty.
        tags: labels that may change.
        metadata: labels that stay.
        texts: JSON of what is too long for an event, or is what people wrote: see `TraceTexts`.
        inferred: it was concluded from spans; what a client says goes before it.
    """

    trace: str
    project: str = ""
    name: str = ""
    state: State = "unknown"
    began_ms: int = 0
    duration_ms: int | None = None
    run: str = ""
    request: str = ""
    tags: dict[str, str] = {}
    metadata: dict[str, str] = {}
    texts: FileRef | None = None
    inferred: bool = False


class TraceTexts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a trace says in words, as it lies in the vault.

    Attributes:
        asked: the beginning of what went in; None where nothing was said.
        answered: the beginning of what came out.
        tags: those too long for an event, whole.
        metadata: those too long for an event, whole.
    """

    asked: str | None = None
    answered: str | None = None
    tags: dict[str, str] = {}
    metadata: dict[str, str] = {}


class SpanRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One span, without what it holds: `parent` is empty for a trace's first one, `ended_ns` 0 while it runs."""

    id: str
    parent: str
    name: str
    type: str
    status: SpanStatus
    began_ns: int
    ended_ns: int


class SpansLogged(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.trace_spans/1`: some spans of a trace; of two with one id the later stays.

    Attributes:
        trace: id.
        spans: an index of them.
        content: the spans whole: a JSON list of `Span`.
    """

    trace: str
    spans: tuple[SpanRow, ...]
    content: FileRef


class SpanEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened at one moment of a span; `at_ns` since the epoch."""

    name: str
    at_ns: int = 0
    attributes: dict[str, Any] = {}


class Span(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A span as it lies in the vault: OpenTelemetry's span with attributes as JSON values.

    Attributes:
        otel: the trace's id on the wire, 32 hex digits.
        id: 16 hex digits.
        parent: of the span that it is a part of; empty for the first one.
        name: what was done.
        began_ns, ended_ns: nanoseconds since the epoch; 0 for a span that has not ended.
        status: how it went.
        message: what is said of the status.
        attributes: what it holds.
        events: in their order.
    """

    otel: str
    id: str
    parent: str = ""
    name: str = ""
    began_ns: int = 0
    ended_ns: int = 0
    status: SpanStatus = "unset"
    message: str = ""
    attributes: dict[str, Any] = {}
    events: tuple[SpanEvent, ...] = ()


class TraceTagged(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.trace_tagged/1`: labels were set, None removing one; they go before the trace's own.

    Attributes:
        trace: id.
        tags: by name; of a long text the beginning.
        long: the whole of the long ones.
    """

    trace: str
    tags: dict[str, str | None]
    long: dict[str, FileRef] = {}


class TraceAssessed(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.trace_assessed/1`: somebody judged a trace, or said what was expected; of one id the latest stays.

    Attributes:
        trace: id.
        assessment: its own id.
        name: what was judged.
        kind: a judgement, or what should have come out.
        value: JSON of the value where it is short, so that it can be searched for.
        source_type, source: who judged, such as `HUMAN` and a name.
        span: id of the span that it is about, or empty.
        overrides: id of the assessment that it replaces, which is not valid while this one is there.
        created_ms, updated_ms: milliseconds since the epoch.
        content: the whole of it as JSON; None once it is removed.
        removed: it is gone.
    """

    trace: str
    assessment: str
    name: str = ""
    kind: AssessmentKind = "other"
    value: str = ""
    source_type: str = ""
    source: str = ""
    span: str = ""
    overrides: str = ""
    created_ms: int = 0
    updated_ms: int = 0
    content: FileRef | None = None
    removed: bool = False


class TraceLinked(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.trace_linked/1`: a trace belongs to a run that it was not made in."""

    trace: str
    run: str


class TraceDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.trace_deleted/1`: a trace is gone for good, and holds nothing any more."""

    trace: str


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace as the catalog answers it.

    Attributes:
        logged: what was said of it last.
        tags: its labels now; of the long ones the beginning.
        long_tags: the whole of the long ones that were set later.
        assessments: those that are there, in the order in which they were made.
        runs: ids of the runs that it belongs to.
    """

    logged: TraceLogged
    tags: dict[str, str]
    long_tags: dict[str, FileRef] = {}
    assessments: tuple[TraceAssessed, ...] = ()
    runs: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """As the client made it."""
        return self.logged.trace

    @property
    def subject(self) -> str:
        """How lineage names it."""
        return subject_of(self.id)

    @property
    def ended_ms(self) -> int | None:
        """Milliseconds since the epoch; None while it goes on."""
        return None if self.logged.duration_ms is None else self.logged.began_ms + self.logged.duration_ms

    def is_valid(self, assessment: TraceAssessed) -> bool:
        """Whether nothing replaces this assessment."""
        return all(each.overrides != assessment.assessment for each in self.assessments)


def subject_of(trace: str) -> str:
    """How lineage names a trace."""
    return f"trace:{trace}"
