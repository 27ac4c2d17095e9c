"""Sketch a table batch by batch: the reference in two passes (a sample for the edges, then counts), live in one."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec
import polars as pl

from charkh.core.errors import Corrupt
from charkh.datasets.dtypes import dtype_text
from charkh.monitors.sketches.categories import CategoryCounter, CategorySketch
from charkh.monitors.sketches.numbers import NumberCounter, NumberSketch, edges_of, emptied_numbers, empty_numbers

FORMAT = 1
SAMPLE = 1 << 17
"""Rows of the reference at most from which the edges are taken; fewer rows are taken whole."""
BATCH = 1 << 16
"""Rows of a lazy table that are read at once; Polars reads some batches ahead."""
SLICE = 1 << 17
"""Rows that are read at once of what can be sliced for nothing, a Parquet file."""
HELD = 1 << 19
"""Rows that are counted at once of a frame, which is in memory already."""
_THREADS = os.cpu_count() or 1

Batches = Callable[[], Iterable[pl.DataFrame]]
"""A table that can be read from its beginning as often as it is asked for, in batches of the same columns."""


class ColumnSketch(msgspec.Struct, frozen=True, kw_only=True):
    """One column.

    Attributes:
        name: of the column.
        dtype: its Polars type, as text.
        kind: `number`, `time`, `category`, `anything` (only nulls), or empty: then only rows and gaps are counted.
        rows: all rows.
        missing: rows without a value.
        numbers: of a number or time.
        categories: of categories and truth values.
    """

    name: str
    dtype: str
    kind: str
    rows: int = 0
    missing: int = 0
    numbers: NumberSketch | None = None
    categories: CategorySketch | None = None


class TableSketch(msgspec.Struct, frozen=True, kw_only=True):
    """A table.

    Attributes:
        rows: how many.
        columns: in the table's order.
        odd: score above which a row is odd (`charkh.monitors.odd`); None of live rows and of small references.
        format: of these bytes.
    """

    rows: int
    columns: tuple[ColumnSketch, ...]
    odd: float | None = None
    format: int = FORMAT

    def column(self, name: str) -> ColumnSketch | None:
        """The column of this name, or None."""
        return next((each for each in self.columns if each.name == name), None)


def sketch_reference(batches: Batches) -> TableSketch:
    """The sketch of a reference, read twice."""
    sample = sample_of(batch.select(_with_edges(batch)) for batch in batches())
    with ThreadPoolExecutor(_THREADS) as threads:
        starts = {each.name: each for each in threads.map(_start, sample.get_columns())}
    return _counted(batches(), starts, {})


def sketch_live(batches: Iterable[pl.DataFrame], reference: TableSketch) -> TableSketch:
    """The sketch of live rows over the edges of a reference, read once; columns that it lacks are only named."""
    known = {each.name: each for each in reference.columns}
    return _counted(batches, {name: _emptied(each) for name, each in known.items()}, known)


def batches_of(table: pl.DataFrame | pl.LazyFrame) -> Batches:
    """A table in batches: a frame in memory in slices, which costs nothing, a lazy one as it is read."""
    if isinstance(table, pl.DataFrame):
        return lambda: table.iter_slices(HELD) if table.height else iter([table])
    return lambda: _collected(table)


def sample_of(batches: Iterable[pl.DataFrame], most: int = SAMPLE) -> pl.DataFrame:
    """At most so many rows, evenly over all of them: every k-th, with k doubled whenever they become too many."""
    kept, step, before = list[pl.DataFrame](), 1, 0
    for batch in batches:
        kept.append(batch.gather_every(step, -before % step))
        before += batch.height
        while sum(each.height for each in kept) > most:
            step *= 2
            kept = [pl.concat(kept).gather_every(2)]
    return pl.concat(kept) if kept else pl.DataFrame()


def encode_sketch(sketch: TableSketch) -> bytes:
    """The bytes of a sketch (MessagePack)."""
    return msgspec.msgpack.encode(sketch)


def decode_sketch(data: bytes) -> TableSketch:
    """The sketch in bytes.

    Raises:
        Corrupt: they are no sketch, or one of a later charkh.
    """
    try:
        sketch = msgspec.msgpack.decode(data, type=TableSketch)
    except msgspec.MsgspecError as error:
        raise Corrupt(
            f"these bytes are no sketch of a table: {error}",
            code="monitor.sketch",
            hint="Collect the monitor again: the sketch of its reference is then made anew.",
        ) from error
    if sketch.format != FORMAT:
        raise Corrupt(
            f"the sketch is in format {sketch.format}, this charkh reads {FORMAT}",
            code="monitor.sketch",
            hint="Upgrade with: pip install --upgrade charkh",
        )
    return sketch


def kind_of(dtype: pl.DataType) -> str:
    """What of a column can be compared: `number`, `time`, `category`, `anything`, or nothing."""
    if dtype.is_numeric():
        return "number"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Boolean):
        return "category"
    if dtype.is_temporal():
        return "time"
    return "anything" if isinstance(dtype, pl.Null) else ""


class _Counter:
    """One column being counted."""

    def __init__(self, start: ColumnSketch, reference: ColumnSketch | None) -> None:
        self._start = start
        self._rows, self._missing = start.rows, start.missing
        self._numbers = self._categories = None
        if start.numbers is not None:
            self._numbers = NumberCounter(start.numbers, reference.numbers if reference is not None else None)
        if start.kind == "category":
            self._categories = CategoryCounter(start.categories)

    def add(self, column: pl.Series) -> None:
        self._rows += len(column)
        if self._numbers is not None:
            self._numbers.add(column)
        elif self._categories is not None:
            self._categories.add(column)
        else:
            self._missing += column.null_count()

    def done(self) -> ColumnSketch:
        numbers = self._numbers.done() if self._numbers is not None else None
        categories = self._categories.done() if self._categories is not None else None
        counted = numbers or categories
        return msgspec.structs.replace(
            self._start,
            rows=self._rows,
            missing=self._missing if counted is None else counted.missing,
            numbers=numbers,
            categories=categories,
        )


def _counted(
    batches: Iterable[pl.DataFrame], starts: Mapping[str, ColumnSketch], reference: Mapping[str, ColumnSketch]
) -> TableSketch:
    counters: dict[str, _Counter] | None = None
    rows = 0
    with ThreadPoolExecutor(_THREADS) as threads:
        for batch in batches:
            if counters is None:
                counters = {
                    name: _Counter(_fitting(column, starts.get(name)), reference.get(name))
                    for name, column in _series(batch).items()
                }
            rows += batch.height
            # Sorting and grouping release Python's lock: the columns of a batch share the processors.
            list(threads.map(_add, [counters[name] for name in batch.columns], batch.get_columns()))
    return TableSketch(rows=rows, columns=tuple(counter.done() for counter in (counters or {}).values()))


def _with_edges(batch: pl.DataFrame) -> list[str]:
    return [name for name, dtype in batch.schema.items() if kind_of(dtype) in {"number", "time"}]


def _add(counter: _Counter, column: pl.Series) -> None:
    counter.add(column)


def _series(frame: pl.DataFrame) -> dict[str, pl.Series]:
    return {column.name: column for column in frame.get_columns()}


def _start(sample: pl.Series) -> ColumnSketch:
    """Nothing counted yet of a column of a reference of which this is a sample."""
    kind = kind_of(sample.dtype)
    numbers = empty_numbers(edges_of(sample)) if kind in {"number", "time"} else None
    return ColumnSketch(name=sample.name, dtype=dtype_text(sample.dtype), kind=kind, numbers=numbers)


def _emptied(column: ColumnSketch) -> ColumnSketch:
    """Nothing counted yet over the edges of this one."""
    numbers = None if column.numbers is None else emptied_numbers(column.numbers)
    return msgspec.structs.replace(column, rows=0, missing=0, numbers=numbers, categories=None)


def _fitting(column: pl.Series, start: ColumnSketch | None) -> ColumnSketch:
    """What a column of this type is counted from: a number that became a text has no edges to be counted between."""
    if start is not None and start.kind == kind_of(column.dtype):
        return msgspec.structs.replace(start, dtype=dtype_text(column.dtype))
    return msgspec.structs.replace(_start(column.clear()), kind=kind_of(column.dtype))


def _collected(lazy: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    any_rows = False
    read = _sliced(lazy) if _can_be_sliced(lazy) else lazy.collect_batches(chunk_size=BATCH, maintain_order=True)
    for batch in read:
        any_rows = True
        yield batch
    if not any_rows:
        yield pl.DataFrame(schema=lazy.collect_schema())


def _sliced(lazy: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Slice by slice: Polars reads a hundred groups of rows ahead otherwise, which is most of a table in memory."""
    begin = 0
    while (batch := lazy.slice(begin, SLICE).collect(engine="streaming")).height:
        begin += batch.height
        yield batch


def _can_be_sliced(lazy: pl.LazyFrame) -> bool:
    """Whether all rows come from Parquet, and a slice is taken by the reader, which skips what lies before it."""
    plan = lazy.slice(1, 1).explain()
    return "Parquet SCAN" in plan and not any(other in plan for other in ("Csv SCAN", "NDJson", "SLICE["))
