"""Describe the content of a dataset version for its card: the profile of its columns, and the versions before it."""

from datetime import UTC, datetime

from charkh.cards.content import ColumnLine, Content, VersionLine
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.index import DatasetById, DatasetVersions
from charkh.datasets.profile.keep import profile_of
from charkh.datasets.profile.profile import ColumnProfile
from charkh.ports.store import Store

MAX_COLUMNS = 200
MAX_VERSIONS = 20
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""Hugging Face's categories of sizes: rows below, and what that is called; greater ones go on by tens."""


def content_of(store: Store, subject: str) -> Content | None:
    """The content of `dataset:id`; its table is profiled where it was not yet. None for a version that is gone.

    Raises:
        NotFound: its bytes are not here.
    """
    version = store.queries.ask(DatasetById(version=subject.removeprefix("dataset:")))
    if version is None or version.deleted is not None:
        return None
    columns: tuple[ColumnLine, ...] = ()
    if version.made.kind == "table":
        columns = tuple(_column(each) for each in profile_of(store, version).columns[:MAX_COLUMNS])
    made = [
        each
        for each in store.queries.ask(DatasetVersions(name=version.made.name))
        if each.made.number <= version.made.number
    ]
    return Content(
        columns=columns,
        versions=tuple(_version(each) for each in made[:MAX_VERSIONS]),
        size=_size(version.made.rows),
    )


def _column(column: ColumnProfile) -> ColumnLine:
    exact = "" if column.distinct.exact else "about "
    return ColumnLine(
        name=column.name,
        dtype=column.dtype,
        missing=f"{column.missing_share:.2%}" if column.missing else "",
        distinct=f"{exact}{column.distinct.count:,}",
        span=_span(column),
    )


def _span(column: ColumnProfile) -> str:
    moments = column.moments
    if not moments.count or column.kind not in {"integer", "number", "time"}:
        return ""
    if column.kind == "time":
        low, high = (_moment(value, column.dtype) for value in (moments.least, moments.greatest))
    else:
        low, high = f"{moments.least:g}", f"{moments.greatest:g}"
    return f"{low} to {high}"


def _moment(microseconds: float, dtype: str) -> str:
    try:
        moment = datetime.fromtimestamp(microseconds / 1e6, UTC)
    except (OverflowError, ValueError, OSError):
        return "?"
    return f"{moment:%Y-%m-%d}" if dtype == "Date" else f"{moment:%Y-%m-%d %H:%M}"


def _version(version: DatasetVersion) -> VersionLine:
    made = version.made
    what = "appended" if made.appended else "replaced" if made.parent else "first"
    return VersionLine(
        ref=version.ref,
        made=f"{datetime.fromtimestamp(version.created, UTC):%Y-%m-%d}",
        rows=f"{made.rows:,}" if made.rows is not None else "",
        what=f"{what}: {made.message}" if made.message else what,
    )


def _size(rows: int | None) -> str:
    if rows is None:
        return ""
    for below, name in SIZES:
        if rows < below:
            return name
    low, unit = 1, "M"
    while rows >= low * 10_000_000:
        low *= 10
    return f"{low}{unit}<n<{low * 10}{unit}" if low < 100 else "100M<n<1B"
