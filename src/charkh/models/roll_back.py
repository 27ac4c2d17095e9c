"""Put the previous holder of an alias back."""

from collections.abc import Callable

from charkh.core.errors import Bug
from charkh.core.refs import parse_alias
from charkh.models.alias import holder_of
from charkh.models.decisions import Rollback
from charkh.models.history import heads, rollback_target
from charkh.models.index import AliasHistory, ModelById, ModelVersions
from charkh.models.model import CHAMPION, ModelVersion, bounded_reason
from charkh.models.registered import parse_model_name
from charkh.ports.store import Store


def roll_back(
    store: Store,
    name: str,
    *,
    alias: str = CHAMPION,
    expect: str | None = None,
    reason: str = "",
    decided_by: str = "",
    check: Callable[[ModelVersion], None] | None = None,
) -> ModelVersion:
    """Undo the last move of `alias`; a second call undoes the one before. Deleted versions are passed over.

    Args:
        store: where the model is.
        name: of the model.
        alias: what is rolled back.
        expect: id of the version that the caller believes holds it now, None not to ask.
        reason: why, in a sentence.
        decided_by: id of the loop decision, or empty for a person.
        check: raises where the version that would be put back may not hold the alias.

    Raises:
        NotFound: there is no earlier holder.
        Conflict: somebody moved the alias meanwhile.
    """
    if check is not None:
        moves = store.queries.ask(AliasHistory(name=parse_model_name(name), alias=parse_alias(alias)))
        current = heads(moves)
        # What was checked is put back, or nothing is: the decision asks once more who holds the alias.
        expect = expect if expect is not None or not current else current[0].moved.version
        gone = frozenset(each.id for each in store.queries.ask(ModelVersions(name=name, deleted=True)) if each.deleted)
        target = store.queries.ask(ModelById(version=rollback_target(moves, gone)))
        if target is not None:
            check(target)
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
