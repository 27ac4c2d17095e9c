"""A stretch of an event file as facts of a run: its points and media, sealed at once, under ids that the file gives.

The id of a piece is made from the run, the file and the offset at which the piece begins, and its fact says how many
records of the file it has. So the facts alone tell how far a file has been read, two that are recorded of one piece are
one, and an import that was killed goes on behind what it has recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from charkh.bridges.tensorboard.reader import Points, Stretch, Timed
from charkh.core.digests import digest_of
from charkh.core.events import Draft
from charkh.core.files import FileRef
from charkh.core.redact import redact
from charkh.ports.store import Store
from charkh.runs.held import MEDIA_SEALED_KIND, MediaKey, MediaSealed
from charkh.runs.membership import MAIN_WRITER
from charkh.runs.points import Series, SeriesName, encode_record
from charkh.runs.run import SEALED_KIND, RunSealed
from charkh.runs.seal import MAX_SERIES
from charkh.runs.sealed_media import MediaEntry, encode_media_blob
from charkh.runs.sealed_points import encode_blob
from charkh.runs.values import MAX_KEY

MAX_KEYS = 10_000
_UNNAMED = "unnamed"


class Piece(NamedTuple):
    """Where a piece begins: the run, the file's identity, and the offset."""

    run: str
    file: str
    offset: int

    def segment(self, part: str = "") -> str:
        """The id of the segment that the piece is sealed as; `part` tells several of one piece apart."""
        return digest_of(f"tensorboard\0{self.run}\0{self.file}\0{self.offset}\0{part}".encode())[:32]


def run_key(tag: str) -> str:
    """The name under which a run keeps a tag: without control characters and backquotes, and not too long."""
    clean = redact("".join(each if each.isprintable() and each != "`" else "_" for each in tag))
    clean = clean.encode("utf-8", "replace").decode()
    if len(clean) > MAX_KEY:
        clean = f"{clean[: MAX_KEY - 9]}-{digest_of(tag.encode('utf-8', 'replace'))[:8]}"
    return clean or _UNNAMED


def piece_drafts(store: Store, piece: Piece, stretch: Stretch, attempt: int) -> list[Draft]:
    """The facts that seal a stretch; the bytes are put, and flushed by the caller.

    The first one says how far the file has been read, also where there is nothing to show.

    Args:
        store: where the blobs are put.
        piece: where the stretch begins.
        stretch: what it says.
        attempt: of the writer at the beginning.
    """
    attempts = sorted({each.attempt for each in stretch.points} | {attempt})
    drafts: list[Draft] = []
    for each in attempts:
        mine = [points for points in stretch.points if points.attempt == each]
        first = each == attempts[0]
        records = stretch.records if first else 0
        part = "" if first else str(each)
        drafts.append(_points_draft(store, piece, piece.segment(part), each, mine, records))
    for each in sorted({timed.attempt for timed in stretch.media}):
        shown = [timed for timed in stretch.media if timed.attempt == each]
        drafts.append(media_draft(store, piece.run, piece.segment(f"media {each}"), each, shown))
    return drafts


def media_draft(store: Store, run: str, segment: str, attempt: int, media: Sequence[Timed]) -> Draft:
    """The fact that seals media."""
    items = [
        (
            MediaEntry(
                key=run_key(each.item.key),
                kind=each.item.kind,
                step=each.step,
                time=each.time,
                mime=each.item.mime[:100],
                details=each.item.details,
                ordinal=ordinal,
                offset=0,
                length=0,
            ),
            each.item.payload,
        )
        for ordinal, each in enumerate(media)
    ]
    blob = store.vault.put_bytes(encode_media_blob(items), "media")
    keys: dict[tuple[str, str], MediaKey] = {}
    for entry, _ in items:
        old = keys.get((entry.key, entry.kind), MediaKey(entry.key, entry.kind, 0, entry.step, entry.step))
        low, high = min(old.first_step, entry.step), max(old.last_step, entry.step)
        keys[entry.key, entry.kind] = MediaKey(entry.key, entry.kind, old.count + 1, low, high)
    body = MediaSealed(
        run=run,
        segment=segment,
        writer=MAIN_WRITER,
        attempt=attempt,
        blob=blob,
        items=len(items),
        keys=tuple(keys[name] for name in sorted(keys))[:MAX_KEYS],
    )
    return Draft(kind=MEDIA_SEALED_KIND, subject=f"run:{run}", body=body, holds=(blob.held,))


def live_payloads(stretch: Stretch) -> list[bytes] | None:
    """The stretch as records of an open segment, one for each of the file; None where it is more than plain scalars."""
    attempts = {each.attempt for each in stretch.points}
    if stretch.media or stretch.starts or stretch.ends or stretch.damage or len(attempts) != 1:
        return None
    together: dict[int, tuple[float, int, dict[str, float]]] = {}
    for points in stretch.points:
        key = run_key(points.tag)
        columns = (points.places.tolist(), points.steps.tolist(), points.times.tolist(), points.values.tolist())
        for place, step, time, value in zip(*columns, strict=True):
            values = together.setdefault(place, (time / 1e6, step, {}))[2]
            if key in values:
                return None
            values[key] = value
    if len(together) != stretch.records:
        return None
    return [encode_record(together[place]) for place in sorted(together)]


def _points_draft(
    store: Store, piece: Piece, segment: str, attempt: int, points: Sequence[Points], records: int
) -> Draft:
    # Metrics that were logged together share their steps, and so do their columns.
    shared: dict[bytes, Points] = {}
    series: list[Series] = []
    for each in points:
        steps = shared.setdefault(each.steps.tobytes(), each).steps
        series.append(Series(SeriesName(run_key(each.tag), ""), steps, each.times, each.values))
    summaries = [each.summary() for each in series]
    blob: FileRef = store.vault.put_bytes(encode_blob(series, summaries), "points.zst")
    body = RunSealed(
        run=piece.run,
        segment=segment,
        writer=MAIN_WRITER,
        attempt=attempt,
        blob=blob,
        records=records,
        points=sum(each.count for each in summaries),
        series=tuple(summaries[:MAX_SERIES]),
    )
    return Draft(kind=SEALED_KIND, subject=f"run:{piece.run}", body=body, holds=(blob.held,))
