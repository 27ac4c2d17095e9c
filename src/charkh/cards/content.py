"""What a dataset's card says of its content: columns as the profile has them, and how the dataset grew. Pure data."""

import msgspec


class ColumnLine(msgspec.Struct, frozen=True, kw_only=True):
    """One column: no value of a text stands here, because it may be personal."""

    name: str
    dtype: str
    missing: str
    distinct: str
    span: str


class VersionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the dataset, up to the one that the card is about."""

    ref: str
    made: str
    rows: str
    what: str


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What the dataset holds.

    Attributes:
        columns: the first 200; none where it is no table.
        versions: the newest 20 up to the card's own, newest first.
        size: Hugging Face's category of its size, or empty.
    """

    columns: tuple[ColumnLine, ...]
    versions: tuple[VersionLine, ...]
    size: str
