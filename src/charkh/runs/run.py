"""The noun: what a run is, and what its events say.

Pure data, no I/O; every verb of this room speaks these structs. Names, params and tags are bounded and
without credentials; what a user typed at length (patch, command line, long params) is bytes in the
vault, which can be erased. Metric points are no events: they lie in data segments until they are sealed
(`charkh.runs.points`, docs/formats/runs.md).
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from charkh.core.errors import Invalid
from charkh.core.files import FileRef
from charkh.core.redact import redact
from charkh.runs.project import DEFAULT_PROJECT

STARTED_KIND = "run.started/1"
PROVENANCE_KIND = "run.provenance/1"
PARAMS_KIND = "run.params/1"
TAGGED_KIND = "run.tagged/1"
ARTIFACT_KIND = "run.artifact/1"
ARTIFACT_REMOVED_KIND = "run.artifact_removed/1"
LINKED_KIND = "run.linked/1"
ENDED_KIND = "run.ended/1"
SEALED_KIND = "run.sealed/1"
RENAMED_KIND = "run.renamed/1"
TRASHED_KIND = "run.trashed/1"
RESTORED_KIND = "run.restored/1"
DELETED_KIND = "run.deleted/1"

MAX_NAME = 250
MAX_TEXT = 500
SYSTEM_CONTEXT = "system"
"""The context of what the tracker itself measures of the machine; it is shown when it is asked for."""

LOST_AFTER_SECONDS = 60.0
"""A run that has neither ended nor given a sign of life for this long shows as lost."""

EndStatus = Literal["finished", "failed", "killed"]
Status = Literal["running", "scheduled", "finished", "failed", "killed", "lost"]
SCHEDULED = "scheduled"
"""What may stand in the place of a status of the end: the run waits for its turn, and is not over."""


class RunStarted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Body of `run.started/1`; a run that goes on after a restart says it again, and the earliest stays.

    Attributes:
        run: id of the run, which is the subject's id.
        name: for people; runs may share it.
        group: what belongs together, such as the seeds of one experiment.
        parent: id of the run that this one is a part of, or empty.
        host: name of the machine.
        pid: process id of the starter.
        project: id of its project; empty for the default one.
        user: who started it, where that is not whoever recorded it.
        goals: by metric, `max` or `min`: which of its values is the best.
        began: seconds since the epoch where it began before it was recorded; 0 for the moment of the event.
    """

    run: str
    name: str = ""
    group: str = ""
    parent: str = ""
    host: str = ""
    pid: int = 0
    project: str = ""
    user: str = ""
    began: float = 0.0
    goals: dict[str, str] = {}


class RunProvenance(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.provenance/1`: where the code came from and what it ran on.

    Attributes:
        run: id of the run.
        system: the version control system: `git`, `hg` or `svn`; empty where there is none.
        commit: what it calls the revision, or empty.
        branch: its name, or empty.
        remote: where the repository was cloned from, without credentials.
        dirty: the working tree differed from the commit; None where that is unknown.
        root: root of the working tree on the machine of the run.
        folder: where the run was started, relative to the root of the repository.
        started_in: the current folder of its process.
        patch: the differences, new text files included, without credentials; None when there are none.
        patch_cut: there were more differences than are kept: too long, or in files that are no text.
        program: path of the main script below `root`, or its name.
        script: text of the main script where no version control system has it.
        command: the command line, a JSON list.
        environment: the installed distributions, one `name==version` a line.
        variables: the environment variables of the allow-list, a JSON object.
        python: version of the interpreter.
        platform: operating system and machine.
        cpus: number of processors.
        memory: bytes.
        gpus: names of the accelerators.
    """

    run: str
    commit: str = ""
    branch: str = ""
    remote: str = ""
    dirty: bool | None = None
    folder: str = ""
    patch: FileRef | None = None
    patch_cut: bool = False
    script: FileRef | None = None
    command: FileRef | None = None
    environment: FileRef | None = None
    variables: FileRef | None = None
    python: str = ""
    platform: str = ""
    cpus: int = 0
    memory: int = 0
    gpus: tuple[str, ...] = ()
    system: str = "git"
    root: str = ""
    started_in: str = ""
    program: str = ""


class RunParams(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Body of `run.params/1`; of two values for one param the first shows, beside the conflict.

    Attributes:
        run: id of the run.
        values: by dotted name; any JSON value, and floats that JSON cannot say.
        large: by dotted name, values too long for an event, as JSON bytes.
    """

    run: str
    values: dict[str, Any]
    large: dict[str, FileRef] = {}


class RunTagged(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.tagged/1`.

    Attributes:
        run: id of the run.
        tags: by name; None removes the tag. Of a long text the beginning, by which it is searched.
        replaces: by name, ids of the events that this one saw and supersedes.
        large: by name, the whole of a long text, as UTF-8.
    """

    run: str
    tags: dict[str, str | None]
    replaces: dict[str, tuple[str, ...]] = {}
    large: dict[str, FileRef] = {}


class RunArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.artifact/1`: a file that the run left; of two under one path the latest shows."""

    run: str
    path: str
    file: FileRef


class RunArtifactRemoved(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.artifact_removed/1`: no file is shown under `path` until one is added again; nothing is freed."""

    run: str
    path: str


class RunLinked(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.linked/1`; the links themselves are the event's edges."""

    run: str


class RunEnded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Body of `run.ended/1`.

    Attributes:
        run: id of the run.
        status: how it ended.
        error: type and text of the exception that ended it, without credentials.
        lost: metric records that could not be written: the run is incomplete when there are any.
        moment: seconds since the epoch where it ended before that was recorded; 0 for the moment of the event.
    """

    run: str
    status: str
    error: str = ""
    lost: int = 0
    moment: float = 0.0


class SeriesSummary(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one segment holds of one metric.

    Attributes:
        key: of the metric.
        context: such as `val`; empty where the caller named none.
        count: points.
        first_step: the smallest step.
        last_step: the greatest step.
        last: value at the greatest step; of several, the one that was logged last.
        low: the smallest value; NaN when every value is.
        high: the greatest value; NaN when every value is.
        first_time: seconds since the epoch of the earliest point.
        last_time: seconds since the epoch of the latest point.
        first: value at the smallest step; None where the segment was sealed before that was kept.
    """

    key: str
    context: str
    count: int
    first_step: int
    last_step: int
    last: float
    low: float
    high: float
    first_time: float
    last_time: float
    first: float | None = None

    @property
    def name(self) -> str:
        return series_name(self.key, self.context)


class RunSealed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Body of `run.sealed/1`: a data segment has been rewritten into a blob.

    Attributes:
        run: id of the run.
        segment: id of the data segment.
        writer: which of the run's writers, such as the rank.
        attempt: which attempt of that writer; later ones are greater.
        blob: the points, laid out as docs/formats/runs.md says.
        records: how many records the segment had.
        points: how many points.
        series: one summary for each metric, at most `MAX_SERIES`; the blob has them all.
    """

    run: str
    segment: str
    writer: str
    attempt: int
    blob: FileRef
    records: int
    points: int
    series: tuple[SeriesSummary, ...]


class RunRenamed(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.renamed/1`; the latest name stays."""

    run: str
    name: str


class RunTrashed(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.trashed/1`: the run is in the trash until it is restored; nothing is freed."""

    run: str
    reason: str = ""


class RunRestored(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.restored/1`: the run is out of the trash."""

    run: str


class RunDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.deleted/1`: for good; the run's bytes need no longer be readable on its behalf."""

    run: str
    reason: str = ""


class LargeValue(msgspec.Struct, frozen=True, kw_only=True):
    """A param that is too long for a fact; `file` is its JSON in the vault."""

    file: FileRef


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a run left, as the catalog answers it; `at` is seconds since the epoch."""

    path: str
    file: FileRef
    at: float


class ParamConflict(msgspec.Struct, frozen=True, kw_only=True):
    """A param that was given several values; `shown` was the first."""

    name: str
    shown: Any
    others: tuple[Any, ...]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the catalog answers it.

    Attributes:
        started: what its first event says.
        over: it has ended and was not taken up again.
        name: for people; runs may share it.
        project: id of its project; `0` is the default one.
        user: who started it, without the machine where that is known.
        status: `running`, `scheduled`, `finished`, `failed`, `killed` or `lost`.
        created: seconds since the epoch when it was started.
        ended: seconds since the epoch, or None.
        actor: who started it, `user@host`.
        params: by dotted name; `LargeValue` for a value that is kept as bytes.
        tags: by name; of a long text the beginning.
        large_tags: by name, the whole of the long texts among them, as UTF-8.
        metrics: by series name, the value at the greatest step of the writer that shows by default.
        provenance: what is known of it, or None.
        error: why it failed, or empty.
        lost_records: metric records that could not be written.
        stamp: the total order of runs.
        deleted: seconds since the epoch when it or its project went into the trash, or None.
        purged: its bytes may be gone, and it can be restored no more.
    """

    started: RunStarted
    name: str = ""
    project: str = DEFAULT_PROJECT
    user: str = ""
    over: bool
    status: Status
    created: float
    actor: str
    stamp: str
    ended: float | None = None
    params: dict[str, Any] = {}
    tags: dict[str, str] = {}
    large_tags: dict[str, FileRef] = {}
    metrics: dict[str, float] = {}
    provenance: RunProvenance | None = None
    error: str = ""
    lost_records: int = 0
    deleted: float | None = None
    purged: bool = False

    @property
    def id(self) -> str:
        return self.started.run

    @property
    def subject(self) -> str:
        """`run:id`, as it stands in edges."""
        return f"run:{self.started.run}"

    @property
    def complete(self) -> bool:
        """Whether every metric record that was logged has been kept."""
        return self.lost_records == 0

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it has not ended."""
        return None if self.ended is None else max(0.0, self.ended - self.created)


def series_name(key: str, context: str) -> str:
    """How a metric is called where contexts are told apart: `loss`, or `loss[val]`."""
    return f"{key}[{context}]" if context else key


def logged_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that the code logged, by series name, without what was measured of the machine."""
    return {name: value for name, value in metrics.items() if not name.endswith(f"[{SYSTEM_CONTEXT}]")}


def json_text(value: object) -> str:
    """A param as text: JSON, with `NaN` and `Infinity` for the floats that JSON cannot say."""
    if value.__class__ is float or value.__class__ is int:
        text = repr(value)
        return _SPELLED.get(text, text)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


_SPELLED = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def from_json_text(text: str) -> Any:
    """The value of `json_text`."""
    if text[:1] not in "[{":
        # The faster of the two for what most params are; it gives whole numbers of more than 64 bits as floats.
        try:
            value = _decode_json(text)
        except (msgspec.DecodeError, UnicodeEncodeError):
            return json.loads(text)
        if value.__class__ is not float or not text.lstrip("-").isdigit():
            return value
    return json.loads(text)


_decode_json = msgspec.json.Decoder().decode


def bounded_text(text: str, what: str, limit: int = MAX_NAME) -> str:
    """A short text that may stand in an event, without credentials.

    Raises:
        Invalid: longer than `limit`.
    """
    clean = redact(text.strip()).encode("utf-8", "replace").decode()
    if len(clean) > limit:
        raise Invalid(
            f"the {what} has {len(clean)} characters, more than {limit}",
            code="run.text_too_long",
            hint="Add long texts as an artifact.",
        )
    return clean


def is_nan(value: object) -> bool:
    """Whether a value is the float that is no number."""
    return isinstance(value, float) and math.isnan(value)
