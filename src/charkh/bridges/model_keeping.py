"""Where the models go that manifests name: into the registry, or nowhere while a manifest is only tried.

A rehearsal registers in a store of its own, which is gone afterwards, and says which version the real one would give:
whether equal files are there already is a matter of digests, and those are the same everywhere.
"""

import contextlib
import tempfile
from collections import Counter
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Protocol

from charkh.core.config import Settings
from charkh.models.index import ModelByContent, ModelVersions
from charkh.models.register import register
from charkh.ports.runtimes import Signature
from charkh.workspace.workspace import Workspace


class Keep(Protocol):
    """Registers a model's files, unless they are there; the reference of the version, such as `delay@3`."""

    def __call__(
        self,
        name: str,
        files: Mapping[str, bytes],
        *,
        example: Any,
        signature: Signature | None,
        runtime: str,
        description: str,
    ) -> str: ...


class Registering:
    """Registers in a workspace.

    Args:
        workspace: whose registry it is.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def __call__(self, name: str, files: Mapping[str, bytes], **said: Any) -> str:
        """See `Keep`."""
        version = register(self._workspace.store, name, files, runtimes=self._workspace.runtimes, **said)
        return f"{version.made.name}@{version.made.number}"


class _Rehearsing:
    """Says what `Registering` would, and registers nowhere else than in a store of its own."""

    def __init__(self, workspace: Workspace, aside: Workspace) -> None:
        self._workspace = workspace
        self._aside = aside
        self._new: dict[tuple[str, str], int] = {}
        self._more = Counter[str]()

    def __call__(self, name: str, files: Mapping[str, bytes], **said: Any) -> str:
        version = register(self._aside.store, name, files, runtimes=self._workspace.runtimes, **said)
        queries, content = self._workspace.store.queries, version.made.content
        known = queries.ask(ModelByContent(name=version.made.name, content=content))
        if known is not None:
            return f"{name}@{known.made.number}"
        if (name, content) not in self._new:
            versions = queries.ask(ModelVersions(name=version.made.name, deleted=True))
            self._more[name] += 1
            self._new[name, content] = max((each.made.number for each in versions), default=0) + self._more[name]
        return f"{name}@{self._new[name, content]}"


@contextlib.contextmanager
def rehearsal(workspace: Workspace) -> Generator[Keep]:
    """What says which versions a workspace would register, and changes nothing in it."""
    with (
        tempfile.TemporaryDirectory(prefix="charkh-") as folder,
        Workspace(Path(folder), Settings(), create=True) as aside,
    ):
        yield _Rehearsing(workspace, aside)
