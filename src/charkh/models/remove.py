"""Remove a model with all its versions; none of their numbers is ever given again under its name."""

from charkh.models.decisions import RemoveModel
from charkh.models.declare import find_model
from charkh.models.model import ModelSummary, bounded_reason
from charkh.ports.store import Store


def remove(store: Store, name: str, *, reason: str = "", held: bool = False) -> ModelSummary:
    """Remove the model, and return what it was; its history stays and can be asked for.

    Args:
        store: where it is.
        name: that it has.
        reason: why, in a sentence.
        held: although aliases are on its versions; they are taken away.

    Raises:
        NotFound: there is no such model.
        Conflict: an alias is on one of its versions, and `held` was not given.
    """
    model = find_model(store, name)
    store.commands.decide(RemoveModel(name=model.name, reason=bounded_reason(reason), held=held))
    return model
