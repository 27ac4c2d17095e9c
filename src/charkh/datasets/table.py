"""A table in memory that knows what it was made from: what steps, recipes and checks pass on."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows, and the subjects they come from.

    Attributes:
        frame: the rows.
        origins: subjects that they were made from, such as `dataset:id`, each once.
    """

    frame: pl.DataFrame
    origins: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self.frame.columns

    def __len__(self) -> int:
        return self.frame.height

    def having(self, frame: pl.DataFrame, *origins: str) -> "Table":
        """Other rows made from these: the same origins and, behind them, more."""
        return Table(frame, tuple(dict.fromkeys((*self.origins, *origins))))
