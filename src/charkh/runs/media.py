"""What a run shows besides numbers: texts, tables, images, audio, histograms; what they are, and how they are found.

One call is one record of a data segment with content `media` (docs/formats/runs.md). A closed segment becomes one
blob, of which one item is read without the rest.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast, get_args

import msgspec

from charkh.core.errors import Corrupt, Invalid, NotFound
from charkh.core.files import FileRef
from charkh.ports.journal import DataSegment
from charkh.ports.store import Store
from charkh.runs.held import MediaKey, MediaOf, MediaSealed
from charkh.runs.membership import writer_order
from charkh.runs.sealed_media import MediaEntry, read_media_index

CONTENT = "media"
MediaKind = Literal[
    "text", "table", "image", "audio", "histogram", "figure", "pr_curve", "embedding", "graph", "mesh", "file"
]
KINDS: frozenset[str] = frozenset(get_args(MediaKind))


class MediaRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record: what one call logged.

    Attributes:
        time: seconds since the epoch.
        step: as the caller gave it, or counted.
        key: names the series that the item is one of, such as `samples/first`.
        kind: one of `KINDS`.
        mime: media type of the payload.
        details: what is known of it, such as `width`; JSON values.
        payload: the bytes.
    """

    time: float
    step: int
    key: str
    kind: str
    mime: str
    details: dict[str, Any]
    payload: bytes


class MediaItem(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a run, as readers find it.

    Attributes:
        run: id of the run.
        key: of the series.
        kind: one of `KINDS`.
        step: as the caller gave it, or counted.
        time: seconds since the epoch.
        mime: media type of the payload.
        details: what is known of it.
        size: bytes of the payload.
        writer: who logged it, such as the rank.
        attempt: which attempt of that writer; later ones are greater.
        segment: the data segment that it was logged into.
        ordinal: its place there.
        blob: what has it when the segment is sealed; None before.
        start: where it begins in the blob.
    """

    run: str
    key: str
    kind: str
    step: int
    time: float
    mime: str
    details: dict[str, Any]
    size: int
    writer: str
    attempt: int
    segment: str
    ordinal: int
    blob: FileRef | None = None
    start: int = 0


_decode = msgspec.msgpack.Decoder(MediaRecord).decode


def decode_media(payload: bytes) -> MediaRecord:
    """The record in a frame of a media segment.

    Raises:
        Corrupt: it is none.
    """
    try:
        return _decode(payload)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"a media record cannot be read: {error}", code="run.bad_record") from error


def list_media(store: Store, run_id: str, key: str = "", *, every_attempt: bool = False) -> tuple[MediaItem, ...]:
    """The items of a run, by key, step and time; those of segments that are still written too.

    Args:
        store: where the run is.
        run_id: 32 hex digits.
        key: only what was logged under it; everything by default.
        every_attempt: also what a later attempt of the same writer logged again for the same step.

    Raises:
        Corrupt: a sealed blob is not what its digest says.
    """
    items = [each for each in _items(store, run_id, key) if key in ("", each.key)]
    if not every_attempt:
        latest: dict[tuple[str, str, int], int] = {}
        for each in items:
            place = (each.key, each.writer, each.step)
            latest[place] = max(each.attempt, latest.get(place, 0))
        items = [each for each in items if latest[each.key, each.writer, each.step] == each.attempt]
    return tuple(sorted(items, key=_order))


def read_media(store: Store, item: MediaItem) -> bytes:
    """The payload of an item; nothing else of its segment is read when that is sealed.

    Raises:
        NotFound: the run was deleted, and its bytes are gone.
        Corrupt: the bytes are not what their digest says.
    """
    if item.blob is not None:
        return b"".join(store.vault.read(item.blob, item.start, item.size)) if item.size else b""
    try:
        for record in store.journal.read_data(item.segment, item.ordinal):
            return decode_media(record.payload).payload
    except NotFound:
        # It was sealed since it was listed.
        for each in _items(store, item.run, item.key):
            if (each.segment, each.ordinal) == (item.segment, item.ordinal) and each.blob is not None:
                return read_media(store, each)
    raise NotFound(
        f"the item {item.key!r} of run {item.run} is not here any more",
        code="run.no_media",
        hint="The run was deleted since it was listed.",
    )


def one_media(store: Store, run_id: str, key: str, step: int | None = None) -> MediaItem:
    """The item of a key at a step, or its last one.

    Raises:
        NotFound: there is none.
    """
    items = [each for each in list_media(store, run_id, key) if step in (None, each.step)]
    if not items:
        known = ", ".join(sorted({each.key for each in count_media(store, run_id)})[:10])
        raise NotFound(
            f"run {run_id} has nothing under {key!r}" + ("" if step is None else f" at step {step}"),
            code="run.no_media",
            hint=f"It has: {known}." if known else "It shows nothing besides numbers.",
        )
    return items[-1]


def count_media(store: Store, run_id: str) -> tuple[MediaKey, ...]:
    """What a run shows, one entry for each key and kind; no sealed blob is opened for it."""
    opened = _open_segments(store, run_id)
    sealed = store.queries.ask(MediaOf(run=run_id))
    parts = [each for body in sealed for each in body.keys]
    done = {each.segment for each in sealed}
    for each in opened:
        if each.header.segment not in done:
            parts += (MediaKey(item.key, item.kind, 1, item.step, item.step) for item in _open_items(store, each))
    found: dict[tuple[str, str], MediaKey] = {}
    for part in parts:
        known = found.get((part.key, part.kind))
        found[part.key, part.kind] = _joined(known, part) if known is not None else part
    return tuple(found[place] for place in sorted(found))


def checked_kind(kind: str) -> MediaKind:
    """A kind of media.

    Raises:
        Invalid: there is none of this name.
    """
    if kind not in KINDS:
        raise Invalid(
            f"{kind!r} is no kind of media",
            code="run.bad_media",
            hint=f"It is one of {', '.join(sorted(KINDS))}.",
        )
    return cast(MediaKind, kind)


def _joined(one: MediaKey, other: MediaKey) -> MediaKey:
    first, last = min(one.first_step, other.first_step), max(one.last_step, other.last_step)
    return MediaKey(one.key, one.kind, one.count + other.count, first, last)


def _order(item: MediaItem) -> tuple[Any, ...]:
    return (item.key, item.step, writer_order(item.writer), item.time, item.attempt, item.segment, item.ordinal)


def _items(store: Store, run_id: str, key: str) -> Iterator[MediaItem]:
    # Open segments before the catalog: one that is sealed in between is met in both, never in neither.
    opened = _open_segments(store, run_id)
    sealed = store.queries.ask(MediaOf(run=run_id))
    for body in sealed:
        if not key or any(each.key == key for each in body.keys):
            yield from _sealed_items(store, body)
    done = {each.segment for each in sealed}
    for segment in opened:
        if segment.header.segment not in done:
            yield from _open_items(store, segment)


def _open_segments(store: Store, run_id: str) -> list[DataSegment]:
    subject = f"run:{run_id}"
    return [
        each for each in store.journal.list_data() if each.header.content == CONTENT and each.header.subject == subject
    ]


def _sealed_items(store: Store, body: MediaSealed) -> Iterator[MediaItem]:
    blob = body.blob
    placed = read_media_index(lambda start, length: b"".join(store.vault.read(blob, start, length)))
    for entry in placed.entries:
        yield _item(body.run, entry, body.writer, body.attempt, body.segment, blob, placed.begin + entry.offset)


def _open_items(store: Store, segment: DataSegment) -> Iterator[MediaItem]:
    header = segment.header
    run = header.subject.partition(":")[2]
    try:
        for record in store.journal.read_data(header.segment):
            said = decode_media(record.payload)
            entry = MediaEntry(
                key=said.key,
                kind=said.kind,
                step=said.step,
                time=said.time,
                mime=said.mime,
                details=said.details,
                ordinal=record.ordinal,
                offset=0,
                length=len(said.payload),
            )
            yield _item(run, entry, header.writer, header.attempt, header.segment, None, 0)
    except NotFound:
        # Sealed and dropped since it was listed; whoever asks next finds it in the catalog.
        return


def _item(
    run: str, entry: MediaEntry, writer: str, attempt: int, segment: str, blob: FileRef | None, start: int
) -> MediaItem:
    details: Mapping[str, Any] = entry.details
    return MediaItem(
        run=run,
        key=entry.key,
        kind=entry.kind,
        step=entry.step,
        time=entry.time,
        mime=entry.mime,
        details=dict(details),
        size=entry.length,
        writer=writer,
        attempt=attempt,
        segment=segment,
        ordinal=entry.ordinal,
        blob=blob,
        start=start,
    )
