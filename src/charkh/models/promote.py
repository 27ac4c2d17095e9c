"""Promote a version on evidence."""

from charkh.core.errors import Invalid
from charkh.core.refs import parse_alias
from charkh.models.decisions import MoveAlias
from charkh.models.find import find
from charkh.models.model import CHAMPION, ModelVersion, bounded_reason
from charkh.ports.store import Store


def promote(
    store: Store, ref: str, *, decided_by: str, expect: str, alias: str = CHAMPION, reason: str = ""
) -> ModelVersion:
    """Let a version that a gate has let through hold `alias`.

    Args:
        store: where the model is.
        ref: of the version.
        decided_by: id of the loop decision or digest of the gate's evidence.
        expect: id of the champion that the candidate was compared with, empty where there was none.
        alias: what it is promoted to.
        reason: why, in a sentence.

    Raises:
        Conflict: it was compared with another champion than the one that holds the alias now.
        Invalid: there is no evidence.
    """
    if not decided_by:
        raise Invalid(
            "a promotion names its evidence",
            code="model.no_evidence",
            hint="Run the gate, or move the alias by hand with `charkh model alias`.",
        )
    version = find(store, ref)
    command = MoveAlias(
        name=version.made.name,
        alias=parse_alias(alias),
        version=version.id,
        expect=expect,
        reason=bounded_reason(reason),
        decided_by=decided_by,
    )
    store.commands.decide(command)
    return find(store, version.id)
