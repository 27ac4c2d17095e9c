"""The event that a version was profiled. Pure data, no I/O."""

import msgspec

from charkh.core.files import FileRef

PROFILED_KIND = "dataset.profiled/1"


class DatasetProfiled(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `dataset.profiled/1`; what the columns hold is bytes, which can be erased.

    Attributes:
        name: of the dataset.
        version: id of the version.
        rows: that were looked at.
        columns: of the table.
        profile: of the whole table.
        metrics: its numbers by name, as JSON.
        parts: profiles of the single files by digest, or None where there are too many.
    """

    name: str
    version: str
    rows: int
    columns: int
    profile: FileRef
    metrics: FileRef
    parts: FileRef | None = None

    @property
    def files(self) -> tuple[FileRef, ...]:
        """Everything that holds what rows held."""
        return (self.profile, self.metrics, *((self.parts,) if self.parts is not None else ()))


class Profiled(msgspec.Struct, frozen=True, kw_only=True):
    """A profile as the catalog answers it: what its event says, and when, in seconds since the epoch."""

    made: DatasetProfiled
    at: float
