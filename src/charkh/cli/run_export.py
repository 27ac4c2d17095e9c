"""`charkh run export`: runs as a table in a file."""

from pathlib import Path
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_count, write_json, write_note
from charkh.cli.run_refs import Order, Where
from charkh.core.errors import Invalid


def export(
    text: Where = "",
    out: Annotated[Path, typer.Option("--out", "-o", help="A .parquet or .csv file.")] = Path("runs.parquet"),
    order: Order = "",
    history: Annotated[
        bool, typer.Option("--metrics-history", help="Every point of every metric instead of one row a run.")
    ] = False,
    metric: Annotated[str, typer.Option("--metric", help="With --metrics-history, only these, by commas.")] = "",
    json: AsJson = False,
) -> None:
    """Write the runs that meet a search into a Parquet or CSV file, with a column for each param, metric and tag."""
    if out.suffix not in {".parquet", ".csv"}:
        raise Invalid(
            f"{out} is neither a .parquet nor a .csv file", code="run.export", hint="Write e.g. -o runs.parquet."
        )
    # Here, because Polars takes longer to load than a search that prints.
    from charkh.runs.frames import MOST_RUNS, history_frame, runs_frame
    from charkh.runs.search import search

    with open_workspace() as workspace:
        if history:
            runs = [run.id for run in search(workspace.store, text, order=order, limit=MOST_RUNS)]
            frame = history_frame(workspace.store, runs, [each.strip() for each in metric.split(",") if each.strip()])
        else:
            frame = runs_frame(workspace.store, text, order=order)
    if out.suffix == ".csv":
        frame.write_csv(out)
    else:
        frame.write_parquet(out)
    if json:
        write_json({"path": str(out), "rows": frame.height, "columns": frame.columns})
        return
    write_note(f"{shown_count(frame.height, 'row')} in {out}")
