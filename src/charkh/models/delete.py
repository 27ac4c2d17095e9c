"""Delete a version: its bytes need no longer be kept on its behalf; its number is never given again."""

from charkh.models.decisions import DeleteModelVersion
from charkh.models.find import find
from charkh.models.model import ModelVersion, bounded_reason
from charkh.ports.store import Store


def delete(store: Store, ref: str, *, reason: str = "") -> ModelVersion:
    """Delete the version that `ref` means, and return what it was.

    Raises:
        Conflict: an alias is on it.
        NotFound: there is no such version, or it was deleted before.
    """
    version = find(store, ref)
    store.commands.decide(DeleteModelVersion(version=version.id, reason=bounded_reason(reason)))
    return version
