"""The noun: a logged model, the candidate or checkpoint that a run leaves before anybody registers it.

Its id is `m-` and 32 hex digits, as MLflow 3 writes them; its subject is `logged_model:ID`. Params and short tags
stand in events; longer ones are bytes in the vault.
"""

import re
from typing import Literal

import msgspec

from charkh.core.errors import Invalid
from charkh.core.events import Fact
from charkh.core.files import FileRef, TreeRef
from charkh.ports.runtimes import Safety, Signature

LOGGED_KIND = "model.logged/1"
CHANGED_KIND = "model.logged_changed/1"
MEASURED_KIND = "model.measured/1"
ARTIFACT_KIND = "model.logged_artifact/1"
LINKED_KIND = "model.logged_linked/1"
DELETED_KIND = "model.logged_deleted/1"

NOUN = "logged_model"
ID_PATTERN = re.compile(r"m-[0-9a-f]{32}")
LoggedStatus = Literal["pending", "ready", "failed"]
LinkRole = Literal["output", "input"]


class LoggedContent(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a logged model that charkh saved itself, and what is known of them.

    Attributes:
        tree: the files.
        runtime: name of the runtime that judged them and loads them.
        libraries: versions of the runtime's libraries at that time.
        signature: what it takes and gives.
        safety: what loading it could do, as judged at that time.
        example: a few input rows, as JSON columns, or None.
    """

    tree: TreeRef
    runtime: str
    libraries: dict[str, str]
    signature: Signature
    safety: Safety
    example: FileRef | None = None


class ModelLogged(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.logged/1`.

    Attributes:
        logged: id.
        project: id of the project that it belongs to; empty for the default project.
        name: for people; logged models may share it.
        run: id of the run that made it, or empty.
        type: what its maker calls this kind of model, or empty.
        created: seconds since the epoch.
        content: its files, where they were there when it was logged; None where they follow one by one.
        metrics: numbers about it that were known then.
    """

    logged: str
    project: str = ""
    name: str = ""
    run: str = ""
    type: str = ""
    created: float = 0.0
    content: LoggedContent | None = None
    metrics: dict[str, Fact] = {}


class LoggedChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.logged_changed/1`: what else is said of it.

    Attributes:
        logged: id.
        status: `pending`, `ready` or `failed`; empty where nothing is said of it.
        message: why it failed, without credentials.
        params: by name; of two values the first stays.
        tags: by name; None removes the tag, and the latest shows.
        long_params: by name, values too long for an event.
        long_tags: by name, values too long for an event.
    """

    logged: str
    status: str = ""
    message: str = ""
    params: dict[str, str] = {}
    tags: dict[str, str | None] = {}
    long_params: dict[str, FileRef] = {}
    long_tags: dict[str, FileRef] = {}


class Measurement(msgspec.Struct, frozen=True, array_like=True):
    """One value of a metric of a model.

    Attributes:
        key: of the metric.
        value: a double, NaN and infinities included.
        time: milliseconds since the epoch.
        step: of the run that measured it.
        dataset: name of the data that it was measured on, or empty.
        digest: of that data, or empty.
    """

    key: str
    value: float
    time: int
    step: int = 0
    dataset: str = ""
    digest: str = ""


class ModelMeasured(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.measured/1`: what a run measured about a logged model."""

    logged: str
    run: str
    values: tuple[Measurement, ...]


class LoggedArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.logged_artifact/1`: a file of the model; of two under one path the latest shows.

    `file` is None where the path was deleted.
    """

    logged: str
    path: str
    file: FileRef | None


class LoggedLinked(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.logged_linked/1`: a run left the model at a step, or used it."""

    logged: str
    run: str
    role: str
    step: int = 0


class LoggedDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.logged_deleted/1`: the bytes need no longer be readable on its behalf."""

    logged: str
    reason: str = ""


class RunMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """A measurement and the run that took it."""

    run: str
    value: Measurement


class LoggedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model as the catalog answers it.

    Attributes:
        made: what its first event says.
        actor: who logged it, `user@host`.
        stamp: the total order of logged models.
        status: `pending` until somebody says that it is whole, `ready` or `failed`.
        message: why it failed, or empty.
        updated: seconds since the epoch of the last word about it.
        params: by name; those that are too long for a fact are in `long_params`.
        tags: by name; those that are too long for a fact are in `long_tags`.
        long_params: by name, the text in the vault.
        long_tags: by name, the text in the vault.
        metrics: everything that was measured about it, by key, time and step.
        deleted: seconds since the epoch when it was deleted, or None.
    """

    made: ModelLogged
    actor: str
    stamp: str
    status: LoggedStatus
    message: str = ""
    updated: float = 0.0
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    long_params: dict[str, FileRef] = {}
    long_tags: dict[str, FileRef] = {}
    metrics: tuple[RunMeasurement, ...] = ()
    deleted: float | None = None

    @property
    def id(self) -> str:
        return self.made.logged

    @property
    def subject(self) -> str:
        """`logged_model:ID`, as it stands in edges."""
        return f"{NOUN}:{self.made.logged}"


class LoggedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a logged model; `at` is seconds since the epoch."""

    path: str
    file: FileRef
    at: float


class ModelLink(msgspec.Struct, frozen=True, kw_only=True):
    """That a run left a logged model at a step, or used it."""

    run: str
    logged: str
    role: LinkRole
    step: int = 0


def latest_value(model: LoggedModel, key: str, *, dataset: str = "", digest: str = "") -> float | None:
    """The value of a metric at its greatest time and step; on one dataset where it is named, None if there is none."""
    found = [
        each.value
        for each in model.metrics
        if each.value.key == key
        and (not dataset or each.value.dataset == dataset)
        and (not digest or each.value.digest == digest)
    ]
    best = max(found, key=lambda value: (value.time, value.step), default=None)
    return None if best is None else best.value


def parse_logged_id(text: str) -> str:
    """The id of a logged model.

    Raises:
        Invalid: it is none.
    """
    identifier = text.removeprefix(f"{NOUN}:")
    if not ID_PATTERN.fullmatch(identifier):
        raise Invalid(
            f"{text[:80]!r} is no id of a logged model",
            code="model.bad_logged_id",
            hint="It is `m-` and 32 hex digits.",
        )
    return identifier
