"""Start a run and record into it: params, metrics, media, tags, artifacts, links, and its end."""

import atexit
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from charkh.core.errors import CharkhError, Invalid
from charkh.core.events import Draft, Edge, Event
from charkh.core.files import FileRef
from charkh.core.ids import new_id
from charkh.core.refs import parse_subject
from charkh.ports.store import Store
from charkh.runs import active
from charkh.runs.closing import seal_closed
from charkh.runs.console_capture import capture, release
from charkh.runs.console_descriptors import is_heard_by_parent
from charkh.runs.console_log import ConsoleLog
from charkh.runs.deferred import TROUBLES, Deferred
from charkh.runs.facts import (
    artifact_parts,
    ended_draft,
    link_draft,
    parts_drafts,
    plain_params_draft,
    started_draft,
    tagged_draft,
)
from charkh.runs.listening import listeners, tell
from charkh.runs.machine import this_machine
from charkh.runs.media_log import MediaLog
from charkh.runs.membership import MAIN_WRITER, Membership, announced, child_writer, find_membership
from charkh.runs.notes import NOTE_TAG, with_remark
from charkh.runs.points_log import PointsLog
from charkh.runs.provenance import Provenance, collect, provenance_draft
from charkh.runs.resume import Resumed
from charkh.runs.run import EndStatus
from charkh.runs.shows import Shows
from charkh.runs.system import SystemSampler
from charkh.runs.used import used_subject
from charkh.runs.values import long_tags, plain_params

GATHERING_SECONDS = 30.0
_log = logging.getLogger("charkh")


class ActiveRun(Shows):
    """A run that this process records into; use it in a `with` block, or call `end`.

    Threads: may be shared.
    Fork: in the child it goes on as a writer of its own, and the child does not end it.

    Attributes:
        id: 32 hex digits.
        subject: `run:id`, as it stands in edges.
        ended: whether `end` has been called in this process.
        when_ended: called when this process has ended it.
        aside: another store, for facts and records that this run's own does not take at its end; None where there is
            none.
        project: id of its project; empty for the default one, and where another process began the run.
        folder: of the workspace, told to the processes that this one starts; empty where they find it by themselves.
    """

    def __init__(self, store: Store, member: Membership, *, strict: bool = True) -> None:
        self.id = member.run
        self.subject = f"run:{member.run}"
        self.ended = False
        self.project = ""
        self.folder = ""
        self.when_ended: Callable[[], None] | None = None
        self.aside: Callable[[], Store] | None = None
        self._store = store
        self._member = member
        self._starter = member.starter
        self._process = os.getpid()
        self._points = PointsLog(store.journal, member.run, member.writer)
        self._media = MediaLog(store.journal, member.run, member.writer)
        # A vault that could not write a pack takes nothing more before it could.
        self._facts = Deferred(member.run, strict=strict, prepare=lambda: self._store.vault.flush())
        self._console: ConsoleLog | None = None
        self._sampler: SystemSampler | None = None
        self._began: Draft | None = None
        self._tagged: dict[str, str] = {}
        self._note = ""
        self._token: active.Entered | None = None
        self._gathering: threading.Thread | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<charkh {self.subject}{', ended' if self.ended else ''}>"

    def log(
        self, values: Mapping[str, float], *, step: int | None = None, context: str = "", time: float | None = None
    ) -> None:
        """Log metrics: one write to a segment of this process on the local disk, and nothing else.

        It never raises for a full or failing disk: the trouble is reported once and the run shows as incomplete.

        Args:
            values: numbers by key; NaN and infinities are kept.
            step: such as the batch or epoch. Without it each metric counts for itself: the n-th value that
                it logs without a step has step n - 1.
            context: tells equal keys apart, such as `train` and `val`.
            time: seconds since the epoch; now by default.

        Raises:
            Invalid: a value is no number, a key no name, or the run has ended.
            CharkhError: what somebody who listens raises, such as a study that prunes the trial.
        """
        self._points.log(values, step, context, time)
        if listeners():
            tell(values, step, context)

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Record what was chosen: any JSON values, nested ones by dotted names. The first value of a name stays.

        Raises:
            Invalid: a name cannot be kept, or a value has no JSON form.
            Unavailable: the store cannot be written, and the run is strict; otherwise it is kept and tried again.
        """
        if not params:
            return
        plain = plain_params(params)
        size = sum(map(len, plain.large.values())) + 1000 * len(plain.values)
        self._facts.do(lambda: self._record(plain_params_draft(self._store, self.id, plain)), size)

    def set_tags(self, tags: Mapping[str, str | None]) -> None:
        """Set labels; the latest value of a name stays, None removes it.

        Raises:
            Invalid: a name cannot be kept.
            Unavailable: as `set_params`.
        """
        said = dict(tags)
        if not said:
            return
        self._note = said.get(NOTE_TAG, self._note) or ""
        plain = long_tags(said)
        size = sum(map(len, plain.large.values())) + 1000 * len(said)
        self._facts.do(lambda: self._tag(said, list(plain.values)), size)

    def note(self, text: str) -> None:
        """Add a remark to the run's note: Markdown, for people, a paragraph each. It is a tag, that of MLflow's notes.

        Raises:
            Invalid: it is no text.
            Unavailable: as `set_params`.
        """
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise Invalid(f"a note is {type(text).__name__}, not text", code="run.bad_note", hint="Note str(value).")
        self.set_tags({NOTE_TAG: with_remark(self._note, text)})

    def add_artifact(self, path: str, data: bytes | Path) -> tuple[FileRef, ...]:
        """Keep a file, or every file of a folder, under `path`; durable on return.

        Where the store cannot be written and the run is not strict, nothing is returned: bytes are kept in memory
        and files are read when the store takes them.

        Args:
            path: where it stands among the run's artifacts: relative, `/` between parts.
            data: the content, or the file or folder that has it.

        Raises:
            Invalid: `path` cannot be kept.
            NotFound: there is no such file or folder.
            Unavailable: as `set_params`.
        """
        parts = artifact_parts(path, data)
        size = sum(len(part) if isinstance(part, bytes) else 1000 for _, part in parts)
        return self._facts.do(lambda: self._add(parts), size) or ()

    def use(self, source: Any, relation: str = "used") -> None:
        """State what the run was made from.

        Args:
            source: a subject such as `dataset:ID`, a reference such as `flights@3`, a version, or a table that was
                read from one.
            relation: how it was used.

        Raises:
            Invalid: it is none of these.
            NotFound: there is no such dataset.
            Unavailable: as `set_params`.
        """
        for subject in used_subject(self._store, source):
            self._link(Edge(self.subject, relation, str(parse_subject(subject))))

    def made(self, subject: str, relation: str = "produced_by") -> None:
        """State that `subject`, such as `model:ID`, was made by the run."""
        self._link(Edge(str(parse_subject(subject)), relation, self.subject))

    def end(self, status: EndStatus = "finished", *, error: str = "") -> None:
        """End the run: what it logged is sealed, and its end is durable on return. A second call does nothing.

        Where this process has joined a run that another began, only what it logged itself is sealed.

        Raises:
            Unavailable: the end cannot be written, and the run is strict; otherwise that is reported, and the run
                will show as lost.
        """
        with self._lock:
            if self.ended:
                return
            self.ended = True
        _unended.discard(self)
        self._leave()
        mine = self._process == os.getpid()
        try:
            self._finish(status, error, mine=mine)
        except TROUBLES as trouble:
            if self._facts.strict:
                raise
            _log.warning("the end of run %s is not recorded: %s", self.id, trouble)
        if mine and self.when_ended is not None:
            self.when_ended()

    def begin(
        self,
        name: str,
        group: str,
        parent: str,
        params: Mapping[str, Any],
        provenance: Provenance | None,
        folder: Path | None,
        project: str = "",
        goals: Mapping[str, str] | None = None,
    ) -> None:
        """What `start` does first: state that the run begins, unless this process has joined it, and open its points.

        Raises:
            Invalid, Unavailable: as `start` does.
        """
        plain = plain_params(params) if params else None
        if self._starter:
            host, pid = this_machine().host, os.getpid()
            self._began = started_draft(self.id, name, group, parent, host, pid, project=project, goals=goals)
            self.project = project
        began = self._began

        def record() -> None:
            drafts = [began] if began is not None else []
            drafts += [plain_params_draft(self._store, self.id, plain)] if plain is not None else []
            if began is not None and provenance is not None:
                drafts.append(provenance_draft(self._store, self.id, provenance))
            self._record(*drafts)

        self._facts.do(record)
        self._points.open()
        if self._starter and folder is not None and provenance is None:
            name = "charkh-provenance"
            self._gathering = threading.Thread(target=self._gather, args=[folder], name=name, daemon=True)
            self._gathering.start()

    def go_on(self, resumed: Resumed) -> None:
        """Let what is logged without a step, and the note, go on where the run stopped."""
        self._note = resumed.note
        self._points.continue_from(resumed.steps)
        self._media.continue_from(resumed.shown)

    def listen_to_console(self, *, descriptors: bool = False) -> None:
        """Keep what this process prints from now on, until the run ends.

        Args:
            descriptors: what libraries in C and child processes write, too. In a process that has joined the run and
                whose output its starter already hears so, nothing is kept twice.
        """
        if self._console is not None or self.ended or (not self._starter and is_heard_by_parent()):
            return
        self._console = ConsoleLog(self._store.journal, self.id, self._points.writer)
        capture(self._console, descriptors=descriptors)

    def watch_system(self, interval: float, folder: Path) -> None:
        """Measure the machine every `interval` seconds from now on, until the run ends.

        Args:
            interval: seconds; the first measure is taken when it has passed.
            folder: on the disk that is watched.
        """
        if self._sampler is None and not self.ended:
            self._sampler = SystemSampler(self._points, interval, folder)
            self._sampler.start()

    def when_possible(self, action: Callable[[], object]) -> None:
        """Record something more about the run now, or when the store takes it.

        Raises:
            Unavailable: as `set_params`.
        """
        self._facts.do(action)

    def __enter__(self) -> "ActiveRun":
        self._token = active.enter(self)
        announced.add(self.id, self.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            status, told = _outcome(kind, error)
            if status != "finished" and self._console is not None:
                # It is printed only after the block has been left.
                self._console.print(1, "".join(traceback.format_exception(kind, error, trace)))
            self.end(status, error=told)
        except CharkhError as failure:
            if kind is None:
                raise
            _log.warning("run %s could not be ended: %s", self.id, failure)

    def _finish(self, status: EndStatus, error: str, *, mine: bool) -> None:
        if self._sampler is not None:
            self._sampler.stop()
        if self._gathering is not None and mine:
            self._gathering.join(GATHERING_SECONDS)
        if self._console is not None:
            release(self._console)
        logs = [self._points, self._media] + ([self._console] if self._console is not None else [])
        aside = self.aside
        journal = None if aside is None else lambda: aside().journal
        own: list[str] = []
        lost = 0
        for each in logs:
            segments, dropped = each.close(journal)
            own += segments
            lost += dropped
        if not self._facts.retry() and self.aside is not None:
            self._step_aside(self.aside)
            self._facts.retry()
        lost += self._facts.settle()
        ends = self._starter and mine
        sealed, drafts = seal_closed(self._store, self.subject, own, others=ends)
        if ends:
            drafts.append(ended_draft(self.id, status, error, lost))
        if drafts:
            self._record_last(drafts)
        for segment in sealed:
            self._store.journal.drop_data(segment)

    def _record_last(self, drafts: list[Draft]) -> None:
        try:
            self._store.record(*drafts, durable=True)
        except TROUBLES:
            if self.aside is None:
                raise
            # The blobs that the other facts name are not there: their segments wait to be sealed.
            self._step_aside(self.aside)
            self._store.record(*(each for each in drafts if not each.holds), durable=True)

    def _step_aside(self, aside: Callable[[], Store]) -> None:
        """Let what waits, which is recorded through `_store`, go to another store; that the run began stands there."""
        self._store = aside()
        if self._began is not None:
            self._store.record(self._began)

    def _leave(self) -> None:
        if self._token is not None:
            active.leave(self, self._token)
            announced.remove(self.id)
            self._token = None

    def _gather(self, folder: Path) -> None:
        try:
            found = collect(folder)
            self._facts.do(lambda: self._record(provenance_draft(self._store, self.id, found)))
        except TROUBLES as error:
            _log.warning("the provenance of run %s is not kept: %s", self.id, error)

    def _tag(self, tags: Mapping[str, str | None], names: list[str]) -> None:
        with self._lock:
            replaces = {name: (self._tagged[name],) for name in names if name in self._tagged}
            (event,) = self._record(tagged_draft(self._store, self.id, tags, replaces))
            self._tagged.update(dict.fromkeys(names, event.id))

    def _add(self, parts: list[tuple[str, bytes | Path]]) -> tuple[FileRef, ...]:
        drafts = parts_drafts(self._store, self.id, parts)
        self._record(*drafts, durable=True)
        return tuple(draft.body.file for draft in drafts)

    def _link(self, edge: Edge) -> None:
        self._facts.do(lambda: self._record(link_draft(self.id, edge)), 1000)

    def _record(self, *drafts: Draft, durable: bool = False) -> tuple[Event, ...]:
        if any(draft.holds for draft in drafts):
            self._store.vault.flush()
        return self._store.record(*drafts, durable=durable) if drafts else ()


def start(
    store: Store,
    *,
    name: str = "",
    group: str = "",
    parent: str = "",
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str | None] | None = None,
    folder: Path | None = None,
    provenance: Provenance | None = None,
    project: str = "",
    goals: Mapping[str, str] | None = None,
    identifier: str = "",
    resumed: Resumed | None = None,
    strict: bool = True,
) -> ActiveRun:
    """Start a run, or join the one that the environment names (`CHARKH_RUN_ID`, torchrun).

    A run that its process never ends is ended with the process: `failed` after an uncaught exception.

    Args:
        store: where it is recorded.
        name: for people; runs may share it.
        group: what belongs together, such as the seeds of one experiment.
        parent: id of the run that this one is a part of; such a run is a new one, unless `identifier` is given.
        params: what was chosen.
        tags: short labels.
        folder: where the code lies; its provenance is gathered on a thread of its own.
        provenance: what has been gathered already, for many runs of one process.
        project: id of the project that it belongs to, as `ensure_project` gives it; the default one when empty.
        goals: by metric, `max` or `min`: which of its values is the best.
        identifier: the id that it has, 32 hex digits; a new one when empty.
        resumed: the run that goes on, in place of a new one.
        strict: let the caller see when the store cannot be written. Otherwise that is reported once, what was stated
            is kept in memory and tried again, and the run shows as incomplete where that is in vain.

    Raises:
        Invalid: a text is too long, or a param has no JSON form.
        Unavailable: the store cannot be written, and `strict`.
    """
    run = ActiveRun(store, _membership(parent, resumed.run if resumed is not None else identifier), strict=strict)
    if not _unended:
        # With a run and not with the import, so that what it needs at the end of the process is still open.
        atexit.unregister(_end_all)
        atexit.register(_end_all)
    if resumed is not None:
        run.go_on(resumed)
    run.begin(name, group, parent, params or {}, provenance, folder, project, goals)
    if tags:
        run.set_tags(tags)
    _unended.add(run)
    return run


_unended: set[ActiveRun] = set()


def _membership(parent: str, identifier: str) -> Membership:
    if identifier:
        rank = os.environ.get("RANK", MAIN_WRITER)
        inside = any(each.id == identifier for each in _unended)
        writer = child_writer(rank) if inside else rank
        return Membership(run=identifier, writer=writer, starter=rank == MAIN_WRITER and not inside)
    if parent:
        return Membership(run=new_id(), writer=MAIN_WRITER, starter=True)
    member = find_membership(os.environ, _taken.count)
    _taken.count += member.launched
    return member


class _Taken:
    """How many runs of its launcher this process has taken."""

    count = 0


_taken = _Taken()


def _outcome(kind: type[BaseException] | None, error: BaseException | None) -> tuple[EndStatus, str]:
    """How a run ends whose block was left with this exception, and what is told of it."""
    if kind is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return "finished", ""
    told = f"{kind.__name__}: {error}".removesuffix(": ")
    return ("killed" if issubclass(kind, KeyboardInterrupt) else "failed"), told


def _end_all() -> None:
    """At the end of the process."""
    failed = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    for run in list(_unended):
        try:
            status, told = _outcome(type(failed), failed) if isinstance(failed, BaseException) else ("finished", "")
            run.end(status, error=told)
        except CharkhError as error:
            _log.warning("run %s could not be ended: %s", run.id, error)
