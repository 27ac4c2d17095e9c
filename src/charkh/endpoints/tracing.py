"""Spans of requests: whose trace a request belongs to, and what it was, kept until somebody takes it away.

W3C Trace Context (Recommendation, 2021) says how a caller hands its trace on; a share of the requests whose caller
says nothing begins one. A request that is not traced costs a look at one header.
"""

import collections
import os
import random
import re
import time
from collections.abc import Mapping
from typing import NamedTuple

HEADER = "traceparent"
MOST = 4096
"""Spans that wait to be taken away; beyond it the oldest is let go and counted."""

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_NONE = re.compile(r"0+")

Value = str | int | float | bool


class Trace(NamedTuple):
    """A request that is traced.

    Attributes:
        trace: id of the trace, 32 hex digits.
        span: id of the request's own span, 16 hex digits.
        parent: id of the caller's span, or empty.
        began: nanoseconds since the epoch.
    """

    trace: str
    span: str
    parent: str
    began: int

    @property
    def header(self) -> str:
        """The `traceparent` of whoever is asked on behalf of this request."""
        return f"00-{self.trace}-{self.span}-01"


class Span(NamedTuple):
    """A request that was traced, or a part of one.

    Attributes:
        trace: id of the trace.
        span: its own id.
        parent: id of the span that it is part of, or empty.
        name: what was done, in few words.
        began: nanoseconds since the epoch.
        ended: nanoseconds since the epoch.
        attributes: by name, as OpenTelemetry's semantic conventions have them where there is one.
        error: why it failed on the server's side; empty where it did not.
        inner: a part of a request, not the request.
    """

    trace: str
    span: str
    parent: str
    name: str
    began: int
    ended: int
    attributes: Mapping[str, Value]
    error: str = ""
    inner: bool = False


def parse_parent(header: str) -> tuple[str, str, bool] | None:
    """Trace, span and whether the caller keeps its own, of a `traceparent`; None for what is none.

    Later versions may have more behind a further dash; version `ff` is none, and so are ids of zeros.
    """
    match = _PARENT.fullmatch(header)
    if match is None:
        return None
    version, trace, span, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or _NONE.fullmatch(trace) or _NONE.fullmatch(span):
        return None
    return trace, span, bool(int(flags, 16) & 1)


class Tracer:
    """Decides which requests are traced, and keeps their spans.

    Threads: any may call it.

    Args:
        sample: share of the requests whose caller says nothing.
        most: spans that wait at most.

    Attributes:
        dropped: spans that were let go because nobody took them away in time.
    """

    def __init__(self, sample: float, *, most: int = MOST) -> None:
        self.dropped = 0
        self._sample = sample
        self._spans: collections.deque[Span] = collections.deque(maxlen=most)

    def begin(self, header: str) -> Trace | None:
        """The trace of a request with this `traceparent` (empty for none); None where it is not traced."""
        if not header and random.random() >= self._sample:  # noqa: S311 (sampling keeps no secret)
            return None
        found = parse_parent(header) if header else None
        if found is None:
            # A header that cannot be read is as good as none: a new trace, for the same share.
            if header and random.random() >= self._sample:  # noqa: S311
                return None
            return Trace(os.urandom(16).hex(), os.urandom(8).hex(), "", time.time_ns())
        trace, parent, kept = found
        return Trace(trace, os.urandom(8).hex(), parent, time.time_ns()) if kept else None

    def end(
        self,
        trace: Trace,
        name: str,
        *,
        attributes: Mapping[str, Value] = {},
        error: str = "",
        compute: float = 0.0,
    ) -> None:
        """Keep the span of a request that was answered.

        Args:
            trace: as `begin` gave it.
            name: such as `POST /v2/models/{model}/infer`.
            attributes: what is said about it.
            error: why it failed on the server's side.
            compute: seconds that the model itself took, as a span within; 0 for none.
        """
        now = time.time_ns()
        if compute:
            began = max(trace.began, now - int(compute * 1e9))
            inner = os.urandom(8).hex()
            self._keep(Span(trace.trace, inner, trace.span, "predict", began, now, {}, inner=True))
        self._keep(Span(trace.trace, trace.span, trace.parent, name, trace.began, now, attributes, error))

    def take(self, most: int) -> list[Span]:
        """The oldest spans that wait, at most so many; they wait no longer."""
        taken: list[Span] = []
        while len(taken) < most:
            try:
                taken.append(self._spans.popleft())
            except IndexError:
                break
        return taken

    def _keep(self, span: Span) -> None:
        if len(self._spans) == self._spans.maxlen:
            self.dropped += 1
        self._spans.append(span)
