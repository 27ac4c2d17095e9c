"""Cards' part of the catalog: every card, by what it is about."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Float, LargeBinary, MetaData, String, Table, select

from charkh.cards.card import MADE_KIND, Card, CardMade, name_of
from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.ports.folding import add_rows
from charkh.ports.projections import Description, Projection, Query

_metadata = MetaData()
_cards = Table(
    "card_made",
    _metadata,
    Column("id", String, primary_key=True),
    Column("about", String, nullable=False, index=True),
    Column("noun", String, nullable=False),
    Column("name", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)

_decode = msgspec.msgpack.Decoder(CardMade).decode


class CardById(Query[Card | None], frozen=True, kw_only=True):
    """The card with this id."""

    card: str


class CardOf(Query[Card | None], frozen=True, kw_only=True):
    """The newest card about a subject (`noun:id`)."""

    about: str


class CardsOf(Query[tuple[Card, ...]], frozen=True, kw_only=True):
    """Every card about a subject, newest first."""

    about: str


class CardNamed(Query[Card | None], frozen=True, kw_only=True):
    """The newest card about any version of `name`, such as the model `delay`."""

    noun: str
    name: str


class Cards(Query[tuple[Card, ...]], frozen=True, kw_only=True):
    """The newest card of each subject, newest first."""

    limit: int = 100


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add cards."""
    add_rows(connection, _cards, [_row(event) for event in events])


def _row(event: Event) -> dict[str, object]:
    made = body_of(event, CardMade)
    return {
        "id": made.card,
        "about": made.about,
        "noun": made.about.partition(":")[0],
        "name": name_of(made.title),
        "body": bytes(event.body),
        "actor": event.actor,
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def card_by_id(connection: Connection, query: CardById) -> Card | None:
    return next(iter(_where(connection, _cards.c.id == query.card)), None)


def card_of(connection: Connection, query: CardOf) -> Card | None:
    return next(iter(_where(connection, _cards.c.about == query.about)), None)


def cards_of(connection: Connection, query: CardsOf) -> tuple[Card, ...]:
    return _where(connection, _cards.c.about == query.about)


def card_named(connection: Connection, query: CardNamed) -> Card | None:
    found = _where(connection, _cards.c.noun == query.noun, _cards.c.name == query.name, limit=1)
    return next(iter(found), None)


def cards(connection: Connection, query: Cards) -> tuple[Card, ...]:
    newest: dict[str, Card] = {}
    for card in _where(connection):
        newest.setdefault(card.made.about, card)
    return tuple(newest.values())[: query.limit]


def portray(connection: Connection, identifier: str) -> Description | None:
    card = card_by_id(connection, CardById(card=identifier))
    if card is None:
        return None
    lines = [("complete", "yes" if card.made.complete else "no"), ("written by", card.actor)]
    lines += [(finding.where, finding.message) for finding in card.made.findings if finding.severity == "required"]
    return Description(title=f"card of {card.made.title}", lines=tuple(lines))


def _where(connection: Connection, *conditions: Any, limit: int | None = None) -> tuple[Card, ...]:
    statement = select(_cards).where(*conditions).order_by(_cards.c.stamp.desc())
    if limit is not None:
        statement = statement.limit(limit)
    return tuple(
        Card(made=_decode(row.body), actor=row.actor, at=row.at, stamp=row.stamp)
        for row in connection.execute(statement)
    )


PROJECTION = Projection(
    name="card",
    version=1,
    tables=_metadata,
    kinds=frozenset({MADE_KIND}),
    fold=fold,
    answers={
        CardById: card_by_id,
        CardOf: card_of,
        CardsOf: cards_of,
        CardNamed: card_named,
        Cards: cards,
    },
    portraits={"card": portray},
)
