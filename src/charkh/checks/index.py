"""Checks' part of the catalog: which table was checked or looked through, and what came of it."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Float, LargeBinary, MetaData, Select, String, Table, select

from charkh.checks.check import RAN_KIND, Check, CheckRan
from charkh.checks.searched import SEARCHED_KIND, Search, Searched
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
_searched = Table(
    "check_searched",
    _metadata,
    Column("id", String, primary_key=True),
    Column("about", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_decode_searched = msgspec.msgpack.Decoder(Searched).decode
_decode = msgspec.msgpack.Decoder(CheckRan).decode


class CheckById(Query[Check | None], frozen=True, kw_only=True):
    """The check with this id."""

    check: str


class Checks(Query[tuple[Check, ...]], frozen=True, kw_only=True):
    """Checks, newest first, at most `limit`; of one suite's name, or about one subject, when these are given."""

    name: str = ""
    about: str = ""
    limit: int = 100


class SearchById(Query[Search | None], frozen=True, kw_only=True):
    """The search for trouble with this id."""

    search: str


class Searches(Query[tuple[Search, ...]], frozen=True, kw_only=True):
    """Searches for trouble, newest first, at most `limit`; about one subject, when it is given."""

    about: str = ""
    limit: int = 100


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add the checks and searches; nothing is computed from them here."""
    add_rows(connection, _ran, [_row(event) for event in events if event.kind == RAN_KIND])
    add_rows(connection, _searched, [_searched_row(event) for event in events if event.kind == SEARCHED_KIND])


def _searched_row(event: Event) -> dict[str, object]:
    searched = body_of(event, Searched)
    return {
        "id": searched.search,
        "about": searched.about,
        "body": bytes(event.body),
        "actor": event.actor,
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


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


def search_by_id(connection: Connection, query: SearchById) -> Search | None:
    return next(iter(_searches(connection, select(_searched).where(_searched.c.id == query.search))), None)


def searches(connection: Connection, query: Searches) -> tuple[Search, ...]:
    statement = select(_searched).order_by(_searched.c.stamp.desc()).limit(query.limit)
    if query.about:
        statement = statement.where(_searched.c.about == query.about)
    return tuple(_searches(connection, statement))


def portray_search(connection: Connection, identifier: str) -> Description | None:
    search = search_by_id(connection, SearchById(search=identifier))
    if search is None:
        return None
    lines = [
        ("rows", str(search.searched.rows)),
        *((":".join([each.kind, *each.columns]), f"{each.rows} rows") for each in search.searched.findings),
        *((("quarantine", f"dataset:{search.searched.quarantine}"),) if search.searched.quarantine else ()),
        ("run by", search.actor),
    ]
    return Description(title="search for trouble", lines=tuple(lines))


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


def _searches(connection: Connection, statement: Select[Any]) -> list[Search]:
    return [
        Search(searched=_decode_searched(row.body), actor=row.actor, at=row.at, stamp=row.stamp)
        for row in connection.execute(statement)
    ]


def _checks(connection: Connection, statement: Select[Any]) -> list[Check]:
    return [
        Check(ran=_decode(row.body), actor=row.actor, at=row.at, stamp=row.stamp)
        for row in connection.execute(statement)
    ]


PROJECTION = Projection(
    name="check",
    version=2,
    tables=_metadata,
    kinds=frozenset({RAN_KIND, SEARCHED_KIND}),
    fold=fold,
    answers={CheckById: check_by_id, Checks: checks, SearchById: search_by_id, Searches: searches},
    portraits={"check": portray, "search": portray_search},
)
