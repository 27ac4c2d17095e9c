"""Put the previous holder of an alias back."""

from charkh.core.errors import Bug
from charkh.core.refs import parse_alias
from charkh.models.alias import holder_of
from charkh.models.decisions import Rollback
from charkh.models.model import CHAMPION, ModelVersion, bounded_reason
from charkh.models.registered import parse_model_name
from charkh.ports.store import Store


def roll_back(
    store: Store, name: str, *, alias: str = CHAMPION, expect: str | None = None, reason: str = "", decided_by: str = ""
) -> ModelVersion:
    """Undo the last move of `alias`; a second call undoes the one before. Deleted versions are passed over.

    Args:
        store: where the model is.
        name: of the model.
        alias: what is rolled back.
        expect: id of the version that the caller believes holds it now, None not to ask.
        reason: why, in a sentence.
        decided_by: id of the loop decision, or empty for a person.

    Raises:
        NotFound: there is no earlier holder.
        Conflict: somebody moved the alias meanwhile.
    """
    command = Rollback(
        name=parse_model_name(name),
        alias=parse_alias(alias),
        expect=expect,
        reason=bounded_reason(reason),
        decided_by=decided_by,
    )
    store.commands.decide(command)
    holder = holder_of(store, name, alias)
    if holder is None or holder.version is None:
        raise Bug(f"{name}@{alias} was rolled back and nobody holds it")
    return holder.version
