"""Follow the event files below a folder: of each only the bytes that are new, live or in one go.

How far each file has been read is kept beside the store's caches, so that the next start goes on there. Where that was
deleted, or a process was killed before it was written, the facts of the run say the same (`pieces`).
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from charkh.bridges.tensorboard.folder import Folder, FolderReport, FolderState
from charkh.bridges.tensorboard.pending import Pending
from charkh.bridges.tensorboard.reader import MARK, event_folders, identity_of
from charkh.core.digests import digest_of
from charkh.core.errors import Invalid, NotFound
from charkh.ports.store import Store
from charkh.runs.projects import ensure_project

IDLE_SECONDS = 600.0
"""A run whose files have been quiet for so long has ended, as far as anybody can tell."""


class FollowerState(msgspec.Struct, kw_only=True):
    """What is kept from one start to the next: the folders by their path below the followed one."""

    folders: dict[str, FolderState] = {}


class Follower:
    """Brings what the event files below a folder have anew into the store.

    Threads: used by one at a time.

    Args:
        store: where the runs are recorded.
        cache: folder in which is kept how far files have been read.
        logdir: what TensorBoard would be given.
        project: name of the project of runs that are new; the default one when empty.
        live: keep a segment open for files that grow, as a run in progress has; else a file's news are sealed at once.

    Attributes:
        logdir: the folder, absolute.
        folders: how many folders with event files the last look found.

    Raises:
        NotFound: there is no such folder.
        Invalid: it is one event file and no folder.
    """

    def __init__(
        self,
        store: Store,
        cache: Path,
        logdir: Path,
        *,
        project: str = "",
        live: bool = False,
        idle: float = IDLE_SECONDS,
    ) -> None:
        self.logdir = logdir.resolve()
        if not self.logdir.is_dir():
            if self.logdir.exists() and MARK in logdir.name:
                raise Invalid(
                    f"{logdir} is a file, not a folder of event files",
                    code="tensorboard.no_folder",
                    hint=f"Name the folder that it lies in: {logdir.parent}",
                )
            raise NotFound(
                f"there is no folder {logdir}",
                code="tensorboard.no_folder",
                hint="Name what you give to `tensorboard --logdir`.",
            )
        self.folders = 0
        self._store = store
        self._project_name = project
        self._project: str | None = None
        self._live = live
        self._idle = idle
        self._folders: dict[Path, Folder] = {}
        name = digest_of(os.fsencode(self.logdir))[:32]
        self._path = cache / "tensorboard" / f"{name}.msgpack"
        self._locks = cache / "tensorboard" / "locks"
        self._state = self._read_state()
        self._pending = Pending(store)

    def round(self, progress: Callable[[int], None] | None = None) -> list[FolderReport]:
        """Look at every folder once, and take what is new; one report a folder that has news or trouble.

        Args:
            progress: called with the bytes that were read of a folder.

        Raises:
            Unavailable: the store cannot be written; what was committed before stays.
        """
        reports: list[FolderReport] = []
        found = event_folders(self.logdir)
        self.folders = len(found)
        for path, files in found.items():
            folder = self._folder(path, files)
            if folder is None:
                continue
            report = folder.advance(files, self._pending)
            if progress is not None:
                progress(report.read)
            if report.changed:
                self._pending.runs += 1
                reports.append(report)
            if self._pending.full or (self._live and report.changed):
                self._commit()
        self._commit()
        return reports

    @property
    def followed(self) -> list[Folder]:
        """The folders that have a run."""
        return list(self._folders.values())

    def close(self) -> None:
        """Seal what is open, and keep how far files have been read."""
        for each in self._folders.values():
            each.let_go(self._pending)
        self._commit()

    def _commit(self) -> None:
        self._pending.commit()
        self._write_state()

    def _folder(self, path: Path, files: Sequence[Path]) -> Folder | None:
        if path not in self._folders:
            name = path.relative_to(self.logdir).as_posix()
            state = self._state.folders.get(name)
            if state is None:
                identity = next((each for each in map(identity_of, files) if each), "")
                if not identity:
                    # Its first record is not written yet.
                    return None
                run = hashlib.blake2b(f"tensorboard\0{path.name}\0{identity}".encode(), digest_size=16).hexdigest()
                state = FolderState(run=run)
                self._state.folders[name] = state
            self._folders[path] = Folder(
                self._store,
                path,
                state,
                name=self.logdir.name if name == "." else name,
                parent=self._parent(path),
                project=self._project_id,
                live=self._live,
                idle=self._idle,
                locks=self._locks,
            )
        return self._folders[path]

    def _parent(self, path: Path) -> str:
        """The run of the nearest folder around that is one."""
        for around in path.parents:
            if around in self._folders:
                return self._folders[around].state.run
            if around == self.logdir:
                break
        return ""

    def _project_id(self) -> str:
        if self._project is None:
            self._project = ensure_project(self._store, self._project_name).id if self._project_name else ""
        return self._project

    def _read_state(self) -> FollowerState:
        try:
            return msgspec.msgpack.decode(self._path.read_bytes(), type=FollowerState)
        except (FileNotFoundError, msgspec.MsgspecError):
            # A cache: the facts of the runs say the same.
            return FollowerState()

    def _write_state(self) -> None:
        encoded = msgspec.msgpack.encode(self._state)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        waiting = self._path.with_suffix(".new")
        waiting.write_bytes(encoded)
        waiting.replace(self._path)
