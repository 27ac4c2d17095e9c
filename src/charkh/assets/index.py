"""Assets' part of the catalog: what was erased, and what stands in its place."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, MetaData, String, Table, func, select

from charkh.core.digests import digest_of
from charkh.core.events import Event, body_of
from charkh.core.files import FileRef
from charkh.ports.folding import keep_rows
from charkh.ports.projections import Projection, Query

ERASED_KIND = "asset.erased/1"

EMPTY = digest_of(b"")
"""Of no bytes: there is nothing to erase in them, and every empty file of the world has it."""

_metadata = MetaData()
_erasures = Table(
    "assets_erasure",
    _metadata,
    Column("digest", String, primary_key=True),
    Column("replacement", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("event", String, nullable=False),
    Column("stamp", String, nullable=False),
)
_contents = Table(
    "assets_content",
    _metadata,
    Column("digest", String, primary_key=True),
    Column("replacement", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("root", String, nullable=False),
    Column("stamp", String, nullable=False),
)


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `asset.erased/1`: bytes that no store may give out or take in again.

    Attributes:
        replacements: by digest of an erased chunk, file or tree, the digest of what stands in its place; empty for
            nothing.
        reason: why, in a sentence, without credentials and without what was erased.
        contents: by digest of an erased file that is among the replacements, the file that is shown instead.
    """

    replacements: dict[str, str]
    reason: str
    contents: dict[str, FileRef] = {}


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """One erased digest, as the catalog answers it.

    Attributes:
        digest: of the erased bytes.
        replacement: digest of what stands in their place; empty for nothing.
        reason: why.
        actor: who erased them, `user@host`.
        event: id of the event.
    """

    digest: str
    replacement: str
    reason: str
    actor: str
    event: str


class Erasures(Query[tuple[tuple[str, str], ...]], frozen=True, kw_only=True):
    """Every erased digest and its replacement, empty for nothing."""


class ErasedCount(Query[int], frozen=True, kw_only=True):
    """How many digests were erased so far; it only grows."""


class ErasedContents(Query[tuple[tuple[str, FileRef], ...]], frozen=True, kw_only=True):
    """Every erased content that another one stands for, and that one."""


class ErasureOf(Query[Erasure | None], frozen=True, kw_only=True):
    """What is known of the erasure of a digest."""

    digest: str


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Keep, of several erasures of one digest, the first: it is the one that versions have shown since.

    The empty content cannot be erased, whoever says so.
    """
    rows: list[dict[str, object]] = []
    contents: list[dict[str, object]] = []
    for event in events:
        erased = body_of(event, Erased)
        contents += [_content_row(event, *item) for item in erased.contents.items() if item[0] != EMPTY]
        for digest, replacement in erased.replacements.items():
            if digest == EMPTY:
                continue
            rows.append(
                {
                    "digest": digest,
                    "replacement": replacement,
                    "reason": erased.reason,
                    "actor": event.actor,
                    "event": event.id,
                    "stamp": event.stamp,
                }
            )
    keep_rows(connection, _erasures, rows, stamp="stamp", keep="earliest")
    keep_rows(connection, _contents, contents, stamp="stamp", keep="earliest")


def _content_row(event: Event, digest: str, file: FileRef) -> dict[str, object]:
    return {
        "digest": digest,
        "replacement": file.digest,
        "size": file.size,
        "root": file.root,
        "stamp": event.stamp,
    }


def _all(connection: Connection, _query: Any) -> tuple[tuple[str, str], ...]:
    rows = connection.execute(select(_erasures.c.digest, _erasures.c.replacement).order_by(_erasures.c.digest))
    return tuple((row.digest, row.replacement) for row in rows)


def erased_count(connection: Connection, _query: ErasedCount) -> int:
    return connection.execute(select(func.count()).select_from(_erasures)).scalar_one()


def _all_contents(connection: Connection, _query: Any) -> tuple[tuple[str, FileRef], ...]:
    rows = connection.execute(select(_contents).order_by(_contents.c.digest))
    return tuple((row.digest, FileRef(row.replacement, row.size, row.root)) for row in rows)


def _one(connection: Connection, query: ErasureOf) -> Erasure | None:
    row = connection.execute(select(_erasures).where(_erasures.c.digest == query.digest)).one_or_none()
    if row is None:
        return None
    return Erasure(digest=row.digest, replacement=row.replacement, reason=row.reason, actor=row.actor, event=row.event)


PROJECTION = Projection(
    name="assets",
    version=2,
    tables=_metadata,
    kinds=frozenset({ERASED_KIND}),
    fold=fold,
    answers={Erasures: _all, ErasedCount: erased_count, ErasedContents: _all_contents, ErasureOf: _one},
    apart=True,
)
