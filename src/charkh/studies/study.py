"""The noun: what a study and its trials are, and what their events say. Pure data, no I/O."""

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

import msgspec

from charkh.core.canon import canonical_json
from charkh.core.digests import digest_of
from charkh.core.dimensions import Dimension, Scalar

STARTED_KIND = "study.started/1"
TRIAL_KIND = "trial.done/1"
ENDED_KIND = "study.ended/1"

MAX_REPORTED = 200
MAX_ERROR = 500
MAX_NAME = 250

Direction = Literal["maximize", "minimize"]
TrialState = Literal["complete", "pruned", "failed"]
StudyStatus = Literal["running", "finished", "interrupted", "failed"]
R = TypeVar("R")


class Reported(msgspec.Struct, frozen=True, array_like=True):
    """A value that a trial logged on its way."""

    step: int
    value: float


class StudyStarted(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `study.started/1`; a study that is resumed says it again, with another run.

    Attributes:
        study: id of the study, which is the subject's id.
        name: by which it is resumed.
        content: digest of what is searched for and where; a study is resumed only where that is the same.
        run: id of the run that the search is recorded in; the trials' runs are its parts.
        direction: whether greater or less is better.
        metric: whose last logged value is a trial's value; empty where the objective returns it.
        space: what may be chosen, by dotted name.
        trials: how many trials were wanted.
        seed: of the sampler.
    """

    study: str
    name: str
    content: str
    run: str
    direction: Direction
    metric: str
    space: dict[str, Dimension]
    trials: int
    seed: int


class TrialDone(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `trial.done/1`.

    Attributes:
        study: id of the study.
        number: from 0, in the order of the search.
        run: id of the run that the trial was.
        params: what was chosen, by dotted name.
        state: it has a value, was given up early, or failed.
        value: of the metric; None for a failed trial.
        reported: values on the way, at most `MAX_REPORTED`, evenly chosen, the last included.
        seconds: how long it took.
        error: why it failed, bounded and without credentials.
    """

    study: str
    number: int
    run: str
    params: dict[str, Scalar]
    state: str
    value: float | None
    reported: tuple[Reported, ...] = ()
    seconds: float = 0.0
    error: str = ""


class StudyEnded(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `study.ended/1`.

    Attributes:
        study: id of the study.
        run: id of the run that the search was recorded in.
        status: how the search ended.
        best: number of the best trial, or None.
        value: of the best trial, or None.
    """

    study: str
    run: str
    status: str
    best: int | None = None
    value: float | None = None


class StudyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A study as the catalog answers it.

    Attributes:
        started: what its latest start says.
        status: of its latest start.
        trials: by number.
        actor: who started it first, `user@host`.
        created: seconds since the epoch when it was first started.
        stamp: the total order of studies.
    """

    started: StudyStarted
    status: str
    trials: tuple[TrialDone, ...]
    actor: str
    created: float
    stamp: str

    @property
    def id(self) -> str:
        return self.started.study

    @property
    def name(self) -> str:
        return self.started.name

    @property
    def subject(self) -> str:
        """`study:id`, as it stands in edges."""
        return f"study:{self.started.study}"

    @property
    def best_trial(self) -> TrialDone | None:
        """The complete trial with the best value, the first of equals; None where none is complete."""
        sign = -1.0 if self.started.direction == "maximize" else 1.0
        found = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        return min(found, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)


class Study(Generic[R]):
    """What a search found.

    Args:
        record: the study with its trials.
        params: the best params, of the class that was searched, or a dictionary by dotted name.
        make: makes the best trial's result again, where another process made it.

    Attributes:
        record: the study with its trials.
        params: the best params.
    """

    def __init__(self, record: StudyRecord, params: Any, make: Callable[[], R]) -> None:
        self.record = record
        self.params = params
        self._make = make

    @property
    def trial(self) -> TrialDone:
        """The best trial."""
        best = self.record.best_trial
        assert best is not None
        return best

    @property
    def value(self) -> float:
        """The best trial's value."""
        value = self.trial.value
        assert value is not None
        return value

    @property
    def trials(self) -> tuple[TrialDone, ...]:
        """Every trial, by number."""
        return self.record.trials

    @cached_property
    def best(self) -> R:
        """What the objective returned for the best params; for a trial of an earlier search it is called once more."""
        return self._make()


def content_of(
    space: Mapping[str, Dimension], fixed: Mapping[str, Any], direction: str, metric: str, seed: int, key: str
) -> str:
    """The digest of what is searched for, and where."""
    return digest_of(canonical_json([dict(space), dict(fixed), direction, metric, seed, key]))


def thinned(reported: Mapping[int, float]) -> tuple[Reported, ...]:
    """At most `MAX_REPORTED` of the values on the way, evenly chosen, the last included."""
    points = [Reported(step, value) for step, value in sorted(reported.items()) if math.isfinite(value)]
    if len(points) <= MAX_REPORTED:
        return tuple(points)
    stride = (len(points) - 1) / (MAX_REPORTED - 1)
    return tuple(points[round(place * stride)] for place in range(MAX_REPORTED))
