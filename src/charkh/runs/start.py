"""Start a run and record into it: params, metrics, tags, artifacts, links, and its end."""

import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from charkh.core.errors import CharkhError, NotFound
from charkh.core.events import Draft, Edge, Event
from charkh.core.files import FileRef
from charkh.core.ids import new_id
from charkh.core.refs import parse_subject
from charkh.ports.exchange import is_received
from charkh.ports.journal import DataHeader
from charkh.ports.store import Store
from charkh.runs import active
from charkh.runs.facts import artifact_drafts, ended_draft, link_draft, params_draft, started_draft
from charkh.runs.listening import listeners, tell
from charkh.runs.machine import this_machine
from charkh.runs.membership import MAIN_WRITER, Membership, announced, find_membership
from charkh.runs.points_log import PointsLog
from charkh.runs.provenance import Provenance, collect, provenance_draft
from charkh.runs.run import TAGGED_KIND, EndStatus, RunTagged
from charkh.runs.seal import sealed_draft
from charkh.runs.values import plain_tags

GATHERING_SECONDS = 30.0
_log = logging.getLogger("charkh")


class ActiveRun:
    """A run that this process records into; use it in a `with` block, or call `end`.

    Threads: may be shared.
    Fork: in the child it goes on as a writer of its own, and the child does not end it.

    Attributes:
        id: 32 hex digits.
        subject: `run:id`, as it stands in edges.
        ended: whether `end` has been called in this process.
        when_ended: called when this process has ended it.
        project: id of its project; empty for the default one, and where another process began the run.
    """

    def __init__(self, store: Store, member: Membership) -> None:
        self.id = member.run
        self.subject = f"run:{member.run}"
        self.ended = False
        self.project = ""
        self.when_ended: Callable[[], None] | None = None
        self._store = store
        self._starter = member.starter
        self._process = os.getpid()
        self._points = PointsLog(store.journal, member.run, member.writer)
        self._tagged: dict[str, str] = {}
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
            Unavailable: the store cannot be written.
        """
        if params:
            self._record(params_draft(self._store, self.id, params))

    def set_tags(self, tags: Mapping[str, str | None]) -> None:
        """Set short labels; the latest value of a name stays, None removes it.

        Raises:
            Invalid: a name cannot be kept, or a value is too long.
            Unavailable: the store cannot be written.
        """
        plain = plain_tags(tags)
        if not plain:
            return
        with self._lock:
            replaces = {name: (self._tagged[name],) for name in plain if name in self._tagged}
            body = RunTagged(run=self.id, tags=plain, replaces=replaces)
            (event,) = self._record(Draft(kind=TAGGED_KIND, subject=self.subject, body=body))
            self._tagged.update(dict.fromkeys(plain, event.id))

    def add_artifact(self, path: str, data: bytes | Path) -> tuple[FileRef, ...]:
        """Keep a file, or every file of a folder, under `path`; durable on return.

        Args:
            path: where it stands among the run's artifacts: relative, `/` between parts.
            data: the content, or the file or folder that has it.

        Raises:
            Invalid: `path` cannot be kept.
            NotFound: there is no such file or folder.
            Unavailable: the store cannot be written.
        """
        drafts = artifact_drafts(self._store, self.id, path, data)
        self._record(*drafts, durable=True)
        return tuple(draft.body.file for draft in drafts)

    def use(self, subject: str, relation: str = "used") -> None:
        """State that the run was made from `subject`, such as `dataset:ID`."""
        self._record(link_draft(self.id, Edge(self.subject, relation, str(parse_subject(subject)))))

    def made(self, subject: str, relation: str = "produced_by") -> None:
        """State that `subject`, such as `model:ID`, was made by the run."""
        self._record(link_draft(self.id, Edge(str(parse_subject(subject)), relation, self.subject)))

    def end(self, status: EndStatus = "finished", *, error: str = "") -> None:
        """End the run: its points are sealed, and its end is durable on return. A second call does nothing.

        Where this process has joined a run that another began, only its own points are sealed.

        Raises:
            Unavailable: the end cannot be written; the run will show as lost.
        """
        with self._lock:
            if self.ended:
                return
            self.ended = True
        _unended.discard(self)
        self._leave()
        mine = self._process == os.getpid()
        if self._gathering is not None and mine:
            self._gathering.join(GATHERING_SECONDS)
        own, lost = self._points.close()
        ends = self._starter and mine
        sealed, drafts = self._seal(own, others=ends)
        if ends:
            drafts.append(ended_draft(self.id, status, error, lost))
        if drafts:
            self._store.record(*drafts, durable=True)
        for segment in sealed:
            self._store.journal.drop_data(segment)
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
    ) -> None:
        """What `start` does first: state that the run begins, unless this process has joined it, and open its points.

        Raises:
            Invalid, Unavailable: as `start` does.
        """
        drafts = [params_draft(self._store, self.id, params)] if params else []
        if self._starter:
            began = started_draft(self.id, name, group, parent, this_machine().host, os.getpid(), project=project)
            drafts.insert(0, began)
            self.project = project
            drafts += [provenance_draft(self._store, self.id, provenance)] if provenance is not None else []
        self._record(*drafts)
        self._points.open()
        if self._starter and folder is not None and provenance is None:
            name = "charkh-provenance"
            self._gathering = threading.Thread(target=self._gather, args=[folder], name=name, daemon=True)
            self._gathering.start()

    def __enter__(self) -> "ActiveRun":
        self._token = active.enter(self)
        announced.add(self.id)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.end()
            else:
                self.end("failed", error=f"{kind.__name__}: {error}".removesuffix(": "))
        except CharkhError as failure:
            if kind is None:
                raise
            _log.warning("run %s could not be ended: %s", self.id, failure)

    def _leave(self) -> None:
        if self._token is not None:
            active.leave(self, self._token)
            announced.remove(self.id)
            self._token = None

    def _gather(self, folder: Path) -> None:
        try:
            self._record(provenance_draft(self._store, self.id, collect(folder)))
        except CharkhError as error:
            _log.warning("the provenance of run %s is not kept: %s", self.id, error)

    def _seal(self, own: Sequence[str], *, others: bool) -> tuple[list[str], list[Draft]]:
        """Segments that may go once the facts are recorded; where that fails, whoever seals next has them still.

        Args:
            own: the segments that this process wrote.
            others: those that dead processes left of the same run too.
        """
        sealed: list[str] = []
        drafts: list[Draft] = []
        try:
            for header in self._closed_segments(own, others=others):
                try:
                    draft = sealed_draft(self._store, header)
                except NotFound:
                    # Another process has sealed it meanwhile.
                    continue
                sealed.append(header.segment)
                drafts += [draft] if draft is not None else []
            if drafts:
                self._store.vault.flush()
        except CharkhError as error:
            _log.warning("points of run %s wait to be sealed: %s", self.id, error)
            return [], []
        return sealed, drafts

    def _closed_segments(self, own: Sequence[str], *, others: bool) -> list[DataHeader]:
        return [
            each.header
            for each in self._store.journal.list_data()
            if each.header.subject == self.subject
            and not each.live
            and (others or each.header.segment in own)
            and not is_received(each.header)
        ]

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
) -> ActiveRun:
    """Start a run, or join the one that the environment names (`CHARKH_RUN_ID`, torchrun).

    A run that its process never ends is ended with the process: `failed` after an uncaught exception.

    Args:
        store: where it is recorded.
        name: for people; runs may share it.
        group: what belongs together, such as the seeds of one experiment.
        parent: id of the run that this one is a part of; such a run is always a new one.
        params: what was chosen.
        tags: short labels.
        folder: where the code lies; its provenance is gathered on a thread of its own.
        provenance: what has been gathered already, for many runs of one process.
        project: id of the project that it belongs to, as `ensure_project` gives it; the default one when empty.

    Raises:
        Invalid: a text is too long, or a param has no JSON form.
        Unavailable: the store cannot be written.
    """
    run = ActiveRun(store, _membership(parent))
    if not _unended:
        # With a run and not with the import, so that what it needs at the end of the process is still open.
        atexit.unregister(_end_all)
        atexit.register(_end_all)
    run.begin(name, group, parent, params or {}, provenance, folder, project)
    if tags:
        run.set_tags(tags)
    _unended.add(run)
    return run


_unended: set[ActiveRun] = set()


def _membership(parent: str) -> Membership:
    if parent:
        return Membership(run=new_id(), writer=MAIN_WRITER, starter=True)
    member = find_membership(os.environ, _taken.count)
    _taken.count += member.launched
    return member


class _Taken:
    """How many runs of its launcher this process has taken."""

    count = 0


_taken = _Taken()


def _end_all() -> None:
    """At the end of the process."""
    failed = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    for run in list(_unended):
        try:
            told = f"{type(failed).__name__}: {failed}".removesuffix(": ") if failed else ""
            run.end("failed" if failed else "finished", error=told)
        except CharkhError as error:
            _log.warning("run %s could not be ended: %s", run.id, error)
