"""Seal closed segments of runs: their blob into the vault, then the fact, then the segment goes.

A crash between any two of the three is harmless: the next seal finds the segment and does what is missing;
equal records give an equal blob, so that a second fact says the same as the first.
"""

from collections.abc import Callable, Mapping, Sequence

from charkh.core.errors import Corrupt, NotFound
from charkh.core.events import Draft
from charkh.core.refs import parse_subject
from charkh.ports.exchange import is_received
from charkh.ports.journal import DataHeader
from charkh.ports.store import Store
from charkh.runs.console import CONTENT as CONSOLE
from charkh.runs.held import HeldAmong
from charkh.runs.index import SealedAmong, WerePurged
from charkh.runs.media import CONTENT as MEDIA
from charkh.runs.membership import CLIENT_WRITER
from charkh.runs.points import CONTENT, collect_series
from charkh.runs.run import SEALED_KIND, RunSealed
from charkh.runs.seal_held import console_draft, media_draft
from charkh.runs.sealed_points import encode_blob

MAX_SERIES = 10_000
"""Summaries that stand in the fact; the blob's own index has all of them."""

TOGETHER = 200
"""Segments whose blobs share one flush and whose facts share one sync."""


def seal_ended(store: Store) -> int:
    """Seal every segment of points, media and console lines that nobody writes any more; how many were let go of.

    Raises:
        Corrupt: a record cannot be read; its segment stays as it is, and every other one is sealed.
        Locked: another process seals or decides.
        Unavailable: the store cannot be written; what was sealed before stays so.
    """
    unreadable: list[Corrupt] = []
    with store.journal.exclusive():
        closed = [each.header for each in store.journal.list_data() if each.header.content in _DRAFTS and not each.live]
        for start in range(0, len(closed), TOGETHER):
            unreadable += _seal_together(store, closed[start : start + TOGETHER])
    if unreadable:
        raise unreadable[0]
    return len(closed)


def sealed_draft(store: Store, header: DataHeader) -> Draft | None:
    """Put what a segment holds into the vault, and the fact that names it; None where it holds nothing.

    The caller flushes the vault before it records.

    Raises:
        NotFound: the segment is not here any more.
        Corrupt: a record cannot be read.
    """
    return _DRAFTS[header.content](store, header)


def _points_draft(store: Store, header: DataHeader) -> Draft | None:
    records, series = collect_series(record.payload for record in store.journal.read_data(header.segment))
    if not series:
        return None
    summaries = [each.summary(by_time=header.writer == CLIENT_WRITER) for each in series]
    blob = store.vault.put_bytes(encode_blob(series, summaries), "points.zst")
    body = RunSealed(
        run=parse_subject(header.subject).id,
        segment=header.segment,
        writer=header.writer,
        attempt=header.attempt,
        blob=blob,
        records=records,
        points=sum(summary.count for summary in summaries),
        series=tuple(summaries[:MAX_SERIES]),
    )
    return Draft(kind=SEALED_KIND, subject=header.subject, body=body, holds=(blob.held,))


_DRAFTS: Mapping[str, Callable[[Store, DataHeader], Draft | None]] = {
    CONTENT: _points_draft,
    MEDIA: media_draft,
    CONSOLE: console_draft,
}
"""How each content is sealed."""


def _seal_together(store: Store, headers: Sequence[DataHeader]) -> list[Corrupt]:
    """Seal these segments; the errors of those that cannot be read."""
    done = set(store.queries.ask(SealedAmong(segments=_ids(headers, CONTENT))))
    if held := _ids(headers, MEDIA, CONSOLE):
        done.update(store.queries.ask(HeldAmong(segments=held)))
    runs = {header.segment: parse_subject(header.subject).id for header in headers}
    done_with = set(store.queries.ask(WerePurged(runs=tuple(sorted(set(runs.values()))))))
    drafts: list[Draft] = []
    unreadable: dict[str, Corrupt] = {}
    waiting: set[str] = set()
    for header in headers:
        if header.segment in done or runs[header.segment] in done_with:
            continue
        if is_received(header):
            # Where it is written it is sealed, too, whole; until the fact comes, what is here is shown.
            waiting.add(header.segment)
            continue
        try:
            draft = sealed_draft(store, header)
        except NotFound:
            # Its own process sealed it meanwhile.
            continue
        except Corrupt as error:
            unreadable[header.segment] = error
            continue
        drafts += [draft] if draft is not None else []
    if drafts:
        store.vault.flush()
        store.record(*drafts, durable=True)
    for header in headers:
        if header.segment not in unreadable and header.segment not in waiting:
            store.journal.drop_data(header.segment)
    return list(unreadable.values())


def _ids(headers: Sequence[DataHeader], *contents: str) -> tuple[str, ...]:
    return tuple(header.segment for header in headers if header.content in contents)
