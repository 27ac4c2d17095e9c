"""The noun: what the columns of a table hold, as sketches (docs/formats/profiles.md). No I/O."""

from typing import Literal

import msgspec

from charkh.core.errors import Corrupt
from charkh.datasets.profile.distinct import Distinct
from charkh.datasets.profile.histogram import Histogram
from charkh.datasets.profile.moments import Moments
from charkh.datasets.profile.top import Top

FORMAT = 1
MOST_TEXTS = 256
MOST_SHAPES = 64

ProfileKind = Literal["integer", "number", "time", "text", "boolean", "other"]


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one column holds.

    Attributes:
        name: of the column.
        dtype: its Polars type, as text.
        kind: what was counted: numbers and times have moments and a histogram, texts and truth values the most common.
        rows: all of them.
        missing: rows without a value; NaN is none.
        infinite: numbers that are not finite; they are in no moments and in no histogram.
        zeros: numbers that are 0.
        negative: numbers below 0.
        moments: of the numbers; of times, in microseconds since the epoch.
        histogram: of the same.
        distinct: the different values.
        texts: the most common.
        lengths: of the texts, in characters.
        shapes: of the texts, `Aaa-999`: capital and small letters, digits, and all else as it is.
    """

    name: str
    dtype: str
    kind: ProfileKind
    rows: int
    missing: int = 0
    infinite: int = 0
    zeros: int = 0
    negative: int = 0
    moments: Moments = Moments()
    histogram: Histogram = Histogram()
    distinct: Distinct = Distinct()
    texts: Top = Top()
    lengths: Moments = Moments()
    shapes: Top = Top()

    @property
    def known(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def missing_share(self) -> float:
        return self.missing / self.rows if self.rows else 0.0


class TableProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What a table holds.

    Attributes:
        format: of these bytes.
        rows: how many.
        columns: in the table's order.
    """

    rows: int
    columns: tuple[ColumnProfile, ...]
    format: int = FORMAT

    def column(self, name: str) -> ColumnProfile | None:
        """The column of this name, or None."""
        return next((each for each in self.columns if each.name == name), None)


def encode_profile(profile: TableProfile) -> bytes:
    """The bytes of a profile (MessagePack); equal profiles have equal bytes."""
    return msgspec.msgpack.encode(profile)


def decode_profile(data: bytes) -> TableProfile:
    """The profile in bytes.

    Raises:
        Corrupt: they are no profile, or one of a later charkh.
    """
    try:
        profile = msgspec.msgpack.decode(data, type=TableProfile)
    except msgspec.MsgspecError as error:
        raise Corrupt(
            f"these bytes are no profile: {error}", code="profile.unreadable", hint="Profile the dataset again."
        ) from error
    if profile.format != FORMAT:
        raise Corrupt(
            f"the profile is in format {profile.format}, this charkh reads {FORMAT}",
            code="profile.format",
            hint="Upgrade with: pip install --upgrade charkh",
        )
    return profile
