"""What is tried: rows, a way to ask, and answers in a form in which two of them can be compared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.errors import CharkhError
from charkh.core.metrics import Floats
from charkh.core.redact import redact
from charkh.core.stability_settings import RetrainTest

PROBABILITY = "predict_proba"
PREDICTION = "predict"

Array = npt.NDArray[Any]
Ask = Callable[[pl.DataFrame], Mapping[str, Array]]
"""The outputs of a model, by name, for rows that have its input columns."""


class Unanswered(Exception):
    """The model could not be asked, or gave what is no answer; `what` names no value of a row, the text may."""

    def __init__(self, what: str, text: str = "") -> None:
        super().__init__(text or what)
        self.what = what


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model said to some rows.

    Attributes:
        numbers: a row each: probabilities of the classes, or the predicted numbers; no column where there are none.
        labels: what was predicted, a row each, or None for a regression.
    """

    numbers: Floats
    labels: Array | None

    @property
    def rows(self) -> int:
        return len(self.numbers)

    @property
    def classes(self) -> bool:
        """The model tells classes."""
        return self.labels is not None

    @property
    def score(self) -> Floats | None:
        """The one number that goes up and down: the last class's probability, or the prediction; None without one."""
        return self.numbers[:, -1] if self.numbers.shape[1] else None

    def taken(self, rows: npt.NDArray[np.intp]) -> "Answers":
        """These rows of it, in this order."""
        return Answers(self.numbers[rows], None if self.labels is None else self.labels[rows])

    def unsound(self, like: "Answers") -> str:
        """Why these are no answers such as `like`; empty where they are."""
        if self.numbers.shape[1] != like.numbers.shape[1] or self.classes != like.classes:
            return "the outputs have another shape"
        if not np.isfinite(self.numbers).all():
            return "an output is not finite"
        if self.classes and self.numbers.size and (self.numbers.min() < -1e-6 or self.numbers.max() > 1 + 1e-6):
            return "a probability lies outside 0 to 1"
        return ""

    def shown(self, row: int) -> str:
        """The answer to one row, in short."""
        numbers = ", ".join(f"{value:.6g}" for value in self.numbers[row, -4:].tolist())
        return numbers if self.labels is None else f"{self.labels[row]!s:.40} ({numbers})".replace(" ()", "")


class NoOccasion(Exception):
    """The model or the rows give no occasion for a test; the text says why, and names no value of a row."""


@dataclass(frozen=True, slots=True)
class Training:
    """How a model is trained again.

    Attributes:
        how: in a few words, such as `step flows:train of the pipeline flights`.
        reference: the same training as it was: what the others are held against.
        train: takes a seed, and whether the rows are a bootstrap sample, which that seed draws then; raises
            `Unanswered` where the training does, and `NoOccasion` where there is nothing to draw from.
        note: what else there is to know about it.
    """

    how: str
    reference: Ask
    train: Callable[[int, bool], Ask]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Tried:
    """The model on trial.

    Attributes:
        rows: its input columns, as it takes them.
        ask: the model.
        optional: inputs that may be missing.
        truth: of each row: 0/1, or a number; None where it is not known.
        groups: columns of the rows as they came, among them such as the model does not take.
        compiled: the compiled form of the model, or None.
        others: by reference, versions trained otherwise.
        training: finds out how it is trained again; raises `NoOccasion` where that is not known.
    """

    rows: pl.DataFrame
    ask: Ask
    optional: frozenset[str] = frozenset()
    truth: Floats | None = None
    groups: pl.DataFrame = field(default_factory=pl.DataFrame)
    compiled: Ask | None = None
    others: Mapping[str, Ask] = field(default_factory=dict[str, Ask])
    training: Callable[[RetrainTest], Training] | None = None

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns of numbers, in order."""
        return tuple(name for name, dtype in self.rows.schema.items() if dtype.is_numeric())

    @property
    def texts(self) -> tuple[str, ...]:
        """Columns of texts, in order."""
        kinds = pl.String | pl.Categorical | pl.Enum
        return tuple(name for name, dtype in self.rows.schema.items() if isinstance(dtype, kinds))

    def first(self, count: int) -> "Tried":
        """The same with the first rows only; all of them for 0. The rows were drawn, so that the first are a draw."""
        if not count or count >= self.rows.height:
            return self
        return Tried(
            rows=self.rows.head(count),
            ask=self.ask,
            optional=self.optional,
            truth=None if self.truth is None else self.truth[:count],
            groups=self.groups.head(count),
            compiled=self.compiled,
            others=self.others,
            training=self.training,
        )


def answers(ask: Ask, rows: pl.DataFrame) -> Answers:
    """What a model says to rows.

    Raises:
        Unanswered: it raises, or gives neither a prediction nor probabilities, or not one a row.
    """
    try:
        outputs = ask(rows)
    except Exception as error:  # a model's own code may raise anything, and that it does is what a test finds out
        code = error.code if isinstance(error, CharkhError) else type(error).__name__
        raise Unanswered(f"the model raised {code}", redact(str(error))[:1000]) from error
    probabilities, predicted = outputs.get(PROBABILITY), outputs.get(PREDICTION)
    if probabilities is None and predicted is None:
        predicted = _only(outputs)
    if probabilities is not None:
        numbers = _matrix(probabilities, rows.height)
        labels = np.argmax(numbers, axis=1) if predicted is None else _labels(predicted, rows.height)
        return Answers(numbers, labels)
    given = cast(Array, predicted)
    if given.dtype.kind in "fc":
        return Answers(_matrix(given, rows.height), None)
    return Answers(np.empty((rows.height, 0)), _labels(given, rows.height))


def _only(outputs: Mapping[str, Array]) -> Array:
    found = list(outputs.values())
    if len(found) != 1:
        given = ", ".join(sorted(outputs)) or "nothing"
        raise Unanswered(f"the model gives {given}, and neither of predict and predict_proba")
    return found[0]


def _matrix(values: Array, rows: int) -> Floats:
    if not len(values) == rows:
        raise _too_few(len(values), rows)
    return np.ascontiguousarray(values, dtype=np.float64).reshape(rows, -1)


def _labels(values: Array, rows: int) -> Array:
    if not len(values) == rows:
        raise _too_few(len(values), rows)
    return values.reshape(rows, -1)[:, 0]


def _too_few(found: int, rows: int) -> Unanswered:
    return Unanswered(f"the model gave {found} answers to {rows} rows")
