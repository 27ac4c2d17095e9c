"""Find the card that a reference means."""

from charkh.cards.card import Card
from charkh.cards.index import CardById, CardOf
from charkh.core.errors import NotFound
from charkh.ports.store import Store


def find(store: Store, subject: str) -> Card:
    """The card `card:ID`, or the newest card about a subject such as `model:ID`.

    Raises:
        NotFound: there is none.
    """
    identifier = subject.removeprefix("card:")
    found = store.queries.ask(CardById(card=identifier)) if identifier != subject else None
    card = found or store.queries.ask(CardOf(about=subject))
    if card is None:
        raise NotFound(
            f"there is no card of {subject}",
            code="card.not_found",
            hint="Make one with `charkh card make`.",
        )
    return card
