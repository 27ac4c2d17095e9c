"""`charkh dataset profile`: what the columns of a table hold."""

from pathlib import Path
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_line, write_note, write_table
from charkh.datasets.find import find


def profile(
    dataset: Annotated[
        str, typer.Argument(help="A version of a table: flights@3, flights (the latest) or dataset:ID.")
    ],
    html: Annotated[Path | None, typer.Option("--html", help="Write a page there.")] = None,
    json: AsJson = False,
) -> None:
    """Show what the columns hold: gaps, different values, quantiles, the most common. Appended files are read alone."""
    # Polars and NumPy are loaded by the verbs that read tables alone.
    from charkh.datasets.profile.keep import profile_of
    from charkh.datasets.profile.page import profile_page
    from charkh.datasets.profile.summary import summaries_of

    with open_workspace() as workspace:
        version = find(workspace.store, dataset)
        found = profile_of(workspace.store, version, cache=workspace.table_cache)
    columns = summaries_of(found)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(profile_page(version.ref, found.rows, columns), encoding="utf-8")
        write_note(f"written to {html}")
    if json:
        write_json({"version": version.id, "ref": version.ref, "rows": found.rows, "columns": columns})
        return
    if html is not None:
        return
    write_line(f"{version.ref}: {found.rows:,} rows of {len(columns)} columns")
    write_table(
        ["column", "type", "missing", "different", "least", "median", "greatest", "mean", "most common"],
        [
            [
                column.name,
                column.dtype,
                f"{column.missing_share:.1%}" if column.missing else "",
                f"{'' if column.distinct_exact else '~'}{column.distinct:,}" if column.kind != "other" else "",
                _shown(column.least),
                _shown(column.quantiles.get("0.5")),
                _shown(column.greatest),
                _shown(column.mean),
                ", ".join(text for text, _ in column.top[:3]),
            ]
            for column in columns
        ],
    )


def _shown(value: float | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:.6g}"
