"""`charkh dataset rows` and `blame`: the rows of a version without a checkout, and which addition brought them."""

import sys
from typing import Annotated

import typer

from charkh.cli.dataset_arguments import Output, Ref, columns_in
from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_count, shown_time, write_json, write_line, write_note, write_table
from charkh.datasets.find import find

SHOWN = 50
"""Runs of rows that are listed."""
Where = Annotated[
    str, typer.Option("--where", help="Only rows that meet a condition, such as: delay > 60 and origin == 'JFK'.")
]
Columns = Annotated[str, typer.Option("--columns", help="Only these columns, such as a,b.")]


def rows(
    dataset: Ref,
    where: Where = "",
    batch: Annotated[
        str, typer.Option("--batch", help="Only rows that this addition brought: a version's number, or a batch's id.")
    ] = "",
    with_batch: Annotated[
        bool, typer.Option("--with-batch", help="One more column, _batch: the version that brought the row.")
    ] = False,
    columns: Columns = "",
    limit: Annotated[
        int | None, typer.Option("--limit", min=0, help="At most so many rows; 20 by default, all with --output.")
    ] = None,
    output: Output = None,
    json: AsJson = False,
) -> None:
    """Show the rows of a table, or write them out: all, those of a batch, those that meet a condition."""
    # Polars is loaded by the verbs that read tables alone.
    from charkh.datasets.batches import BATCH, scan_batches
    from charkh.datasets.blame import rows_where
    from charkh.datasets.export import write_rows
    from charkh.datasets.read import collect_table, scan_table
    from charkh.datasets.row_diff import rows_as_text

    with open_workspace() as workspace:
        version = find(workspace.store, dataset)
        chosen = columns_in(columns)
        marked = with_batch or BATCH in chosen
        if batch or marked:
            table = scan_batches(workspace.store, version, batch=batch, cache=workspace.table_cache)
        else:
            table = scan_table(workspace.store, version, cache=workspace.table_cache)
        if chosen and with_batch and BATCH not in chosen:
            chosen.append(BATCH)
        bound = 20 if limit is None and output is None else limit
        found = rows_where(table, where=where, columns=chosen, limit=bound)
        if batch and not marked:
            found = found.drop(BATCH, strict=False)
        if output is not None:
            write_rows(found, output)
            write_note(f"written to {output}")
            return
        shown = collect_table(version, found)
    if json:
        write_json(rows_as_text(shown))
        return
    write_table(shown.columns, [list(row.values()) for row in rows_as_text(shown)], empty="no row meets that")
    if limit is None and shown.height == bound and sys.stdout.isatty():
        write_note(f"the first {shown_count(shown.height, 'row')}; --limit shows more, --output writes all")


def blame(
    dataset: Ref,
    where: Where,
    columns: Columns = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many rows.")] = 20,
    json: AsJson = False,
) -> None:
    """Say of rows which file they stand in, and who added them when: `--where "id == 17"`."""
    # Polars is loaded by the verbs that read tables alone.
    from charkh.datasets.blame import blame as blame_rows

    with open_workspace() as workspace:
        version = find(workspace.store, dataset)
        found = blame_rows(
            workspace.store,
            version,
            where,
            columns=columns_in(columns),
            limit=limit,
            cache=workspace.table_cache,
        )
    if json:
        write_json(found)
        return
    cells = list(found[0].cells) if found else []
    write_table(
        ["row", "file", "row of file", "batch", "added by", "added", "message", *cells],
        [
            [
                each.row,
                each.file,
                each.row_of_file,
                each.batch,
                each.actor,
                shown_time(each.created),
                each.message,
                *each.cells.values(),
            ]
            for each in found
        ],
        empty="no row meets that",
    )


def write_batches(dataset: str, *, json: bool) -> None:
    """The additions that the rows of a version came with."""
    from charkh.datasets.batches import batches

    with open_workspace() as workspace:
        version = find(workspace.store, dataset)
        found = batches(workspace.store, version, cache=workspace.table_cache)
    if json:
        write_json(found)
        return
    write_line(f"{shown_count(version.made.rows or 0, 'row')} of {version.ref} came with:")
    write_table(
        ["batch", "rows", "files", "added by", "added", "sources", "message", "id"],
        [
            [
                each.ref,
                each.rows,
                each.files,
                each.version.actor,
                shown_time(each.version.created),
                each.version.made.sources,
                each.version.made.message,
                each.version.made.batch.id,
            ]
            for each in found
        ],
    )


def write_batch(dataset: str, batch: str, head: int, *, json: bool) -> None:
    """The files and rows of a version that one addition brought."""
    from charkh.datasets.batches import BATCH, batch_rows, find_batch, scan_batches
    from charkh.datasets.read import collect_table
    from charkh.datasets.row_diff import rows_as_text

    with open_workspace() as workspace:
        version = find(workspace.store, dataset)
        told = batch_rows(workspace.store, version, cache=workspace.table_cache)
        meant = find_batch(workspace.store, version, told, batch)
        lazy = scan_batches(workspace.store, version, batch=meant.id, cache=workspace.table_cache).drop(BATCH)
        shown = rows_as_text(collect_table(version, lazy.head(head))) if head else ()
    parts = [rows for rows in told if rows.version.id == meant.id]
    if json:
        files = [{"path": each.path, "first": each.first + 1, "last": each.past} for each in parts]
        write_json({"batch": meant, "files": files, "rows": shown if head else None})
        return
    count = sum(each.past - each.first for each in parts)
    write_line(f"{shown_count(count, 'row')} of {version.ref} came with {meant.ref}, added by {meant.actor}")
    write_table(
        ["file", "first row", "last row", "rows"],
        [[each.path, each.first + 1, each.past, each.past - each.first] for each in parts[:SHOWN]],
    )
    if len(parts) > SHOWN:
        write_note(f"the first {SHOWN} of {len(parts):,} runs of rows; --json lists all")
    if shown:
        write_line()
        write_table(list(shown[0]), [list(row.values()) for row in shown])
