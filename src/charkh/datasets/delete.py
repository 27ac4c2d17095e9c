"""Delete a version: its bytes need no longer be kept on its behalf; its number is never given again."""

from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.find import find
from charkh.datasets.index import DeleteVersion
from charkh.ports.store import Store


def delete(store: Store, ref: str) -> DatasetVersion:
    """Delete the version that `ref` means, and return what it was.

    Chunks that a live version shares with it stay; the others are freed by the next collection.

    Raises:
        NotFound: there is no such version, or it was deleted before.
        Conflict: the reference means several versions.
    """
    version = find(store, ref)
    store.commands.decide(DeleteVersion(version=version.id))
    return version
