"""What MLflow keeps, free of how it keeps it: every source is read into this, and everything is written from it.

Times are seconds since the epoch; ids, keys and values are as MLflow has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from charkh.models.logged import Measurement

if TYPE_CHECKING:
    from charkh.runs.points import Floats, Integers


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment; `location` is where the artifacts of its runs lie."""

    id: str
    name: str
    location: str = ""
    created: float = 0.0
    updated: float = 0.0
    tags: dict[str, str] = {}
    deleted: bool = False


class DatasetInput(msgspec.Struct, frozen=True, kw_only=True):
    """Data that a run used; `tags` has its context too."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""
    tags: dict[str, str] = {}


class MlflowRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run without its points and files.

    Attributes:
        id: of the run.
        experiment: id of its experiment.
        name: for people.
        user: who started it.
        status: `RUNNING`, `SCHEDULED`, `FINISHED`, `FAILED` or `KILLED`.
        began: when it was started.
        ended: when it ended, or None.
        deleted: it is in the trash.
        location: address of its artifacts.
        params: by key.
        tags: by key.
        inputs: data that it used.
        used: ids of the logged models that it used.
        made: by id of a logged model that it left, the step.
    """

    id: str
    experiment: str
    name: str = ""
    user: str = ""
    status: str = "RUNNING"
    began: float = 0.0
    ended: float | None = None
    deleted: bool = False
    location: str = ""
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    inputs: tuple[DatasetInput, ...] = ()
    used: tuple[str, ...] = ()
    made: dict[str, int] = {}


class MeasuredBy(msgspec.Struct, frozen=True, kw_only=True):
    """A value of a logged model's metric, and the run that took it."""

    run: str
    value: Measurement


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model; `status` is `pending`, `ready` or `failed`, `location` the address of its files."""

    id: str
    experiment: str
    name: str = ""
    run: str = ""
    type: str = ""
    created: float = 0.0
    status: str = "ready"
    message: str = ""
    location: str = ""
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: tuple[MeasuredBy, ...] = ()
    deleted: bool = False


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a registered model; `storage` is where its files lie, where that is known beside the source."""

    number: int
    source: str = ""
    storage: str = ""
    run: str = ""
    logged: str = ""
    stage: str = "None"
    description: str = ""
    link: str = ""
    created: float = 0.0
    tags: dict[str, str] = {}


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """A registered model with its versions, the smallest number first; `aliases` are by word, with numbers."""

    name: str
    description: str = ""
    created: float = 0.0
    tags: dict[str, str] = {}
    aliases: dict[str, int] = {}
    versions: tuple[Version, ...] = ()


class KeyPoints(NamedTuple):
    """Every point of one metric of a run: step, microseconds since the epoch, value."""

    key: str
    steps: Integers
    times: Integers
    values: Floats


class FoundFile(NamedTuple):
    """A file below an address, by its path from there; `size` is None where nobody knows it yet."""

    path: str
    size: int | None


class Files(Protocol):
    """The files below one address.

    Attributes:
        local: they are on this machine, so that they can be compared by content.
    """

    @property
    def local(self) -> bool: ...

    def list(self) -> Iterable[FoundFile]:
        """Every file.

        Raises:
            CharkhError: they cannot be listed.
        """
        ...

    def take(self, path: str, scratch: Path) -> Path:
        """A file with the content that lies there; one that is made for it is made in `scratch`.

        Raises:
            CharkhError: it cannot be read.
        """
        ...


class Trouble(NamedTuple):
    """What could not be read or kept: where, and why."""

    where: str
    reason: str


class Source(Protocol):
    """An MLflow store that is read.

    Attributes:
        trouble: what was damaged in it, filled while it is read.
    """

    trouble: list[Trouble]

    def experiments(self) -> Iterator[Experiment]:
        """All of them, deleted ones too."""
        ...

    def runs(self, experiment: str) -> Iterator[MlflowRun]:
        """The runs of an experiment, deleted ones too, the oldest first."""
        ...

    def points(self, run: MlflowRun) -> Iterator[KeyPoints]:
        """The points of a run, metric by metric."""
        ...

    def logged(self, experiment: str) -> Iterator[Logged]:
        """The logged models of an experiment."""
        ...

    def registered(self) -> Iterator[Registered]:
        """The registered models."""
        ...

    def left(self) -> dict[str, int]:
        """By kind, how much there is that nothing here reads, such as traces."""
        ...

    def files(self, location: str, owner: str) -> Files | str:
        """The files at an address that belongs to a run or model (its id), or why they are out of reach."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...
