"""The noun: what a source offered, what a fetch brought, and what its events say. Pure data, no I/O.

A source is a name in the settings. A fetch is one look at it that made a dataset version; what the source said
then (etags, listing, cursor) is the fetch's *state*, bytes in the vault that belong to that version.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from charkh.core.errors import Corrupt
from charkh.core.files import FileRef
from charkh.core.redact import redact

FETCHED_KIND = "source.fetched/1"
CHECKED_KIND = "source.checked/1"

MAX_ADDRESS = 300
MAX_SAID = 500
MARK = 16
"""Bytes that tell one row of an overlap from another."""

CursorValue = int | float | str | datetime | date | Decimal
"""A value of a cursor column, as the database's driver gives it."""


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that a source offers: a file, a URL, an object.

    Attributes:
        key: what the source calls it.
        path: of its content in the dataset.
        etag: the source's own mark of this content, or empty.
        modified: the source's own time of its last change, as it says it, or empty.
        size: bytes, or -1 where the source does not say.
        digest: BLAKE3 of the content as the source gave it.
        stored: BLAKE3 of the file in the dataset, which a recipe or a check may have changed.
        rows: of that file, or None when it is no table.
    """

    key: str
    path: str
    etag: str = ""
    modified: str = ""
    size: int = -1
    digest: str = ""
    stored: str = ""
    rows: int | None = None


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a source had said when a version was made: where the next fetch goes on.

    Attributes:
        items: what it offered, by key.
        cursor: the greatest value of the cursor column that came, or None.
        cursor_type: the kind of that value: `int`, `float`, `str`, `datetime`, `date` or `Decimal`.
        seen: 16 bytes for each row of the overlap that came already.
        columns: types of the rows as they came, by name, as a dataset's event writes them.
        extra: what a bridge keeps for itself, by name.
    """

    items: dict[str, Item] = {}
    cursor: str | None = None
    cursor_type: str = ""
    seen: bytes = b""
    columns: dict[str, str] = {}
    extra: dict[str, bytes] = {}


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `source.fetched/1`.

    Attributes:
        source: name of the source.
        fetch: id of the fetch, which is the subject's id.
        kind: of the source: `files`, `http`, `sql`, `objects`, `charkh` or a bridge's.
        mode: `append`, `replace` or `mirror`.
        dataset: name of the dataset.
        version: id of the dataset version that it made, or that it found to be the same.
        state: what the source said, as bytes.
        address: of the source, without credentials, shortened.
        new: things that it had not offered before.
        changed: things with other content than before.
        gone: things that it no longer offers.
        size: bytes that were fetched.
        since: id of the fetch whose state it went on from, or empty.
        licence: under which the data may be used, as the settings say.
        consent: on which agreement it rests, as the settings say.
        provenance: who made the data, as the settings say.
    """

    source: str
    fetch: str
    kind: str
    mode: str
    dataset: str
    version: str
    state: FileRef
    address: str
    new: int
    changed: int
    gone: int
    size: int
    since: str = ""
    licence: str = ""
    consent: str = ""
    provenance: str = ""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `source.checked/1`: the source was asked and had nothing new.

    Attributes:
        source: name of the source.
        look: id of this look, which is the subject's id.
        version: id of the dataset version that says what the source has, or empty.
        state: what the source says now, as bytes; None where that is what the fetch of the version said.
    """

    source: str
    look: str
    version: str
    state: FileRef | None = None


class Fetch(msgspec.Struct, frozen=True, kw_only=True):
    """A fetch as the catalog answers it: what its event says, who fetched, and when (seconds since the epoch)."""

    made: Fetched
    actor: str
    at: float
    stamp: str

    @property
    def id(self) -> str:
        return self.made.fetch

    @property
    def subject(self) -> str:
        """`fetch:ID`, as it stands in edges."""
        return f"fetch:{self.made.fetch}"


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What was fetched of a source last, and when it was last looked at (seconds since the epoch)."""

    source: str
    fetches: int
    latest: Fetch | None
    looked: float | None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A state that belongs to a dataset version.

    Attributes:
        state: what the source said, as bytes.
        fetch: id of the fetch that made the version.
        look: id of the newest look that found nothing new since, or empty.
        at: seconds since the epoch when the source spoke last.
    """

    state: FileRef
    fetch: str
    look: str
    at: float


_encoder = msgspec.msgpack.Encoder(order="sorted")
_decoder = msgspec.msgpack.Decoder(State)
_READ: Mapping[str, Callable[[str], CursorValue]] = {
    "int": int,
    "float": float,
    "str": str,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "Decimal": Decimal,
}


def subject_of(source: str) -> str:
    """`source:NAME`, as it stands in edges."""
    return f"source:{source}"


def encode_state(state: State) -> bytes:
    """A state's bytes; equal states have equal bytes."""
    return _encoder.encode(state)


def decode_state(data: bytes) -> State:
    """The state in bytes.

    Raises:
        Corrupt: they are none of any version.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Corrupt(
            f"the state of a source cannot be read: {error}",
            code="source.bad_state",
            hint="Fetch everything anew with --full.",
        ) from error


def with_cursor(state: State, value: CursorValue | None, seen: bytes) -> State:
    """The state with how far a cursor came."""
    if value is None:
        return msgspec.structs.replace(state, cursor=None, cursor_type="", seen=seen)
    kind = type(value).__name__
    text = value.isoformat() if isinstance(value, date) else repr(value) if kind == "float" else str(value)
    return msgspec.structs.replace(state, cursor=text, cursor_type=kind, seen=seen)


def cursor_of(state: State) -> CursorValue | None:
    """The value that `with_cursor` wrote down, in its own type."""
    if state.cursor is None:
        return None
    return _READ[state.cursor_type](state.cursor)


def joined(states: Sequence[State]) -> State:
    """What a source had said for versions that were merged into one: everything that any of them had.

    Args:
        states: the one that was told last at the end.
    """
    items: dict[str, Item] = {}
    extra: dict[str, bytes] = {}
    columns: dict[str, str] = {}
    for state in states:
        items |= state.items
        extra |= state.extra
        columns |= state.columns
    cursors = [state for state in states if state.cursor is not None]
    furthest = max(cursors, key=_order, default=State())
    seen = b"".join(dict.fromkeys(each for state in states for each in rows_seen(state)))
    whole = State(items=items, columns=columns, extra=extra)
    return msgspec.structs.replace(whole, cursor=furthest.cursor, cursor_type=furthest.cursor_type, seen=seen)


def rows_seen(state: State) -> tuple[bytes, ...]:
    """The marks of the rows of the overlap."""
    return tuple(state.seen[start : start + MARK] for start in range(0, len(state.seen), MARK))


def _order(state: State) -> tuple[str, Any]:
    """A place among cursors; of different types, by the type's name."""
    return state.cursor_type, cursor_of(state)


def by_key(items: Iterable[Item]) -> dict[str, Item]:
    """Items by what the source calls them."""
    return {item.key: item for item in items}


def shown_address(text: str) -> str:
    """An address that may stand in an event."""
    return redact(text)[:MAX_ADDRESS]


def said(text: str) -> str:
    """What the settings say for people, as it may stand in an event."""
    return redact(text.strip())[:MAX_SAID]
