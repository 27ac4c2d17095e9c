"""What an import of an MLflow store brought, what was there already, and what was not carried and why."""

from collections.abc import Iterator

import msgspec

from charkh.bridges.mlflow.exchanged import Trouble
from charkh.core.redact import redact

MAX_TROUBLE = 1000
KINDS = (
    "experiment",
    "run",
    "param",
    "tag",
    "point",
    "dataset input",
    "artifact",
    "logged model",
    "registered model",
    "version",
    "alias",
)


class Count(msgspec.Struct, kw_only=True):
    """Of one kind: how many are new here, and how many were here already."""

    new: int = 0
    there: int = 0


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What was not carried: a kind of thing, how many of them, and why."""

    what: str
    count: int
    why: str


class MlflowReport(msgspec.Struct, kw_only=True):
    """What an import brought.

    Attributes:
        counts: by kind.
        bytes: of the artifacts that are new here.
        left: what was not carried.
        trouble: what was damaged or could not be kept, at most `MAX_TROUBLE`.
        troubles: how many there were.
        dry: nothing was written.
    """

    counts: dict[str, Count]
    bytes: int = 0
    left: list[Left] = []
    trouble: list[Trouble] = []
    troubles: int = 0
    dry: bool = False


class Tally:
    """Collects a report while an import goes on."""

    def __init__(self, *, dry: bool = False) -> None:
        self._counts = {kind: Count() for kind in KINDS}
        self._left: dict[tuple[str, str], int] = {}
        self._trouble: list[Trouble] = []
        self._troubles = 0
        self._dry = dry
        self.bytes = 0

    def new(self, kind: str, count: int = 1) -> None:
        """So many are new here."""
        self._counts[kind].new += count

    def there(self, kind: str, count: int = 1) -> None:
        """So many were here already."""
        self._counts[kind].there += count

    def left(self, what: str, why: str, count: int = 1) -> None:
        """So many were not carried."""
        self._left[what, why] = self._left.get((what, why), 0) + count

    def tell(self, where: str, reason: str) -> None:
        """Something was damaged or could not be kept."""
        self._troubles += 1
        if len(self._trouble) < MAX_TROUBLE:
            self._trouble.append(Trouble(redact(where)[:500], redact(reason)[:500]))

    def tell_all(self, trouble: list[Trouble]) -> None:
        """The same of several, which are taken out of the list."""
        for each in trouble:
            self.tell(each.where, each.reason)
        trouble.clear()

    def report(self) -> MlflowReport:
        """What was collected."""
        return MlflowReport(
            counts=self._counts,
            bytes=self.bytes,
            left=[Left(what=what, count=count, why=why) for (what, why), count in sorted(self._left.items())],
            trouble=self._trouble,
            troubles=self._troubles,
            dry=self._dry,
        )


def changed(report: MlflowReport) -> Iterator[tuple[str, Count]]:
    """The kinds of which there is anything."""
    return ((kind, count) for kind, count in report.counts.items() if count.new or count.there)
