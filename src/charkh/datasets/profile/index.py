"""Profiles' part of the catalog: which bytes say what a version holds."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Float, LargeBinary, MetaData, Select, String, Table, select

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.datasets.profile.profiled import PROFILED_KIND, DatasetProfiled, Profiled
from charkh.ports.folding import add_rows
from charkh.ports.projections import Projection, Query

_metadata = MetaData()
_profiles = Table(
    "profile",
    _metadata,
    Column("event", String, primary_key=True),
    Column("version", String, nullable=False, index=True),
    Column("name", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_decode = msgspec.msgpack.Decoder(DatasetProfiled).decode


class ProfilesOf(Query[tuple[Profiled, ...]], frozen=True, kw_only=True):
    """The profiles that were made of a version, newest first."""

    version: str


class ProfilesOfName(Query[tuple[Profiled, ...]], frozen=True, kw_only=True):
    """The profiles of all versions of a dataset, newest first; several of one version where it was profiled again."""

    name: str


class EveryProfile(Query[tuple[Profiled, ...]], frozen=True, kw_only=True):
    """The profiles of all versions, newest first, those of deleted ones among them."""


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add the profiles; nothing is computed from them here."""
    add_rows(connection, _profiles, [_row(event) for event in events])


def _row(event: Event) -> dict[str, object]:
    made = body_of(event, DatasetProfiled)
    return {
        "event": event.id,
        "version": made.version,
        "name": made.name,
        "body": bytes(event.body),
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def profiles_of(connection: Connection, query: ProfilesOf) -> tuple[Profiled, ...]:
    return _found(connection, select(_profiles).where(_profiles.c.version == query.version))


def profiles_of_name(connection: Connection, query: ProfilesOfName) -> tuple[Profiled, ...]:
    return _found(connection, select(_profiles).where(_profiles.c.name == query.name))


def every_profile(connection: Connection, _query: EveryProfile) -> tuple[Profiled, ...]:
    return _found(connection, select(_profiles))


def _found(connection: Connection, statement: Select[Any]) -> tuple[Profiled, ...]:
    rows = connection.execute(statement.order_by(_profiles.c.stamp.desc()))
    return tuple(Profiled(made=_decode(row.body), at=row.at) for row in rows)


PROJECTION = Projection(
    name="profile",
    version=1,
    tables=_metadata,
    kinds=frozenset({PROFILED_KIND}),
    fold=fold,
    answers={ProfilesOf: profiles_of, ProfilesOfName: profiles_of_name, EveryProfile: every_profile},
)
