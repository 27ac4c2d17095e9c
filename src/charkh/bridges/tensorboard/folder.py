"""One folder of event files as one run: its files are read on from where they were left, and recorded."""

import fcntl
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from charkh.bridges.tensorboard.hparams import FAILURE, SUCCESS, whole
from charkh.bridges.tensorboard.open_segment import OpenSegment, sealed
from charkh.bridges.tensorboard.pending import Pending
from charkh.bridges.tensorboard.pieces import Piece, live_payloads, piece_drafts, run_key
from charkh.bridges.tensorboard.projector import projector_media
from charkh.bridges.tensorboard.reader import MAX_DAMAGE, EventReader, FileState, Stretch, identity_of
from charkh.bridges.tensorboard.scalar_columns import ScalarReader
from charkh.core.errors import CharkhError
from charkh.core.events import Draft
from charkh.ports.store import Store
from charkh.runs.facts import ended_draft, params_draft, started_draft
from charkh.runs.index import RunsByIds, SealedOf
from charkh.runs.run import MAX_NAME, TAGGED_KIND, RunTagged
from charkh.runs.values import MAX_TAG

FIRST_BYTES = 256 << 10
"""The first piece of a file is small, so that its curves show at once; each other is four times as large."""

MOST_BYTES = 16 << 20
LIVE_RECORDS = 2_000
"""More news than this are sealed at once; fewer go into the open segment of a run in progress."""

ROTATE_RECORDS = 50_000
"""An open segment with more is sealed, so that readers find columns."""


class FolderState(msgspec.Struct, kw_only=True):
    """How far a folder has been read.

    Attributes:
        run: id of its run.
        files: by name.
        last_time: seconds since the epoch of the latest event.
        status: of the run, as a session's end said it; empty for none.
        ended: what the latest end that was recorded said.
        media: digests of projector files that were taken.
    """

    run: str
    files: dict[str, FileState] = {}
    last_time: float = 0.0
    status: str = ""
    ended: float = 0.0
    media: list[str] = []


class FolderReport(msgspec.Struct, kw_only=True):
    """What a look at a folder brought.

    Attributes:
        run: id of its run.
        name: of the run: the folder's path below the followed one.
        new: the run was not here before.
        points: metric points that were taken.
        media: other items that were taken.
        read: bytes of event files that were read.
        trouble: damaged places, files that shrank, and why a folder was left out.
    """

    run: str
    name: str
    new: bool = False
    points: int = 0
    media: int = 0
    read: int = 0
    trouble: list[str] = []

    @property
    def changed(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.new or self.points or self.media or self.trouble)


class Folder:
    """A folder and its run; see `charkh.bridges.tensorboard.follow.Follower` for the arguments."""

    def __init__(
        self,
        store: Store,
        path: Path,
        state: FolderState,
        *,
        name: str,
        parent: str,
        project: Callable[[], str],
        live: bool,
        idle: float,
        locks: Path,
    ) -> None:
        self.state = state
        self._store = store
        self._path = path
        self._name = name
        self._parent = parent
        self._project = project
        self._live = live
        self._idle = idle
        self._locks = locks
        self._lock = -1
        self._scalars = ScalarReader()
        self._restored: set[str] = set()
        self._seen: dict[str, tuple[int, int]] = {}
        self._told: set[str] = set()
        self._known: bool | None = None
        self._over = False
        self._open: dict[str, OpenSegment] = {}
        self._quiet_since = time.time()

    def advance(self, files: Sequence[Path], pending: Pending) -> FolderReport:
        """Take what is new in these files; the caller commits.

        Raises:
            Unavailable: the store cannot be written.
        """
        report = FolderReport(run=self.state.run, name=self._name)
        news = [file for file in files if self._has_news(file)]
        if news and self._take(report):
            for file in news:
                self._read(file, report, pending)
            self._projector(report, pending)
            self._quiet_since = time.time()
        if self._lock >= 0 and not self._live:
            self._end(pending)
            self._release()
        elif self._lock >= 0 and (self.state.status or time.time() - self._quiet_since > self._idle):
            self.let_go(pending)
        return report

    def let_go(self, pending: Pending) -> None:
        """Seal the open segment and end the run, unless it goes on elsewhere."""
        if self._lock >= 0:
            self._close(pending)
            if self.state.status or time.time() - self._quiet_since > self._idle:
                self._end(pending)
            pending.commit()
            self._release()

    def _has_news(self, file: Path) -> bool:
        try:
            status = file.stat()
        except FileNotFoundError:
            return False
        seen = (status.st_ino, status.st_size)
        if self._seen.get(file.name) == seen:
            return False
        self._seen[file.name] = seen
        known = self.state.files.get(file.name)
        return known is None or known.offset != status.st_size or known.since >= 0

    def _take(self, report: FolderReport) -> bool:
        """Whether this process may write the run now."""
        if self._lock < 0:
            self._locks.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._locks / self.state.run, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                self._seen.clear()
                self._tell(report, "another process takes its news")
                return False
            self._lock = descriptor
            self._restored.clear()
        found = self._store.queries.ask(RunsByIds(runs=(self.state.run,), now=time.time()))
        self._known = bool(found)
        self._over = bool(found) and found[0].over
        if found and found[0].deleted is not None:
            self._tell(report, "its run was deleted: `charkh run restore` brings it back")
            self._release()
            return False
        return True

    def _release(self) -> None:
        os.close(self._lock)
        self._lock = -1

    def _read(self, file: Path, report: FolderReport, pending: Pending) -> None:
        try:
            state = self._state_of(file, report, pending)
            if state is None:
                return
            with file.open("rb") as opened:
                self._read_open(file.name, opened.fileno(), state, report, pending)
        except OSError as error:
            self._tell(report, f"{file.name} cannot be read: {error.strerror}")

    def _state_of(self, file: Path, report: FolderReport, pending: Pending) -> FileState | None:
        state = self.state.files.get(file.name)
        identity = identity_of(file)
        if not identity:
            return None
        if state is None or state.identity != identity:
            if state is not None:
                self._tell(report, f"{file.name} is another file than before; it is read from its beginning")
            state = self.state.files[file.name] = FileState(identity=identity)
            self._restored.discard(file.name)
        if file.stat().st_size < state.offset:
            self._tell(report, f"{file.name} is shorter than what was read of it; what was read stays")
            return None
        if file.name not in self._restored:
            # What an open segment had when its process died, that segment says.
            state.offset, state.since = state.since if state.since >= 0 else state.offset, -1
            self._restore(file, state, pending)
            self._restored.add(file.name)
        return state

    def _restore(self, file: Path, state: FileState, pending: Pending) -> None:
        """Go on behind every piece of the file that the facts have."""
        if not self._known:
            return
        sealed = {each.segment: each.records for each in self._store.queries.ask(SealedOf(run=self.state.run))}
        reader = EventReader(state, self._scalars)
        with file.open("rb") as opened:
            while True:
                segment = Piece(self.state.run, state.identity, state.offset).segment()
                records = sealed.get(segment)
                records = self._seal_left(segment, pending) if records is None else records
                if not records:
                    return
                while records:
                    stretch = reader.read(opened.fileno(), MOST_BYTES, records)
                    if not stretch.records:
                        return
                    records -= stretch.records

    def _seal_left(self, segment: str, pending: Pending) -> int:
        """Seal what a process left that was killed while it followed; how many records of the file that are."""
        for each in self._store.journal.list_data():
            if each.header.segment == segment and not each.live:
                draft = sealed(self._store, each.header)
                pending.add([draft] if draft is not None else [], drop=segment)
                pending.commit()
                return draft.body.records if draft is not None else 0
        return 0

    def _read_open(self, name: str, descriptor: int, state: FileState, report: FolderReport, pending: Pending) -> None:
        reader = EventReader(state, self._scalars)
        size = FIRST_BYTES if not state.offset else MOST_BYTES
        while True:
            piece = Piece(self.state.run, state.identity, state.offset)
            attempt = state.attempt
            stretch = reader.read(descriptor, size)
            for each in stretch.damage:
                self._tell(report, f"{name}, byte {each.offset}: {each.reason}")
            if not stretch.records:
                return
            report.read += stretch.end - piece.offset
            self._record(piece, attempt or state.attempt, stretch, report, pending)
            if pending.full or (self._live and size < MOST_BYTES):
                pending.commit()
            size = min(size * 4, MOST_BYTES)

    def _record(self, piece: Piece, attempt: int, stretch: Stretch, report: FolderReport, pending: Pending) -> None:
        state = self.state
        state.last_time = max(state.last_time, stretch.last_time)
        for end in stretch.ends:
            state.status = {SUCCESS: "finished", FAILURE: "failed"}.get(end.status, state.status)
        drafts = self._starting(stretch, report)
        for start in stretch.starts:
            params = {run_key(name): whole(value) for name, value in start.params.items()}
            drafts += [params_draft(self._store, state.run, params)] if params else []
        report.points += stretch.count
        report.media += len(stretch.media)
        payloads = live_payloads(stretch) if self._live and stretch.records <= LIVE_RECORDS else None
        if payloads is not None:
            self._append(piece, attempt, payloads, drafts, pending)
            return
        self._close(pending, piece.file)
        drafts += piece_drafts(self._store, piece, stretch, attempt)
        pending.add(drafts, stretch.end - piece.offset)

    def _append(self, piece: Piece, attempt: int, payloads: list[bytes], drafts: list[Draft], pending: Pending) -> None:
        """Append to the open segment of the file, which shows the run as running."""
        pending.add(drafts)
        opened = self._open.get(piece.file)
        if opened is not None and (opened.records > ROTATE_RECORDS or opened.attempt != attempt):
            self._close(pending, piece.file)
            opened = None
        if drafts or opened is None:
            # A segment whose predecessors are not recorded would be read twice after a crash.
            pending.commit()
        if opened is None:
            state = next(each for each in self.state.files.values() if each.identity == piece.file)
            opened = self._open[piece.file] = OpenSegment(self._store, piece, attempt, state)
        opened.append(payloads)

    def _close(self, pending: Pending, file: str = "") -> None:
        """Seal the open segment of a file, or those of all files."""
        for identity in [file] if file else list(self._open):
            opened = self._open.pop(identity, None)
            if opened is not None:
                opened.close(self._store, pending)

    def _starting(self, stretch: Stretch, report: FolderReport) -> list[Draft]:
        """The facts that begin the run, or begin it again where it was taken for over."""
        if self._known and not (self._live and self._over):
            return []
        group = next((each.group for each in stretch.starts if each.group), "")
        host = _host(next(iter(self.state.files), ""))
        drafts = [
            started_draft(
                self.state.run,
                self._name[-MAX_NAME:],
                group[:MAX_NAME],
                self._parent,
                host,
                0,
                project=self._project(),
                began=stretch.first_time,
            )
        ]
        if not self._known:
            report.new = True
            body = RunTagged(run=self.state.run, tags={"tensorboard.folder": self._name[-MAX_TAG:]})
            drafts.append(Draft(kind=TAGGED_KIND, subject=f"run:{self.state.run}", body=body))
        self._known, self._over = True, False
        self.state.ended = 0.0
        return drafts

    def _end(self, pending: Pending) -> None:
        state = self.state
        if self._known and (not self._over or state.last_time > state.ended):
            status: Any = state.status or "finished"
            pending.add([ended_draft(state.run, status, "", 0, moment=state.last_time)])
            state.ended, self._over = state.last_time, True

    def _projector(self, report: FolderReport, pending: Pending) -> None:
        if not self._known:
            return
        try:
            found = projector_media(self._store, self._path, self.state.run, self.state.last_time)
        except (CharkhError, OSError) as error:
            self._tell(report, f"projector: {error}")
            return
        for digest, draft in found:
            if digest not in self.state.media:
                self.state.media.append(digest)
                pending.add([draft])
                report.media += draft.body.items

    def _tell(self, report: FolderReport, trouble: str) -> None:
        if trouble not in self._told:
            self._told.add(trouble)
            if len(report.trouble) < MAX_DAMAGE:
                report.trouble = [*report.trouble, trouble]


def _host(name: str) -> str:
    """The machine in `events.out.tfevents.SECONDS.HOST…`, as far as a name says it."""
    parts = name.partition("tfevents.")[2].split(".")
    return parts[1][:100] if len(parts) > 1 else ""
