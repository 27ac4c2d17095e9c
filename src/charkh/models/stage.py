"""Move a version to one of MLflow's deprecated stages; an alias such as `production` says it better."""

from charkh.models.decisions import Stage
from charkh.models.find import find
from charkh.models.model import ModelVersion, bounded_reason
from charkh.models.registered import canonical_stage
from charkh.ports.store import Store


def move_to_stage(store: Store, ref: str, stage: str, *, archive: bool = False, reason: str = "") -> ModelVersion:
    """Let the version that `ref` means be in `stage`, and return it as it is then.

    Args:
        store: where it is.
        ref: of the version.
        stage: `None`, `Staging`, `Production` or `Archived`.
        archive: the other versions that are there become archived, in the same decision.
        reason: why, in a sentence.

    Raises:
        NotFound: there is no such version.
        Invalid: it is no stage.
    """
    version = find(store, ref)
    command = Stage(version=version.id, stage=canonical_stage(stage), archive=archive, reason=bounded_reason(reason))
    store.commands.decide(command)
    return find(store, version.id)
