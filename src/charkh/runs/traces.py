"""Record and read traces: what clients say of requests, their spans, labels and judgements.

Bytes are put and flushed before the fact that names them. What people and models wrote is in the vault alone, where
it can be erased; credentials are taken out of it first.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from charkh.core.errors import CharkhError, NotFound
from charkh.core.events import Draft
from charkh.core.files import FileRef
from charkh.core.redact import redact
from charkh.ports.store import Store
from charkh.runs.json_values import kept_value
from charkh.runs.trace import (
    ASSESSED_KIND,
    DELETED_KIND,
    LINKED_KIND,
    MAX_INDEXED,
    MAX_SHORT,
    SPANS_KIND,
    TAGGED_KIND,
    TRACE_KIND,
    AssessmentKind,
    Span,
    SpanRow,
    SpansLogged,
    State,
    Trace,
    TraceAssessed,
    TraceDeleted,
    TraceLinked,
    TraceLogged,
    TraceTagged,
    TraceTexts,
    subject_of,
)
from charkh.runs.trace_index import SpansOf, TracesByIds, TracesIn

MAX_TEXT = 1_000_000
SPAN_TYPE = "mlflow.spanType"
"""The attribute that says what kind of work a span is: `LLM`, `TOOL`, `RETRIEVER` …"""

_spans = msgspec.json.Decoder(tuple[Span, ...]).decode
_texts = msgspec.json.Decoder(TraceTexts).decode
_encode = msgspec.json.Encoder().encode


def log_trace(
    store: Store,
    trace: str,
    *,
    project: str,
    name: str = "",
    state: State = "unknown",
    began_ms: int = 0,
    duration_ms: int | None = None,
    run: str = "",
    request: str = "",
    asked: str | None = None,
    answered: str | None = None,
    tags: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
    inferred: bool = False,
) -> Trace:
    """Say what a trace is; said again, the later word stays.

    Args:
        store: where.
        trace, project, name, state, began_ms, duration_ms, run, request, tags, metadata, inferred: as
            `charkh.runs.trace.TraceLogged` says.
        asked, answered: as `charkh.runs.trace.TraceTexts` says.

    Raises:
        Unavailable: the store cannot be written.
    """
    labels, marks = _clean(tags or {}), _clean(metadata or {})
    texts = TraceTexts(
        asked=None if asked is None else redact(asked)[:MAX_TEXT],
        answered=None if answered is None else redact(answered)[:MAX_TEXT],
        tags={key: value for key, value in labels.items() if len(value) > MAX_SHORT},
        metadata={key: value for key, value in marks.items() if len(value) > MAX_SHORT},
    )
    file = store.vault.put_bytes(_encode(texts), "trace.json") if texts != TraceTexts() else None
    body = TraceLogged(
        trace=trace,
        project=project,
        name=_short(name),
        state=state,
        began_ms=began_ms,
        duration_ms=duration_ms,
        run=run,
        request=_short(request),
        tags={key: value[:MAX_SHORT] for key, value in labels.items()},
        metadata={key: value[:MAX_SHORT] for key, value in marks.items()},
        texts=file,
        inferred=inferred,
    )
    _record(store, Draft(kind=TRACE_KIND, subject=subject_of(trace), body=body, holds=_held(file)))
    return find_trace(store, trace)


def log_spans(store: Store, trace: str, spans: Sequence[Span]) -> None:
    """Add spans to a trace; of two with one id the later stays.

    Raises:
        Unavailable: the store cannot be written.
    """
    drafts: list[Draft] = []
    for start in range(0, len(spans), MAX_INDEXED):
        some = [_clean_span(each) for each in spans[start : start + MAX_INDEXED]]
        file = store.vault.put_bytes(_encode(some), "spans.json")
        body = SpansLogged(trace=trace, spans=tuple(map(_row, some)), content=file)
        drafts.append(Draft(kind=SPANS_KIND, subject=subject_of(trace), body=body, holds=_held(file)))
    _record(store, *drafts)


def tag_trace(store: Store, trace: str, tags: Mapping[str, str | None]) -> None:
    """Set labels of a trace, None removing one.

    Raises:
        Unavailable: the store cannot be written.
    """
    plain = _clean({key: value for key, value in tags.items() if value is not None})
    long = {
        key: store.vault.put_bytes(value.encode(), "tag.txt") for key, value in plain.items() if len(value) > MAX_SHORT
    }
    values: dict[str, str | None] = {key: value[:MAX_SHORT] for key, value in plain.items()}
    values |= {_short(key): None for key, value in tags.items() if value is None}
    body = TraceTagged(trace=trace, tags=values, long=long)
    held = tuple(sorted({file.held for file in long.values()}))
    _record(store, Draft(kind=TAGGED_KIND, subject=subject_of(trace), body=body, holds=held))


def assess_trace(
    store: Store,
    trace: str,
    assessment: str,
    content: Mapping[str, Any],
    *,
    name: str,
    kind: AssessmentKind,
    value: object = None,
    source_type: str = "",
    source: str = "",
    span: str = "",
    overrides: str = "",
    created_ms: int,
    updated_ms: int,
) -> TraceAssessed:
    """Judge a trace, or say what should have come out; said again under one id, the later word stays.

    Args:
        store: where.
        trace: id.
        assessment, name, kind, source_type, source, span, overrides, created_ms, updated_ms: as
            `charkh.runs.trace.TraceAssessed` says.
        content: the whole of it.
        value: what of it can be searched for.

    Raises:
        Unavailable: the store cannot be written.
    """
    file = store.vault.put_bytes(_encode(kept_value(content)), "assessment.json")
    shown = _encode(kept_value(value)).decode()
    body = TraceAssessed(
        trace=trace,
        assessment=assessment,
        name=_short(name),
        kind=kind,
        value=shown if len(shown) <= MAX_SHORT else "",
        source_type=_short(source_type),
        source=_short(source),
        span=span,
        overrides=overrides,
        created_ms=created_ms,
        updated_ms=updated_ms,
        content=file,
    )
    _record(store, Draft(kind=ASSESSED_KIND, subject=subject_of(trace), body=body, holds=_held(file)))
    return body


def drop_assessment(store: Store, trace: str, assessment: str) -> None:
    """Take an assessment away; what it replaced is valid again.

    Raises:
        Unavailable: the store cannot be written.
    """
    body = TraceAssessed(trace=trace, assessment=assessment, removed=True)
    _record(store, Draft(kind=ASSESSED_KIND, subject=subject_of(trace), body=body))


def link_traces(store: Store, traces: Sequence[str], run: str) -> None:
    """Let traces belong to a run that they were not made in.

    Raises:
        Unavailable: the store cannot be written.
    """
    bodies = [TraceLinked(trace=each, run=run) for each in traces]
    _record(store, *(Draft(kind=LINKED_KIND, subject=subject_of(each.trace), body=each) for each in bodies))


def delete_traces(store: Store, traces: Sequence[str]) -> None:
    """Delete traces for good: `charkh gc` frees their bytes.

    Raises:
        Unavailable: the store cannot be written.
    """
    drafts = [
        Draft(kind=DELETED_KIND, subject=subject_of(each), body=TraceDeleted(trace=each), drops=(subject_of(each),))
        for each in traces
    ]
    if drafts:
        store.record(*drafts, durable=True)


def find_trace(store: Store, trace: str) -> Trace:
    """The trace with this id.

    Raises:
        NotFound: there is none.
    """
    identifier = trace.removeprefix("trace:")
    found = store.queries.ask(TracesByIds(traces=(identifier,)))
    if not found:
        raise NotFound(
            f"there is no trace {redact(identifier)[:80]!r}",
            code="trace.not_found",
            hint="`charkh run traces` shows the newest ones.",
        )
    return found[0]


PAGE = 500


def scan_traces(store: Store, query: TracesIn) -> Iterator[Trace]:
    """The traces that a question asks for, read page by page as they are used."""
    left = query.limit
    while left > 0:
        page = store.queries.ask(msgspec.structs.replace(query, limit=min(PAGE, left)))
        yield from page
        left -= len(page)
        if len(page) < PAGE:
            return
        query = msgspec.structs.replace(query, after=(page[-1].logged.began_ms, page[-1].id))


def read_spans(store: Store, traces: Sequence[str]) -> dict[str, tuple[Span, ...]]:
    """The spans of traces: the first one of each, then the others as they began.

    Raises:
        NotFound: bytes are not here.
        Corrupt: bytes are damaged, or are no spans.
    """
    batches = [body for several in store.queries.ask(SpansOf(traces=tuple(traces))).values() for body in several]
    contents = dict(store.vault.read_many([body.content for body in batches]))
    found: dict[str, dict[str, Span]] = {each: {} for each in traces}
    for place, body in enumerate(batches):
        found[body.trace] |= {span.id: span for span in decode_spans(contents[place])}
    return {trace: in_order(tuple(spans.values())) for trace, spans in found.items()}


def decode_spans(content: bytes) -> tuple[Span, ...]:
    """The spans in bytes of the vault; none where they were erased."""
    try:
        return _spans(content)
    except msgspec.MsgspecError:
        return ()


def in_order(spans: Sequence[Span]) -> tuple[Span, ...]:
    """The first span, then the others as they began."""
    return tuple(sorted(spans, key=lambda span: (bool(span.parent), span.began_ns)))


def read_texts(store: Store, traces: Sequence[Trace]) -> dict[str, TraceTexts]:
    """By trace, what it says in words; nothing where it was erased."""
    having = [(each.id, each.logged.texts) for each in traces if each.logged.texts is not None]
    contents = store.vault.read_many([file for _, file in having])
    return {having[place][0]: _decoded_texts(content) for place, content in contents}


def read_assessment(store: Store, body: TraceAssessed) -> dict[str, Any]:
    """The whole of an assessment; nothing where it was erased or is not here."""
    if body.content is None:
        return {}
    try:
        found: Any = msgspec.json.decode(b"".join(store.vault.read(body.content)))
    except (msgspec.MsgspecError, CharkhError):
        return {}
    return cast(dict[str, Any], found) if isinstance(found, dict) else {}


def _decoded_texts(content: bytes) -> TraceTexts:
    try:
        return _texts(content)
    except msgspec.MsgspecError:
        return TraceTexts()


def _record(store: Store, *drafts: Draft) -> None:
    if any(draft.holds for draft in drafts):
        store.vault.flush()
    if drafts:
        store.record(*drafts)


def _held(file: FileRef | None) -> tuple[str, ...]:
    return () if file is None else (file.held,)


def _short(text: str) -> str:
    return redact(text)[:MAX_SHORT].replace("\0", "")


def _clean(labels: Mapping[str, str]) -> dict[str, str]:
    return {_short(key): redact(value)[:MAX_TEXT].replace("\0", "") for key, value in labels.items()}


def _clean_span(span: Span) -> Span:
    return msgspec.structs.replace(
        span,
        name=_short(span.name),
        message=redact(span.message),
        attributes=cast(dict[str, Any], kept_value(span.attributes)),
        events=tuple(
            msgspec.structs.replace(each, attributes=cast(dict[str, Any], kept_value(each.attributes)))
            for each in span.events
        ),
    )


def _row(span: Span) -> SpanRow:
    kind = span.attributes.get(SPAN_TYPE)
    return SpanRow(
        id=span.id,
        parent=span.parent,
        name=span.name,
        type=_short(kind) if isinstance(kind, str) else "UNKNOWN",
        status=span.status,
        began_ns=span.began_ns,
        ended_ns=span.ended_ns,
    )
