"""Checks' part of the catalog: which table was checked by which suite, and what came of it."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Float, LargeBinary, MetaData, Select, String, Table, select

from charkh.checks.check import RAN_KIND, Check, CheckRan
from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.ports.folding import add_rows
from charkh.ports.projections import Description, Projection, Query

_metadata = MetaData()
_ran = Table(
    "check_ran",
    _metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, index=True),
    Column("about", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_decode = msgspec.msgpack.Decoder(CheckRan).decode


class CheckById(Query[Check | None], frozen=True, kw_only=True):
    """The check with this id."""

    check: str


class Checks(Query[tuple[Check, ...]], frozen=True, kw_only=True):
    """Checks, newest first, at most `limit`; of one suite's name, or about one subject, when these are given."""

    name: str = ""
    about: str = ""
    limit: int = 100


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add the checks; nothing is computed from them here."""
    add_rows(connection, _ran, [_row(event) for event in events])


def _row(event: Event) -> dict[str, object]:
    ran = body_of(event, CheckRan)
    return {
        "id": ran.check,
        "name": ran.name,
        "about": ran.about,
        "body": bytes(event.body),
        "actor": event.actor,
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def check_by_id(connection: Connection, query: CheckById) -> Check | None:
    return next(iter(_checks(connection, select(_ran).where(_ran.c.id == query.check))), None)


def checks(connection: Connection, query: Checks) -> tuple[Check, ...]:
    statement = select(_ran).order_by(_ran.c.stamp.desc()).limit(query.limit)
    if query.name:
        statement = statement.where(_ran.c.name == query.name)
    if query.about:
        statement = statement.where(_ran.c.about == query.about)
    return tuple(_checks(connection, statement))


def portray(connection: Connection, identifier: str) -> Description | None:
    check = check_by_id(connection, CheckById(check=identifier))
    if check is None:
        return None
    ran = check.ran
    told = [count for count in ran.counts if count.status != "passed"]
    lines = [
        ("suite", ran.suite),
        ("rows", str(ran.rows)),
        ("set aside", str(ran.failed_rows)),
        ("holds", "yes" if ran.ok else "no"),
        *((count.rule, _told(count.status, count.failed, count.reason)) for count in told),
        *((("quarantine", f"dataset:{ran.quarantine}"),) if ran.quarantine else ()),
        ("run by", check.actor),
    ]
    return Description(title=f"check {ran.name}", lines=tuple(lines))


def _told(status: str, failed: int, reason: str) -> str:
    rows = f", {failed} rows" if failed else ""
    return f"{status.replace('_', ' ')}{rows}{': ' if reason else ''}{reason}"


def _checks(connection: Connection, statement: Select[Any]) -> list[Check]:
    return [
        Check(ran=_decode(row.body), actor=row.actor, at=row.at, stamp=row.stamp)
        for row in connection.execute(statement)
    ]


PROJECTION = Projection(
    name="check",
    version=1,
    tables=_metadata,
    kinds=frozenset({RAN_KIND}),
    fold=fold,
    answers={CheckById: check_by_id, Checks: checks},
    portraits={"check": portray},
)
