"""The noun: one check of a table, as its event and the catalog tell it. Pure data, no I/O."""

import msgspec

from charkh.core.files import FileRef

RAN_KIND = "check.ran/1"
MAX_COUNTS = 200
MAX_REASON = 200


class RuleCount(msgspec.Struct, frozen=True, kw_only=True):
    """How one rule went: without values of rows, which may be personal.

    Attributes:
        rule: its id.
        check: its kind.
        severity: of the rule.
        status: what it came to (`charkh.checks.result.Outcome`).
        failed: rows that fail it.
        reason: what the suite says about them, shortened.
    """

    rule: str
    check: str
    severity: str
    status: str
    failed: int = 0
    reason: str = ""


class CheckRan(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `check.ran/1`.

    Attributes:
        name: of the suite, as people call it.
        check: id of this check, which is the subject's id.
        about: subject that was checked, such as `dataset:ID`; empty when it is none.
        suite: digest of the suite's content.
        document: the suite as TOML in the vault.
        rules: how many outcomes there were.
        counts: of the first `MAX_COUNTS`, those that did not pass first.
        rows: that were looked at.
        failed_rows: that were set aside.
        ok: the rest can be used.
        quarantine: id of the dataset version that holds the rows that were set aside, or empty.
    """

    name: str
    check: str
    about: str
    suite: str
    document: FileRef
    rules: int
    counts: tuple[RuleCount, ...]
    rows: int
    failed_rows: int
    ok: bool
    quarantine: str = ""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A check as the catalog answers it.

    Attributes:
        ran: what its event says.
        actor: who ran it, `user@host`.
        at: seconds since the epoch.
        stamp: the total order of concurrent checks.
    """

    ran: CheckRan
    actor: str
    at: float
    stamp: str

    @property
    def id(self) -> str:
        return self.ran.check

    @property
    def subject(self) -> str:
        """`check:id`, as it stands in edges."""
        return f"check:{self.ran.check}"
