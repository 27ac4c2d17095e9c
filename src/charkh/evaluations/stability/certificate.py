"""The noun: what a certificate says, in its event and in its details. Pure data, no I/O.

A certificate is about one model version, tried by one suite on some rows, and counts until it expires.
"""

from typing import Literal

import msgspec

from charkh.core.events import Fact
from charkh.core.files import FileRef

CERTIFIED_KIND = "stability.certified/1"

MAX_RESULTS = 200
MAX_NOTE = 300

Outcome = Literal["passed", "failed", "skipped", "broken"]
"""`broken`: the model could not be asked at all, or gave no sound answer; it counts as failed."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one test came to.

    Attributes:
        test: its name in the suite.
        kind: of the test.
        outcome: `skipped` where the model or the rows give no occasion for it.
        measure: what `value` and `bound` are of, in words.
        value: as measured; None where nothing was.
        bound: the greatest value that passes, in the same unit.
        low: lower end of the 95 % interval of the value, where it is a share of rows.
        high: upper end of it.
        rows: that were asked.
        note: what else there is to know, without any value of a row.
    """

    test: str
    kind: str
    outcome: Outcome
    measure: str = ""
    value: float | None = None
    bound: float | None = None
    low: float | None = None
    high: float | None = None
    rows: int = 0
    note: str = ""

    @property
    def bad(self) -> bool:
        """It failed, or could not be asked."""
        return self.outcome in {"failed", "broken"}


class Certified(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `stability.certified/1`.

    Attributes:
        certificate: id of it, which is the subject's id.
        suite: name of the suite.
        about: what was tried, `model:id`.
        model: name of the model.
        on: the dataset version whose rows were asked, `dataset:id`, or empty for the example kept with the version.
        digest: of the suite's settings: equal digests, equal tests.
        ok: no test failed and at least one passed.
        issued: seconds since the epoch.
        expires: seconds since the epoch from which it counts no more.
        rows: that were drawn.
        seen: they are from what the model was trained on, where calibration and errors look better than they are.
        seed: of the draws.
        results: of the tests, in the suite's order.
        details: the results with the rows that answered worst, as JSON.
    """

    certificate: str
    suite: str
    about: str
    model: str
    on: str = ""
    digest: str
    ok: bool
    issued: float
    expires: float
    rows: int
    seen: bool = False
    seed: int
    results: tuple[Result, ...]
    details: FileRef

    @property
    def facts(self) -> dict[str, Fact]:
        """What it publishes about the model; `standing` says which of several certificates counts."""
        facts: dict[str, Fact] = {
            "stability.ok": self.ok,
            "stability.expires": self.expires,
            "stability.failed": self.count("failed", "broken"),
            f"stability.{self.suite}.ok": self.ok,
            f"stability.{self.suite}.expires": self.expires,
        }
        for result in self.results:
            if result.outcome != "skipped":
                facts[f"stability.{self.suite}.{result.test}.ok"] = not result.bad
            if result.value is not None:
                facts[f"stability.{self.suite}.{result.test}"] = result.value
        return facts

    def count(self, *outcomes: str) -> int:
        """How many tests came to one of these outcomes."""
        return sum(result.outcome in outcomes for result in self.results)


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate as the catalog answers it.

    Attributes:
        made: what its event says.
        actor: who tried the model, `user@host`.
        at: seconds since the epoch when it was recorded.
        stamp: the total order of concurrent certificates.
    """

    made: Certified
    actor: str
    at: float
    stamp: str

    @property
    def id(self) -> str:
        return self.made.certificate

    @property
    def subject(self) -> str:
        """`stability:id`, as it stands in edges."""
        return f"stability:{self.made.certificate}"

    def expired(self, moment: float) -> bool:
        """Whether it counts no more at a moment (seconds since the epoch)."""
        return moment >= self.made.expires


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """A row that answered worst.

    Attributes:
        row: its place among the rows that were asked.
        moved: how far its answer moved, in the test's unit.
        given: the columns that were changed, as they were.
        changed: the same, as they were asked.
        before: the answer to what was given.
        after: the answer to what was changed.
        what: which of several changes it was, such as a factor or a version.
    """

    row: int
    moved: float
    given: dict[str, str | int | float | bool | None] = {}
    changed: dict[str, str | int | float | bool | None] = {}
    before: str = ""
    after: str = ""
    what: str = ""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A group of rows beside all others, as a fairness test found it.

    Attributes:
        group: such as `origin=JFK`, or `origin=JFK, carrier=UA`.
        rows: in it that the measure counts.
        value: of the measure in the group.
        others: of the measure in all other rows.
        gap: value minus others.
        low: lower end of the gap's interval, corrected for the number of groups.
        high: upper end of it.
        judged: it has rows enough.
    """

    group: str
    rows: int
    value: float | None
    others: float | None
    gap: float | None
    low: float | None = None
    high: float | None = None
    judged: bool = True


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A result with what stands behind it; one entry of a certificate's details.

    Attributes:
        result: as the event says it.
        witnesses: the rows that answered worst.
        groups: of a fairness test.
        lines: further numbers, by name.
        trouble: what the model said when it could not be asked, without credentials.
    """

    result: Result
    witnesses: tuple[Witness, ...] = ()
    groups: tuple[Group, ...] = ()
    lines: dict[str, float] = {}
    trouble: str = ""


class StabilityDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The blob of a certificate."""

    tests: tuple[Found, ...]
