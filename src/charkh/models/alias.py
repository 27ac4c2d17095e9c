"""Move an alias by hand, or take it away."""

from charkh.core.refs import parse_alias
from charkh.models.decisions import MoveAlias
from charkh.models.find import find
from charkh.models.index import AliasHolderOf
from charkh.models.model import AliasHolder, ModelVersion, bounded_reason
from charkh.models.registered import parse_model_name
from charkh.ports.store import Store


def move_alias(
    store: Store, ref: str, alias: str, *, expect: str | None = None, reason: str = "", override: bool = False
) -> ModelVersion:
    """Let the version that `ref` means hold `alias`; nothing happens where it already does.

    Args:
        store: where the model is.
        ref: of the version.
        alias: a word such as `champion`.
        expect: id of the version that the caller believes holds it now, empty for nobody, None not to ask.
        reason: why, in a sentence.
        override: a gate guards the alias, and the reason says why it is passed by.

    Raises:
        NotFound: there is no such version.
        Conflict: somebody else moved the alias meanwhile.
    """
    version = find(store, ref)
    store.commands.decide(
        MoveAlias(
            name=version.made.name,
            alias=parse_alias(alias),
            version=version.id,
            expect=expect,
            reason=bounded_reason(reason),
            override=override,
        )
    )
    return find(store, version.id)


def remove_alias(
    store: Store, name: str, alias: str, *, expect: str | None = None, reason: str = "", override: bool = False
) -> None:
    """Let nobody hold `alias`; its history stays."""
    store.commands.decide(
        MoveAlias(
            name=parse_model_name(name),
            alias=parse_alias(alias),
            version="",
            expect=expect,
            reason=bounded_reason(reason),
            override=override,
        )
    )


def holder_of(store: Store, name: str, alias: str, *, moment: float | None = None) -> AliasHolder | None:
    """Who holds an alias now, or held it at `moment` (seconds since the epoch)."""
    return store.queries.ask(AliasHolderOf(name=parse_model_name(name), alias=parse_alias(alias), moment=moment))
