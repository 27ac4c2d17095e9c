"""What the facts about sealed media and console lines say, and their part of the catalog."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from sqlalchemy import Column, Connection, LargeBinary, MetaData, String, Table, select

from charkh.core.events import Event, body_of
from charkh.core.files import FileRef
from charkh.ports.folding import keep_rows
from charkh.ports.projections import Projection, Query
from charkh.runs.membership import writer_order

MEDIA_SEALED_KIND = "run.media_sealed/1"
CONSOLE_SEALED_KIND = "run.console_sealed/1"
IDS_AT_ONCE = 500
Body = TypeVar("Body", "MediaSealed", "ConsoleSealed")


class MediaKey(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a segment or a run has under one key: of which kind, how many, from which step to which."""

    key: str
    kind: str
    count: int
    first_step: int
    last_step: int


class MediaSealed(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.media_sealed/1`: a media segment has been rewritten into a blob.

    Attributes:
        run: id of the run.
        segment: id of the data segment.
        writer: which of the run's writers, such as the rank.
        attempt: which attempt of that writer; later ones are greater.
        blob: the items, laid out as docs/formats/runs.md says.
        items: how many.
        keys: what is under each key, by key and kind, at most 10,000; the blob's own index has every item.
    """

    run: str
    segment: str
    writer: str
    attempt: int
    blob: FileRef
    items: int
    keys: tuple[MediaKey, ...]


class ConsoleSealed(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.console_sealed/1`: a console segment has been rewritten into a blob.

    Attributes:
        run: id of the run.
        segment: id of the data segment.
        writer: which of the run's writers, such as the rank.
        attempt: which attempt of that writer; later ones are greater.
        blob: the lines, laid out as docs/formats/runs.md says.
        lines: how many are kept.
        cut: how many were printed and are not kept, because there were too many.
    """

    run: str
    segment: str
    writer: str
    attempt: int
    blob: FileRef
    lines: int
    cut: int = 0


METADATA = MetaData()
_media = Table(
    "run_held_media",
    METADATA,
    Column("segment", String, primary_key=True),
    Column("run", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)
_console = Table(
    "run_held_console",
    METADATA,
    Column("segment", String, primary_key=True),
    Column("run", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)
_decode_media = msgspec.msgpack.Decoder(MediaSealed).decode
_decode_console = msgspec.msgpack.Decoder(ConsoleSealed).decode


class MediaOf(Query[tuple[MediaSealed, ...]], frozen=True, kw_only=True):
    """The sealed media segments of a run, in order of writer, attempt and segment."""

    run: str


class ConsoleOf(Query[tuple[ConsoleSealed, ...]], frozen=True, kw_only=True):
    """The sealed console segments of a run, in order of writer, attempt and segment."""

    run: str


class HeldAmong(Query[tuple[str, ...]], frozen=True, kw_only=True):
    """Those of these media and console segments that have been sealed."""

    segments: tuple[str, ...]


def media_of(connection: Connection, query: MediaOf) -> tuple[MediaSealed, ...]:
    return _bodies(connection, _media, query.run, _decode_media)


def console_of(connection: Connection, query: ConsoleOf) -> tuple[ConsoleSealed, ...]:
    return _bodies(connection, _console, query.run, _decode_console)


def held_among(connection: Connection, query: HeldAmong) -> tuple[str, ...]:
    found: list[str] = []
    for start in range(0, len(query.segments), IDS_AT_ONCE):
        ids = query.segments[start : start + IDS_AT_ONCE]
        for table in (_media, _console):
            found += connection.execute(select(table.c.segment).where(table.c.segment.in_(ids))).scalars()
    return tuple(found)


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Fold events of this part's kinds, whatever their order and grouping."""
    for kind, table, shape in (
        (MEDIA_SEALED_KIND, _media, MediaSealed),
        (CONSOLE_SEALED_KIND, _console, ConsoleSealed),
    ):
        bodies = [(event, body_of(event, shape)) for event in events if event.kind == kind]
        rows = [
            {"segment": body.segment, "run": body.run, "body": bytes(event.body), "stamp": event.stamp}
            for event, body in bodies
        ]
        keep_rows(connection, table, rows, stamp="stamp", keep="earliest")


def _bodies(connection: Connection, table: Table, run: str, decode: Callable[[bytes], Body]) -> tuple[Body, ...]:
    bodies = [decode(row) for row in connection.execute(select(table.c.body).where(table.c.run == run)).scalars()]
    return tuple(sorted(bodies, key=lambda each: (writer_order(each.writer), each.attempt, each.segment)))


PROJECTION = Projection(
    name="run_held",
    version=1,
    tables=METADATA,
    kinds=frozenset({MEDIA_SEALED_KIND, CONSOLE_SEALED_KIND}),
    fold=fold,
    answers={MediaOf: media_of, ConsoleOf: console_of, HeldAmong: held_among},
)
