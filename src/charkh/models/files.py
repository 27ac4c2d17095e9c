"""Read a version's files, each verified as a whole."""

from collections.abc import Mapping

from charkh.core.digests import digest_of
from charkh.core.errors import Corrupt, NotFound
from charkh.models.model import ModelVersion
from charkh.ports.store import Store


def read_files(store: Store, version: ModelVersion) -> Mapping[str, bytes]:
    """The version's files by name, each verified as a whole.

    Raises:
        NotFound: the store has no bytes of it.
        Corrupt: a file is not what its digest says.
    """
    if version.made.elsewhere:
        raise NotFound(
            f"the files of {version.ref} are not here: they were said to lie at {version.made.source[:200]}",
            code="model.elsewhere",
            hint="Such an address is kept as text and never opened; register the files themselves.",
        )
    files: dict[str, bytes] = {}
    for entry in store.vault.entries(version.made.tree.root):
        data = b"".join(store.vault.read(entry.file))
        if digest_of(data) != entry.file.digest:
            raise Corrupt(
                f"{entry.path} of {version.ref} is not what its digest says",
                code="model.corrupt",
                hint="It was erased or damaged: run `charkh fsck`, or fetch it again from a remote.",
            )
        files[entry.path] = data
    return files
