"""Load a registered model: its bytes verified, by the runtime that it names."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from charkh.core.digests import digest_of
from charkh.core.errors import Corrupt, NotFound, Unavailable
from charkh.models.find import find
from charkh.models.model import ModelVersion
from charkh.ports.runtimes import ModelRuntime, Predictor
from charkh.ports.store import Store


class LoadedModel(NamedTuple):
    """A version and the predictor made from its files."""

    version: ModelVersion
    predictor: Predictor


def load(store: Store, ref: str, *, runtimes: Sequence[ModelRuntime]) -> LoadedModel:
    """The model that `ref` means, ready to be asked.

    Raises:
        NotFound: there is no such version, or its bytes are not here.
        Corrupt: a file is not what its digest says.
        Denied: loading would run code; the verdict is taken now, whatever was recorded.
        Unavailable: its runtime is not installed.
    """
    version = find(store, ref)
    made = version.made
    runtime = next((each for each in runtimes if each.name == made.runtime), None)
    if runtime is None:
        raise Unavailable(
            f"{version.ref} needs the runtime {made.runtime!r}, which is not installed",
            code="model.no_runtime",
            hint=f"Install it, for example `pip install charkh[{made.runtime}]`.",
        )
    return LoadedModel(version, runtime.load(read_files(store, version), made.signature))


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
