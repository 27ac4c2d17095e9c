"""The profile of two tables one after the other, from their profiles alone."""

from charkh.core.errors import Invalid
from charkh.datasets.profile.distinct import merge_distinct
from charkh.datasets.profile.histogram import merge_histograms
from charkh.datasets.profile.moments import merge_moments
from charkh.datasets.profile.profile import MOST_SHAPES, MOST_TEXTS, ColumnProfile, TableProfile
from charkh.datasets.profile.top import merge_tops


def merge_profiles(first: TableProfile, second: TableProfile) -> TableProfile:
    """The profile of both tables together.

    Histograms, different values and counts come out as if the whole had been read; moments but for the last digits;
    most common texts exactly while there are no more than `MOST_TEXTS`, and within their stated bound beyond.

    Raises:
        Invalid: the tables have not the same columns of the same types.
    """
    if [_said(each) for each in first.columns] != [_said(each) for each in second.columns]:
        raise Invalid(
            "two profiles of tables with other columns cannot be merged",
            code="profile.other_columns",
            hint="Profile the whole table instead.",
        )
    columns = tuple(merge_columns(*pair) for pair in zip(first.columns, second.columns, strict=True))
    return TableProfile(rows=first.rows + second.rows, columns=columns)


def can_merge(first: TableProfile, second: TableProfile) -> bool:
    """Whether both are of tables with the same columns of the same types."""
    return [_said(each) for each in first.columns] == [_said(each) for each in second.columns]


def merge_columns(first: ColumnProfile, second: ColumnProfile) -> ColumnProfile:
    """The profile of a column that goes on in another."""
    return ColumnProfile(
        name=first.name,
        dtype=first.dtype,
        kind=first.kind,
        rows=first.rows + second.rows,
        missing=first.missing + second.missing,
        infinite=first.infinite + second.infinite,
        zeros=first.zeros + second.zeros,
        negative=first.negative + second.negative,
        moments=merge_moments(first.moments, second.moments),
        histogram=merge_histograms(first.histogram, second.histogram),
        distinct=merge_distinct(first.distinct, second.distinct),
        texts=merge_tops(first.texts, second.texts, MOST_TEXTS),
        lengths=merge_moments(first.lengths, second.lengths),
        shapes=merge_tops(first.shapes, second.shapes, MOST_SHAPES),
    )


def _said(column: ColumnProfile) -> tuple[str, str, str]:
    return column.name, column.dtype, column.kind
