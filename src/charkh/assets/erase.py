"""Erase bytes for ever: versions that hold them stay valid and show what stands in their place."""

from collections.abc import Sequence

from charkh.assets.cutting import ONE_CHUNK
from charkh.assets.index import EMPTY, ERASED_KIND, Erased
from charkh.core.errors import Invalid
from charkh.core.events import Draft, Event
from charkh.core.files import FileRef
from charkh.core.redact import redact
from charkh.ports.store import Store

MAX_REASON = 500
Range = tuple[int, int]
"""A stretch of a content: its first byte, and the one behind its last."""


def erase(
    store: Store,
    file: FileRef,
    *,
    reason: str,
    ranges: Sequence[Range] | None = None,
    instead: bytes = b"",
) -> Event:
    """Erase a file's content, or stretches of it, from every version that has the same chunks.

    Reading gives `instead` where the bytes were, from now on; adding the same file or a chunk that was erased
    is refused. The bytes leave the disk with the next collection (`charkh.assets.collect`).

    Args:
        store: where the file is.
        file: its reference.
        reason: why, in a sentence that does not repeat what is erased.
        ranges: what to erase, by position in the content as it is read now; None for all of it.
        instead: bytes that stand in the place of each range; once in every chunk that a range touches.

    Raises:
        Invalid: no reason, a reason that is too long, an empty file, or a range that is not inside the content.
        NotFound: the bytes are not here.
    """
    told = bounded_reason(reason)
    if file.digest == EMPTY:
        raise Invalid("there is nothing to erase in an empty file", code="asset.empty", hint="Name another file.")
    spans = list(store.vault.chunks(file))
    size = sum(length for _digest, length in spans)
    stretches = _checked([(0, size)] if ranges is None else ranges, size) if size else []
    touched: dict[str, list[Range]] = {}
    begin = 0
    for digest, length in spans:
        within = [(max(begin, first) - begin, min(begin + length, last) - begin) for first, last in stretches]
        if inside := [(first, last) for first, last in within if first < last]:
            touched.setdefault(digest, []).extend(inside)
        begin += length
    replacements = {digest: _replace(store, digest, parts, instead) for digest, parts in touched.items()}
    # The whole content is refused too, or it would come back with other cuts.
    replacements.setdefault(file.digest, "")
    store.vault.flush()
    held = tuple(sorted({digest for digest in replacements.values() if digest}))
    draft = Draft(
        kind=ERASED_KIND,
        subject=f"asset:{file.held}",
        body=Erased(replacements=replacements, reason=told),
        holds=held,
    )
    (event,) = store.record(draft, durable=True)
    store.vault.flush()
    return event


def bounded_reason(reason: str) -> str:
    """A reason that may stand in an event.

    Raises:
        Invalid: it is empty or too long.
    """
    told = redact(reason.strip())
    if not told or len(told) > MAX_REASON:
        raise Invalid(
            f"a reason of 1 to {MAX_REASON} characters is needed, not {len(told)}",
            code="asset.reason",
            hint="Say in a sentence why the bytes are erased, without repeating them.",
        )
    return told


def _replace(store: Store, digest: str, touched: list[Range], instead: bytes) -> str:
    """The digest of a chunk without the touched stretches; empty when nothing is left of it."""
    content = cut_out(b"".join(store.vault.read(FileRef(digest, 0))), touched, instead)
    return store.vault.put_bytes(content, ONE_CHUNK).digest if content else ""


def cut_out(data: bytes, ranges: Sequence[Range], instead: bytes = b"") -> bytes:
    """The bytes without these stretches, which may overlap, and `instead` in the place of each."""
    parts: list[bytes] = []
    position = 0
    for first, last in sorted(ranges):
        if last > position:
            parts += [data[position : max(position, first)], instead]
            position = last
    return b"".join([*parts, data[position:]])


def _checked(ranges: Sequence[Range], size: int) -> list[Range]:
    ordered = sorted(ranges)
    previous = 0
    for first, last in ordered:
        if not previous <= first < last <= size:
            raise Invalid(
                f"{first} to {last} is no stretch of {size} bytes, or overlaps another",
                code="asset.bad_range",
                hint="Give first and one-past-last positions that do not overlap.",
            )
        previous = last
    return ordered
