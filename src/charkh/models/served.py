"""Which version an alias stood for at a time, and everything that was decided about a model."""

from charkh.core.refs import parse_alias
from charkh.models.history_index import ModelHistory
from charkh.models.index import AliasHolderOf
from charkh.models.model import CHAMPION, AliasHolder
from charkh.models.registered import HistoryEntry, parse_model_name
from charkh.ports.store import Store


def served_at(store: Store, name: str, alias: str = CHAMPION, moment: float | None = None) -> AliasHolder | None:
    """Who held `alias` at `moment` (seconds since the epoch), or holds it now; None when it had never been moved.

    The holder is answered even where its version, or the whole model, has been deleted since.
    """
    query = AliasHolderOf(name=parse_model_name(name), alias=parse_alias(alias), moment=moment)
    return store.queries.ask(query)


def history_of(store: Store, name: str) -> tuple[HistoryEntry, ...]:
    """Every version, alias move, rollback, stage, name, tag, description and deletion: who, when, why; newest first."""
    return store.queries.ask(ModelHistory(name=parse_model_name(name)))
