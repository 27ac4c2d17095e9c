"""The sealed forms of media and console segments: bytes into the vault, and the fact that names them."""

from charkh.core.events import Draft
from charkh.core.refs import parse_subject
from charkh.ports.journal import DataHeader
from charkh.ports.store import Store
from charkh.runs.console import collect_lines, encode_console_blob
from charkh.runs.held import CONSOLE_SEALED_KIND, MEDIA_SEALED_KIND, ConsoleSealed, MediaKey, MediaSealed
from charkh.runs.media import decode_media
from charkh.runs.sealed_media import MediaEntry, encode_media_blob

MAX_KEYS = 10_000
"""Keys that stand in the fact; the blob's own index has every item."""


def media_draft(store: Store, header: DataHeader) -> Draft | None:
    """Put a segment's media into the vault, and the fact that names them; None where it holds none.

    The caller flushes the vault before it records.

    Raises:
        NotFound: the segment is not here any more.
        Corrupt: a record cannot be read.
    """
    items: list[tuple[MediaEntry, bytes]] = []
    for record in store.journal.read_data(header.segment):
        said = decode_media(record.payload)
        entry = MediaEntry(
            said.key, said.kind, said.step, said.time, said.mime, said.details, record.ordinal, 0, len(said.payload)
        )
        items.append((entry, said.payload))
    if not items:
        return None
    blob = store.vault.put_bytes(encode_media_blob(items), "media")
    body = MediaSealed(
        run=parse_subject(header.subject).id,
        segment=header.segment,
        writer=header.writer,
        attempt=header.attempt,
        blob=blob,
        items=len(items),
        keys=_keys([entry for entry, _ in items]),
    )
    return Draft(kind=MEDIA_SEALED_KIND, subject=header.subject, body=body, holds=(blob.held,))


def console_draft(store: Store, header: DataHeader) -> Draft | None:
    """Put a segment's lines into the vault, and the fact that names them; None where it holds none.

    The caller flushes the vault before it records.

    Raises:
        NotFound: the segment is not here any more.
        Corrupt: a record cannot be read.
    """
    part = collect_lines(record.payload for record in store.journal.read_data(header.segment))
    if not part.lines:
        return None
    blob = store.vault.put_bytes(encode_console_blob(part.lines), "console.zst")
    body = ConsoleSealed(
        run=parse_subject(header.subject).id,
        segment=header.segment,
        writer=header.writer,
        attempt=header.attempt,
        blob=blob,
        lines=len(part.lines),
        cut=part.cut,
    )
    return Draft(kind=CONSOLE_SEALED_KIND, subject=header.subject, body=body, holds=(blob.held,))


def _keys(entries: list[MediaEntry]) -> tuple[MediaKey, ...]:
    found: dict[tuple[str, str], MediaKey] = {}
    for each in entries:
        place = (each.key, each.kind)
        known = found.get(place)
        if known is None:
            found[place] = MediaKey(each.key, each.kind, 1, each.step, each.step)
        else:
            first, last = min(known.first_step, each.step), max(known.last_step, each.step)
            found[place] = MediaKey(each.key, each.kind, known.count + 1, first, last)
    return tuple(found[place] for place in sorted(found))[:MAX_KEYS]
