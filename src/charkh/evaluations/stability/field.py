"""The room in which an attack may move: which columns, how far, and how it asks. Pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from charkh.core.metrics import Floats
from charkh.evaluations.stability.subject import Answers
from charkh.evaluations.stability.trial import Trial, replaced


@dataclass(frozen=True, slots=True)
class Field:
    """The room in which an attack may move.

    Attributes:
        trial: the model and its rows.
        columns: that may be changed.
        scale: of each column: what one unit of distance is.
        budget: greatest distance in any column.
        start: the rows as they are, a column each.
    """

    trial: Trial
    columns: tuple[str, ...]
    scale: Floats
    budget: float
    start: Floats

    def frame(self, rows: npt.NDArray[np.intp], values: Floats) -> pl.DataFrame:
        """Those rows with other values in the columns of the attack; missing ones stay missing."""
        frame = self.trial.rows[rows]
        for place, name in enumerate(self.columns):
            frame = replaced(frame, name, pl.Series(values[:, place]).fill_nan(None))
        return frame

    def ask(self, rows: npt.NDArray[np.intp], values: Floats) -> Answers:
        """What the model says to them."""
        return self.trial.asked(self.frame(rows, values))

    def distance(self, rows: npt.NDArray[np.intp], values: Floats) -> Floats:
        """The greatest move of a column, in units of its scale."""
        moved = np.abs(np.nan_to_num(values - self.start[rows])) / self.scale
        return moved.max(axis=1, initial=0.0)

    def turned(self, rows: npt.NDArray[np.intp], said: Answers) -> npt.NDArray[np.bool_]:
        """Where the label is another than before."""
        before = self.trial.before.labels
        assert before is not None and said.labels is not None  # attacks are of classes
        return np.asarray(said.labels != before[rows], dtype=np.bool_)
