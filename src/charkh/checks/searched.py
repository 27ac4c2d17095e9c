"""The noun: one search for trouble in a table, as its event and the catalog tell it. Pure data, no I/O."""

import msgspec

from charkh.core.files import FileRef

SEARCHED_KIND = "check.searched/1"
MAX_FINDINGS = 200


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One finding without values of rows, which may be personal.

    Attributes:
        kind: of the trouble (`charkh.checks.trouble.trouble.KINDS`).
        columns: that it is about.
        rows: how many rows it is about.
    """

    kind: str
    columns: tuple[str, ...]
    rows: int


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `check.searched/1`.

    Attributes:
        search: id of this search, which is the subject's id.
        about: subject that was looked through, such as `dataset:ID`; empty when it is none.
        rows: that were looked at.
        kinds: of trouble that were looked for.
        findings: the first `MAX_FINDINGS`.
        document: all of them as JSON in the vault.
        quarantine: id of the dataset version that holds the rows that were set aside, or empty.
    """

    search: str
    about: str
    rows: int
    kinds: tuple[str, ...]
    findings: tuple[Found, ...]
    document: FileRef
    quarantine: str = ""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A search as the catalog answers it.

    Attributes:
        searched: what its event says.
        actor: who searched, `user@host`.
        at: seconds since the epoch.
        stamp: the total order of concurrent searches.
    """

    searched: Searched
    actor: str
    at: float
    stamp: str

    @property
    def id(self) -> str:
        return self.searched.search

    @property
    def subject(self) -> str:
        """`search:id`, as it stands in edges."""
        return f"search:{self.searched.search}"
