"""Where an import writes: facts that wait for one flush of the vault and one sync of the journal together."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from blake3 import blake3

from charkh.bridges.mlflow.exchanged import Files
from charkh.bridges.mlflow.importing.report import Tally
from charkh.core.errors import CharkhError, Unavailable
from charkh.core.events import Draft
from charkh.core.files import FileRef
from charkh.core.redact import redact
from charkh.core.refs import parse_path
from charkh.ports.store import Store

COMMIT_BYTES = 64 << 20
COMMIT_FACTS = 2000


class Landing:
    """Collects facts and commits them.

    Args:
        store: where they go.
        tally: what is told of them.
        scratch: a folder for files that come over a network; it is emptied and removed by `close`.
        progress: called with the bytes of artifacts that were taken since the last call.
    """

    def __init__(
        self, store: Store, tally: Tally, scratch: Path, progress: Callable[[int], None] | None = None
    ) -> None:
        self.store = store
        self.tally = tally
        self._scratch = scratch
        self._progress = progress
        self._drafts: list[Draft] = []
        self._bytes = 0

    def add(self, drafts: Sequence[Draft], size: int = 0) -> None:
        """Facts whose bytes were put; what belongs together is given together, and stays so."""
        self._drafts += drafts
        self._bytes += size
        if self._bytes > COMMIT_BYTES or len(self._drafts) > COMMIT_FACTS:
            self.commit()

    def commit(self) -> None:
        """Bytes, then facts, durable on return.

        Raises:
            Unavailable: the store cannot be written; a second import goes on.
        """
        drafts, self._drafts, self._bytes = self._drafts, [], 0
        if drafts:
            self.store.vault.flush()
            self.store.record(*drafts, durable=True)

    def take(self, files: Files | str, known: dict[str, FileRef], what: str, where: str) -> list[tuple[str, FileRef]]:
        """Put the files into the vault that are not known by path and content; those that are new.

        Args:
            files: where they lie, or why they are out of reach.
            known: what is here, by path.
            what: the kind that they are counted as.
            where: what they belong to, as it is told.
        """
        if isinstance(files, str):
            self.tally.left("artifact folder", files)
            return []
        found: list[tuple[str, FileRef]] = []
        try:
            for each in files.list():
                kept = known.get(each.path)
                if kept is not None and kept.size == each.size and not files.local:
                    # Over a network the size has to do.
                    self.tally.there(what)
                    continue
                file = self._one(files, each.path, kept, where)
                if file is None:
                    continue
                if kept == file:
                    self.tally.there(what)
                    continue
                self.tally.new(what)
                self.tally.bytes += file.size
                found.append((each.path, file))
        except CharkhError as error:
            self._tell(where, error)
        return found

    def close(self) -> None:
        """Remove what came over a network."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _one(self, files: Files, path: str, kept: FileRef | None, where: str) -> FileRef | None:
        try:
            parse_path(redact(path))
            self._scratch.mkdir(parents=True, exist_ok=True)
            content = files.take(path, self._scratch)
            if kept is not None and kept.size == content.stat().st_size and kept.digest == _digest(content):
                return kept
            file = self.store.vault.put_file(content)
        except CharkhError as error:
            self._tell(f"{where}: {path}", error)
            return None
        except OSError as error:
            self.tally.tell(f"{where}: {path}", error.strerror or str(error))
            return None
        if self._progress is not None:
            self._progress(file.size)
        return file

    def _tell(self, where: str, error: CharkhError) -> None:
        if isinstance(error, Unavailable) and not error.code.startswith("mlflow."):
            # The store itself: nothing that follows could be kept either.
            raise error
        self.tally.tell(where, error.message)


def _digest(path: Path) -> str:
    return blake3().update_mmap(path).hexdigest()
