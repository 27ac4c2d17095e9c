"""Contents that another program keeps: adopted where they lie, or taken into packs, and checked on the way."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from charkh.assets.adopt import adopt, cut_size, survey_file
from charkh.assets.foreign import ForeignFile
from charkh.assets.vault import PackVault
from charkh.core.errors import Corrupt
from charkh.core.files import FileRef

_AT_ONCE = 1000
"""Files after which what was adopted is registered."""


class Hasher(Protocol):
    """The hash by which the other program names contents."""

    def update(self, data: bytes | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


class Contents:
    """Takes contents for one import; call `settle` before an event names any of them.

    Args:
        vault: the store's bytes.
        copy: take the bytes into packs instead of leaving them where they are.
        progress: called with the bytes that were read since the last call.
    """

    def __init__(self, vault: PackVault, *, copy: bool = False, progress: Callable[[int], None] | None = None) -> None:
        self._vault = vault
        self._copy = copy
        self._progress = progress
        self._files: list[ForeignFile] = []
        self._known: dict[tuple[str, int], FileRef] = {}

    def take(self, path: Path, name: str, hasher: Hasher, expected: str) -> FileRef:
        """The content of a file; its bytes are read only where they were not before.

        Args:
            path: where the other program keeps it.
            name: what the file is called where it is used; its suffix tells how to cut.
            hasher: fresh, of the kind that made `expected`.
            expected: what the other program calls it.

        Raises:
            NotFound: there is no such file.
            Corrupt: its bytes are not what its name says.
            Denied: they were erased here.
        """
        path = path.resolve()
        size = path.stat().st_size if path.exists() else 0
        cut = cut_size(size, name)
        known = self._known.get((str(path), cut)) or (
            None if self._copy else self._vault.shelf.foreign.known(path, cut)
        )
        if known is None:
            known = self._read(path, name, hasher, expected)
        self._known[str(path), cut] = known
        return known

    def bring(self, parts: Iterable[bytes], into: Path, name: str, hasher: Hasher, expected: str) -> FileRef:
        """A content that comes in parts from elsewhere: written to the file `into`, checked, and taken into packs.

        Raises:
            Corrupt: its bytes are not what its name says; then nothing was taken.
        """
        with into.open("wb") as file:
            for part in parts:
                hasher.update(part)
                file.write(part)
                if self._progress:
                    self._progress(len(part))
        if hasher.hexdigest() != expected:
            raise _damaged(into.name, expected)
        return self._put(into, name)

    def settle(self) -> None:
        """Register what was adopted and make everything durable."""
        if self._files:
            adopt(self._vault, self._files)
            self._files = []
        self._vault.flush()

    def _read(self, path: Path, name: str, hasher: Hasher, expected: str) -> FileRef:
        def see(data: memoryview) -> None:
            hasher.update(data)
            if self._progress:
                self._progress(len(data))

        file = survey_file(self._vault, path, name, see)
        if hasher.hexdigest() != expected:
            raise _damaged(str(path), expected)
        if self._copy or not file.size:
            return self._put(path, name)
        self._files.append(file)
        if len(self._files) >= _AT_ONCE:
            self.settle()
        return file.ref

    def _put(self, path: Path, name: str) -> FileRef:
        """Stored as if the file were called `name`, whose suffix tells how to cut."""
        with tempfile.TemporaryDirectory(prefix="charkh-") as folder:
            link = Path(folder) / f"content{Path(name).suffix}"
            link.symlink_to(path)
            return self._vault.put_file(link)


def _damaged(where: str, expected: str) -> Corrupt:
    return Corrupt(
        f"{where} is not what its name says ({expected})",
        code="bridge.damaged",
        hint="Delete it there and fetch it again with its own program.",
        facts={"path": where, "expected": expected},
    )
