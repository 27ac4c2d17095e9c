"""Make the card of a model or dataset version: generate it, keep what people wrote, and record it."""

from charkh.cards.card import Card, name_of
from charkh.cards.generate import fill, generate_card
from charkh.cards.index import CardNamed, CardOf
from charkh.cards.known import known_about
from charkh.cards.record import ERASED, read_markdown, record_card
from charkh.cards.regions import merge
from charkh.cards.wording import Wording, with_keys_of
from charkh.core.errors import NotFound
from charkh.core.refs import parse_subject
from charkh.ports.store import Store

_PLAIN = Wording()


def make_card(store: Store, about: str, *, wording: Wording = _PLAIN, previous: str | None = None) -> Card:
    """Make and record the card of a version; making it again without news gives the card that is there.

    What people wrote comes from `previous`, or else from the newest card about this version, or else from the newest
    card about any version of the same name; one whose text was erased counts as none.

    Args:
        store: where facts and cards are.
        about: `model:id` or `dataset:id`.
        wording: signature; and license and texts, which stand only where nobody has written any.
        previous: Markdown to keep people's parts of; empty to begin anew; None to look for the last card.

    Raises:
        NotFound: nobody knows the subject, or the last card's bytes are not here.
        Invalid: no cards are made of that noun.
    """
    return record_card(store, about, compose_card(store, about, wording=wording, previous=previous))


def compose_card(store: Store, about: str, *, wording: Wording = _PLAIN, previous: str | None = None) -> str:
    """The text that `make_card` would record; arguments and errors as there.

    A card whose text it is not says something that is no longer so.
    """
    known = known_about(store, about)
    noun = parse_subject(about).noun
    before = _last_text(store, about, known.title) if previous is None else previous
    before = fill(before, wording, noun)
    return merge(before, generate_card(known, with_keys_of(before, wording)))


def _last_text(store: Store, about: str, title: str) -> str:
    noun = parse_subject(about).noun
    card = store.queries.ask(CardOf(about=about)) or store.queries.ask(CardNamed(noun=noun, name=name_of(title)))
    try:
        return read_markdown(store, card) if card is not None else ""
    except NotFound as error:
        if error.code != ERASED:
            raise
        return ""
