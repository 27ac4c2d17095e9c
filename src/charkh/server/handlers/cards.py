"""`/api/cards`: the documents of models and datasets, as plain text that no browser takes for a page."""

from litestar import MediaType, get
from litestar.datastructures import State
from litestar.params import FromQuery

from charkh.cards.card import Card
from charkh.cards.find import find
from charkh.cards.index import Cards
from charkh.cards.record import read_markdown
from charkh.server.handlers.opened import limited, workspace_of
from charkh.server.policy import Policy
from charkh.workspace.resolving import resolve


@get("/api/cards", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_cards(state: State, limit: FromQuery[int] = 100) -> tuple[Card, ...]:
    """The newest card of each subject."""
    return workspace_of(state).store.queries.ask(Cards(limit=limited(limit)))


@get("/api/cards/text", opt={"policy": Policy.READ}, media_type=MediaType.TEXT, sync_to_thread=True)
def show_text(state: State, what: FromQuery[str]) -> str:
    """The Markdown of a card: of `card:ID`, or the newest about a reference or subject."""
    store = workspace_of(state).store
    return read_markdown(store, find(store, resolve(store, what)))


HANDLERS = (list_cards, show_text)
