"""`charkh sql`: one question in SQL over everything that is recorded."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_count, write_json, write_note, write_table
from charkh.core.errors import Invalid


def sql(
    text: Annotated[str, typer.Argument(help='Such as "select name, status from runs"; - reads it from stdin.')],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the answer to a .parquet or .csv file.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Ask one SELECT (DuckDB) over runs, params, metrics, points, tags, artifacts, used, datasets, models and aliases.

    points('SEARCH', 'KEY') has the points of one metric of the runs that meet a search; points alone has them all.
    Nothing can be written, and no file be read.
    """
    if out is not None and out.suffix not in {".parquet", ".csv"}:
        raise Invalid(f"{out} is neither a .parquet nor a .csv file", code="run.export", hint="Write -o answer.csv.")
    with open_workspace() as workspace:
        frame = workspace.sql(sys.stdin.read() if text == "-" else text)
    if out is not None:
        if out.suffix == ".csv":
            frame.write_csv(out)
        else:
            frame.write_parquet(out)
        write_note(f"{shown_count(frame.height, 'row')} in {out}")
    elif json:
        write_json(frame.to_dicts())
    else:
        write_table(frame.columns, frame.rows(), empty="no rows")
