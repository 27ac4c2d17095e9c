"""Let a model be there before it has a version, and find the one that has a name."""

from collections.abc import Mapping

from charkh.core.errors import Bug, NotFound
from charkh.models.decisions import DeclareModel
from charkh.models.index import ModelNamed, NewNames
from charkh.models.model import ModelSummary
from charkh.models.registered import parse_model_name
from charkh.models.texts import put_words
from charkh.ports.store import Store


def declare(store: Store, name: str, *, description: str = "", tags: Mapping[str, str] | None = None) -> ModelSummary:
    """Register a model's name.

    Args:
        store: where it goes.
        name: that no other model has.
        description: what a person should know about it; kept as erasable bytes.
        tags: about it.

    Raises:
        Conflict: there is a model of that name.
        Invalid: it is no name, or a text is too long.
    """
    name = parse_model_name(name)
    store.commands.decide(DeclareModel(name=name, said=put_words(store, tags or {}, description)))
    found = store.queries.ask(ModelNamed(name=name))
    if found is None:
        raise Bug(f"the model {name!r} that was just registered cannot be found")
    return found


def find_model(store: Store, name: str) -> ModelSummary:
    """The model that has this name now.

    Raises:
        NotFound: there is none; the error says what it is called now where it was renamed.
    """
    name = parse_model_name(name)
    found = store.queries.ask(ModelNamed(name=name))
    if found is not None:
        return found
    for new in store.queries.ask(NewNames(name=name)):
        raise NotFound(
            f"there is no model {name!r}: it was renamed to {new!r}",
            code="model.renamed",
            hint=f"Write {new}.",
            facts={"renamed": new},
        )
    raise NotFound(f"there is no model {name!r}", code="model.not_found", hint="`charkh model list` shows the models.")
