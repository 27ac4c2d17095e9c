"""Recipes' part of the catalog: which recipe was recorded under which name, and when."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Float, LargeBinary, MetaData, String, Table, select

from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.ports.folding import keep_rows
from charkh.ports.projections import Description, Projection, Query
from charkh.recipes.recorded import RECORDED_KIND, RecipeRecorded, RecipeVersion

_metadata = MetaData()
_recorded = Table(
    "recipe_recorded",
    _metadata,
    Column("name", String, primary_key=True),
    Column("id", String, primary_key=True, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_decode = msgspec.msgpack.Decoder(RecipeRecorded).decode


class RecipeById(Query[RecipeVersion | None], frozen=True, kw_only=True):
    """The recipe with this id, as it was recorded last."""

    recipe: str


class RecipeByName(Query[RecipeVersion | None], frozen=True, kw_only=True):
    """The recipe that was recorded last under this name."""

    name: str


class RecipeVersions(Query[tuple[RecipeVersion, ...]], frozen=True, kw_only=True):
    """The recipes that have had a name, the one recorded last first."""

    name: str


class Recipes(Query[tuple[RecipeVersion, ...]], frozen=True, kw_only=True):
    """For every name that begins with `prefix` the recipe recorded last under it, by name."""

    prefix: str = ""


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Of one recipe recorded several times under one name, keep the last time."""
    rows = [
        {
            "name": body_of(event, RecipeRecorded).name,
            "id": body_of(event, RecipeRecorded).recipe,
            "body": bytes(event.body),
            "actor": event.actor,
            "at": seconds(event.clock),
            "stamp": event.stamp,
        }
        for event in events
    ]
    keep_rows(connection, _recorded, rows, stamp="stamp")


def recipe_by_id(connection: Connection, query: RecipeById) -> RecipeVersion | None:
    return next(iter(_where(connection, _recorded.c.id == query.recipe)), None)


def recipe_by_name(connection: Connection, query: RecipeByName) -> RecipeVersion | None:
    return next(iter(_where(connection, _recorded.c.name == query.name)), None)


def recipe_versions(connection: Connection, query: RecipeVersions) -> tuple[RecipeVersion, ...]:
    return tuple(_where(connection, _recorded.c.name == query.name))


def recipes(connection: Connection, query: Recipes) -> tuple[RecipeVersion, ...]:
    latest: dict[str, RecipeVersion] = {}
    for version in _where(connection, _recorded.c.name.startswith(query.prefix, autoescape=True)):
        latest.setdefault(version.name, version)
    return tuple(latest[name] for name in sorted(latest))


def portray(connection: Connection, identifier: str) -> Description | None:
    version = recipe_by_id(connection, RecipeById(recipe=identifier))
    if version is None:
        return None
    recorded = version.recorded
    more = recorded.steps - len(recorded.lines)
    lines = [
        ("digest", recorded.digest),
        *((f"step {number}", line) for number, line in enumerate(recorded.lines, 1)),
        *((("more steps", str(more)),) if more else ()),
        *(((f"table {name}"), f"dataset:{version}") for name, version in sorted(recorded.tables.items())),
        ("recorded by", version.actor),
    ]
    return Description(title=f"recipe {recorded.name}", lines=tuple(lines))


def _where(connection: Connection, *conditions: Any) -> list[RecipeVersion]:
    statement = select(_recorded).where(*conditions).order_by(_recorded.c.stamp.desc())
    return [
        RecipeVersion(recorded=_decode(row.body), actor=row.actor, at=row.at, stamp=row.stamp)
        for row in connection.execute(statement)
    ]


PROJECTION = Projection(
    name="recipe",
    version=1,
    tables=_metadata,
    kinds=frozenset({RECORDED_KIND}),
    fold=fold,
    answers={
        RecipeById: recipe_by_id,
        RecipeByName: recipe_by_name,
        RecipeVersions: recipe_versions,
        Recipes: recipes,
    },
    portraits={"recipe": portray},
)
