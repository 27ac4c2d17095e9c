"""What is said about data segments over an exchange."""

import msgspec

from charkh.ports.journal import DataHeader


class DataListed(msgspec.Struct, frozen=True, kw_only=True):
    """A data segment that has not been sealed yet (`charkh.ports.journal.DataSegment`)."""

    header: DataHeader
    size: int
    live: bool


class DataKnown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many records of a segment are there, or that it has been sealed, so that nothing of it is taken any more."""

    known: int
    sealed: bool = False
