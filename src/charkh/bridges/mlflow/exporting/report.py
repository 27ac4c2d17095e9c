"""What an export wrote, and what MLflow has no place for."""

import msgspec

from charkh.bridges.mlflow.exchanged import Trouble
from charkh.bridges.mlflow.importing.report import Left


class ExportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an export wrote.

    Attributes:
        counts: by kind, how many were written.
        there: by kind, how many the other side had already.
        left: what was not carried, and why.
        trouble: what could not be written or read.
    """

    counts: dict[str, int]
    there: dict[str, int]
    left: list[Left]
    trouble: list[Trouble]


class ExportTally:
    """Collects a report while an export goes on."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._there: dict[str, int] = {}
        self._left: dict[tuple[str, str], int] = {}
        self._trouble: list[Trouble] = []

    def done(self, kind: str, count: int = 1) -> None:
        """So many were written."""
        if count:
            self._counts[kind] = self._counts.get(kind, 0) + count

    def there(self, kind: str, count: int = 1) -> None:
        """So many were there already."""
        if count:
            self._there[kind] = self._there.get(kind, 0) + count

    def left(self, what: str, why: str, count: int = 1) -> None:
        """So many were not carried."""
        self._left[what, why] = self._left.get((what, why), 0) + count

    def tell(self, where: str, reason: str) -> None:
        """Something could not be written or read."""
        self._trouble.append(Trouble(where, reason))

    def report(self) -> ExportReport:
        """What was collected."""
        left = [Left(what=what, count=count, why=why) for (what, why), count in sorted(self._left.items())]
        return ExportReport(counts=self._counts, there=self._there, left=left, trouble=self._trouble)
