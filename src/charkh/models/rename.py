"""Give a model another name: its versions, aliases and history go with it, and the old name says where it went."""

from charkh.models.decisions import RenameModel
from charkh.models.declare import find_model
from charkh.models.model import ModelSummary, bounded_reason
from charkh.models.registered import parse_model_name
from charkh.ports.store import Store


def rename(store: Store, name: str, new: str, *, reason: str = "") -> ModelSummary:
    """Call the model `new` from now on.

    Raises:
        NotFound: there is no model `name`.
        Conflict: there is a model `new`.
        Invalid: it is no name.
    """
    command = RenameModel(name=parse_model_name(name), new=parse_model_name(new), reason=bounded_reason(reason))
    store.commands.decide(command)
    return find_model(store, new)
