"""What is said of rows that were erased: how many each version lost, and that somebody was forgotten."""

import msgspec

from charkh.core.files import FileRef

ROWS_ERASED_KIND = "dataset.rows_erased/1"
FORGOTTEN_KIND = "dataset.forgotten/1"


class RowsErased(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `dataset.rows_erased/1`: a version shows fewer rows than its event says.

    Attributes:
        forgetting: id of the forgetting that erased them.
        version: id of the version.
        rows: how many rows it lost by it.
        files: in how many of its files.
    """

    forgetting: str
    version: str
    rows: int
    files: int


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `dataset.forgotten/1`: a person's rows were erased; nothing in it says whose.

    Attributes:
        forgetting: id, which is the subject's id.
        selector: hash of the selection under a key that never leaves the store.
        reason: why, in a sentence.
        rows: rows that were erased, each file counted once.
        files: contents that were replaced.
        versions: dataset versions that show fewer rows.
        report: what was erased and what was not reached, as JSON in the vault.
    """

    forgetting: str
    selector: str
    reason: str
    rows: int
    files: int
    versions: int
    report: FileRef


class Erasing(msgspec.Struct, frozen=True, kw_only=True):
    """What a version lost by one forgetting, as the catalog answers it."""

    lost: RowsErased
    actor: str
    at: float


class Forgetting(msgspec.Struct, frozen=True, kw_only=True):
    """A forgetting as the catalog answers it."""

    made: Forgotten
    actor: str
    at: float

    @property
    def subject(self) -> str:
        """`forgetting:ID`, as it stands in edges."""
        return f"forgetting:{self.made.forgetting}"
