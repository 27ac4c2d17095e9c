"""Sources' part of the catalog: fetches, looks that found nothing, and the decision that makes a version of a fetch."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Float, LargeBinary, MetaData, String, Table, func, select

from charkh.core.clock import seconds
from charkh.core.errors import Conflict
from charkh.core.events import Draft, Edge, Event, Fact, body_of
from charkh.datasets.dataset import VERSION_KIND
from charkh.datasets.index import AddVersion, decide_add
from charkh.ports.folding import add_rows, keep_rows
from charkh.ports.projections import Command, Description, Projection, Query
from charkh.sources.source import (
    CHECKED_KIND,
    FETCHED_KIND,
    Checked,
    Fetch,
    Fetched,
    Known,
    Told,
    subject_of,
)

_metadata = MetaData()
_fetches = Table(
    "source_fetch",
    _metadata,
    Column("id", String, primary_key=True),
    Column("source", String, nullable=False, index=True),
    Column("version", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_checks = Table(
    "source_checked",
    _metadata,
    Column("source", String, primary_key=True),
    Column("version", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)

_decode_fetched = msgspec.msgpack.Decoder(Fetched).decode
_decode_checked = msgspec.msgpack.Decoder(Checked).decode


class AddFetched(Command, frozen=True, kw_only=True):
    """Make a version of what a fetch brought, and say so, in one decision: neither is there without the other.

    Attributes:
        add: the version; its id and number are decided here.
        fetched: what is said about the fetch; its `version` is filled in here, its `since` is the newest fetch of
            the source that the caller saw, or empty.
    """

    add: AddVersion
    fetched: Fetched


class Fetches(Query[tuple[Fetch, ...]], frozen=True, kw_only=True):
    """Fetches of a source, or of all with an empty name, the latest first, at most `limit`; 0 for all."""

    source: str = ""
    limit: int = 0


class KnownSources(Query[tuple[Known, ...]], frozen=True, kw_only=True):
    """Every source that was ever fetched or looked at, by name."""


class StateFor(Query[Told | None], frozen=True, kw_only=True):
    """What the source said when it last spoke about this dataset version; None where it never did."""

    source: str
    version: str


class FetchById(Query[Fetch | None], frozen=True, kw_only=True):
    """The fetch with this id."""

    fetch: str


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add fetches; of looks that found nothing, keep the newest for each source and version."""
    add_rows(connection, _fetches, [_fetch_row(event) for event in events if event.kind == FETCHED_KIND])
    checked = [_checked_row(event) for event in events if event.kind == CHECKED_KIND]
    keep_rows(connection, _checks, checked, stamp="stamp")


def _fetch_row(event: Event) -> dict[str, object]:
    body = body_of(event, Fetched)
    return {
        "id": body.fetch,
        "source": body.source,
        "version": body.version,
        "body": bytes(event.body),
        "actor": event.actor,
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def _checked_row(event: Event) -> dict[str, object]:
    body = body_of(event, Checked)
    return {
        "source": body.source,
        "version": body.version,
        "body": bytes(event.body),
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def decide_fetched(connection: Connection, command: AddFetched) -> Sequence[Draft]:
    fetched = command.fetched
    newest = next(iter(fetches(connection, Fetches(source=fetched.source, limit=1))), None)
    if (newest.id if newest else "") != fetched.since:
        raise Conflict(
            f"another fetch of {fetched.source!r} was faster",
            code="source.moved",
            hint=f"`charkh source log {fetched.source}` shows what it brought; fetch again to go on from there.",
        )
    drafts = list(decide_add(connection, command.add))
    made = next((draft.subject for draft in drafts if draft.kind == VERSION_KIND), "")
    version = made.removeprefix("dataset:") or command.add.made.parent
    return [*drafts, _fetched_draft(msgspec.structs.replace(fetched, version=version))]


def _fetched_draft(fetched: Fetched) -> Draft:
    subject, dataset = f"fetch:{fetched.fetch}", f"dataset:{fetched.version}"
    source = subject_of(fetched.source)
    facts: dict[str, Fact] = {
        "source.kind": fetched.kind,
        "source.address": fetched.address,
        "source.new": fetched.new,
        "source.changed": fetched.changed,
        "source.gone": fetched.gone,
    }
    said = {"licence": fetched.licence, "consent": fetched.consent, "provenance": fetched.provenance}
    facts |= {f"source.{name}": text for name, text in said.items() if text}
    return Draft(
        kind=FETCHED_KIND,
        subject=subject,
        body=fetched,
        edges=(
            Edge(dataset, "collected_from", source),
            Edge(dataset, "collected_by", subject),
            Edge(subject, "fetched_from", source),
        ),
        facts=facts,
        about=dataset,
        holds=(fetched.state.held,),
    )


def fetches(connection: Connection, query: Fetches) -> tuple[Fetch, ...]:
    statement = select(_fetches).order_by(_fetches.c.stamp.desc())
    if query.source:
        statement = statement.where(_fetches.c.source == query.source)
    rows = connection.execute(statement.limit(query.limit) if query.limit else statement)
    return tuple(_fetch(row) for row in rows)


def known_sources(connection: Connection, _query: KnownSources) -> tuple[Known, ...]:
    counted = select(_fetches.c.source, func.count().label("count"), func.max(_fetches.c.at).label("at"))
    fetched = {row.source: row for row in connection.execute(counted.group_by(_fetches.c.source))}
    looked = select(_checks.c.source, func.max(_checks.c.at).label("at")).group_by(_checks.c.source)
    checked = {row.source: float(row.at) for row in connection.execute(looked)}
    known: list[Known] = []
    for name in sorted({*fetched, *checked}):
        times = [checked[name]] if name in checked else []
        times += [float(fetched[name].at)] if name in fetched else []
        latest = next(iter(fetches(connection, Fetches(source=name, limit=1))), None)
        count = int(fetched[name][1]) if name in fetched else 0
        known.append(Known(source=name, fetches=count, latest=latest, looked=max(times)))
    return tuple(known)


def state_for(connection: Connection, query: StateFor) -> Told | None:
    of_version = (_fetches.c.source == query.source, _fetches.c.version == query.version)
    row = connection.execute(select(_fetches).where(*of_version).order_by(_fetches.c.stamp.desc()).limit(1)).first()
    if row is None:
        return None
    fetched = _decode_fetched(row.body)
    told = Told(state=fetched.state, fetch=fetched.fetch, look="", at=row.at)
    same = (_checks.c.source == query.source, _checks.c.version == query.version)
    later = connection.execute(select(_checks).where(*same)).first()
    if later is None or later.stamp < row.stamp:
        return told
    checked = _decode_checked(later.body)
    return Told(state=checked.state or told.state, fetch=told.fetch, look=checked.look, at=later.at)


def fetch_by_id(connection: Connection, query: FetchById) -> Fetch | None:
    row = connection.execute(select(_fetches).where(_fetches.c.id == query.fetch)).first()
    return None if row is None else _fetch(row)


def portray_source(connection: Connection, name: str) -> Description | None:
    found = next((each for each in known_sources(connection, KnownSources()) if each.source == name), None)
    if found is None:
        return None
    lines = [("fetches", str(found.fetches))]
    if found.latest is not None:
        lines += [("kind", found.latest.made.kind), ("address", found.latest.made.address)]
    return Description(title=name, lines=tuple(lines))


def portray_fetch(connection: Connection, identifier: str) -> Description | None:
    found = fetch_by_id(connection, FetchById(fetch=identifier))
    if found is None:
        return None
    made = found.made
    brought = f"{made.new} new, {made.changed} changed, {made.gone} gone, {made.size} bytes"
    return Description(
        title=f"{made.source} ({identifier[:8]})", lines=(("brought", brought), ("address", made.address))
    )


def _fetch(row: Any) -> Fetch:
    return Fetch(made=_decode_fetched(row.body), actor=row.actor, at=row.at, stamp=row.stamp)


PROJECTION = Projection(
    name="source",
    version=1,
    tables=_metadata,
    kinds=frozenset({FETCHED_KIND, CHECKED_KIND}),
    fold=fold,
    answers={Fetches: fetches, KnownSources: known_sources, StateFor: state_for, FetchById: fetch_by_id},
    portraits={"source": portray_source, "fetch": portray_fetch},
    decisions={AddFetched: decide_fetched},
)
