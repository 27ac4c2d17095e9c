"""Write rows out into a file that other programs read, whole or not at all."""

from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from charkh.core.errors import Invalid, Unavailable
from charkh.core.ids import new_id
from charkh.datasets.formats import format_of


def write_rows(rows: pl.DataFrame | pl.LazyFrame, path: Path) -> None:
    """Write a table as CSV, TSV, Parquet or JSON Lines, as the name of the file says; what was there is replaced.

    What is not in memory goes through it in batches.

    Raises:
        Invalid: the name says none of them, or a column has cells that the format cannot say.
        Unavailable: the folder cannot be written.
    """
    kind, lazy = format_of(path.name), rows.lazy()
    partial = path.with_name(f".charkh-{new_id()}")
    try:
        match kind:
            case "parquet":
                lazy.sink_parquet(partial)
            case "jsonl":
                lazy.sink_ndjson(partial)
            case "csv":
                lazy.sink_csv(partial, separator="\t" if path.suffix.lower() == ".tsv" else ",")
            case None:
                raise Invalid(
                    f"{path.name!r} names no format", code="dataset.export", hint="Name it *.parquet, *.csv or *.jsonl."
                )
        partial.replace(path)
    except PolarsError as error:
        raise Invalid(
            f"{path.name} cannot hold these rows: {str(error).partition(chr(10))[0]}",
            code="dataset.export",
            hint="Write Parquet, which holds every type.",
        ) from error
    except OSError as error:
        raise Unavailable(
            f"cannot write {path}: {error.strerror or error}", code="dataset.export", hint="Name another folder."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
