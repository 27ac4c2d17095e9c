"""`charkh dataset diff`: what differs between two versions, by files or by rows and cells."""

from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import to_builtins

from charkh.cli.dataset_arguments import Key, Limit, Output, Ref, columns_in
from charkh.cli.opening import open_workspace
from charkh.cli.output import (
    AsJson,
    shown_count,
    shown_size,
    write_json,
    write_line,
    write_pairs,
    write_table,
)
from charkh.cli.titles import title_of
from charkh.core.errors import Invalid
from charkh.datasets.diff import FilesDiff, diff_files
from charkh.datasets.find import find

if TYPE_CHECKING:
    from charkh.datasets.row_diff import RowDiffSummary


def diff(
    old: Ref,
    new: Ref,
    rows: Annotated[
        bool, typer.Option("--rows", help="Compare rows instead of files; a key is looked for where none is named.")
    ] = False,
    key: Key = "",
    keyless: Annotated[
        bool, typer.Option("--keyless", help="Compare rows whole, whatever could be a key; implies --rows.")
    ] = False,
    added: Annotated[bool, typer.Option("--added", help="Write the added rows to OUTPUT; implies --rows.")] = False,
    removed: Annotated[bool, typer.Option("--removed", help="Write the removed rows to OUTPUT.")] = False,
    changed: Annotated[bool, typer.Option("--changed", help="Write the changed cells to OUTPUT.")] = False,
    output: Output = None,
    limit: Limit = 5,
    json: AsJson = False,
) -> None:
    """Show what differs between two versions: files, or rows and cells."""
    parts = added + removed + changed
    if (parts != 1) if output is not None else parts:
        raise Invalid(
            "one of --added, --removed and --changed says what goes to --output",
            code="dataset.diff_output",
            hint="Write for example: --added -o new.parquet",
        )
    if key and keyless:
        raise Invalid("--key and --keyless say two things", code="dataset.diff_key", hint="Leave one of them out.")
    with open_workspace() as workspace:
        store = workspace.store
        before, after = find(store, old), find(store, new)
        if not (rows or key or keyless or output):
            files = diff_files(store, before, after)
            if json:
                write_json(files)
            else:
                _write_files_diff(files)
            return
        # Polars is loaded where rows are compared alone: files are compared in half the time.
        from charkh.datasets.export import write_rows
        from charkh.datasets.version_diff import diff_versions

        found = diff_versions(
            store,
            before,
            after,
            key=columns_in(key),
            guess=not keyless,
            cache=workspace.table_cache,
            scratch=workspace.scratch,
        )
        summary, told = found.summary(limit), ""
        titles = [title_of(store, each.subject) for each in (before, after)]
        if output is not None:
            write_rows(found.added if added else found.removed if removed else found.changed_cells(), output)
            count = summary.added if added else summary.removed if removed else sum(summary.cells.values())
            told = f"{shown_count(count, 'changed cell' if changed else 'row')} written to {output}"
    if json:
        write_json({**to_builtins(summary), "append_only": summary.append_only})
    elif output is not None:
        write_line(told)
    else:
        _write_row_diff(summary, " → ".join(titles))


def _write_files_diff(diff: FilesDiff) -> None:
    lines = [
        *(("added", each.path, shown_size(each.file.size)) for each in diff.added),
        *(("removed", each.path, shown_size(each.file.size)) for each in diff.removed),
        *(
            ("changed", each.path, f"{shown_size(each.old.size)} → {shown_size(each.new.size)}")
            for each in diff.changed
        ),
        *(("renamed", f"{each.old} → {each.new}", shown_size(each.file.size)) for each in diff.renamed),
    ]
    write_table(["", "file", "size"], lines, empty="no file differs")


def _write_row_diff(summary: "RowDiffSummary", title: str) -> None:
    schema = summary.schema
    write_pairs(
        [
            ("versions", title),
            ("key", _said_key(summary)),
            ("added", shown_count(summary.added, "row")),
            ("removed", shown_count(summary.removed, "row")),
            *((("changed", shown_count(summary.changed, "row")),) if summary.key else ()),
            ("unchanged", _said_unchanged(summary)),
            *((("append only", "yes: the new version is the old one and more rows"),) if _only_more(summary) else ()),
            *((("new columns", schema.added),) if schema.added else ()),
            *((("columns gone", schema.removed),) if schema.removed else ()),
            *((f"name of {each.old}", f"{each.old} → {each.new}, the cells are equal") for each in schema.renamed),
            *((f"type of {each.name}", f"{each.old} → {each.new}") for each in schema.retyped),
            *((f"cells of {name}", f"{count:,} changed") for name, count in summary.cells.items()),
        ]
    )
    for what, sample, total in [
        ("added", summary.added_sample, summary.added),
        ("removed", summary.removed_sample, summary.removed),
        ("changed cells", summary.changed_sample, sum(summary.cells.values())),
    ]:
        if sample:
            write_line()
            write_line(f"{what}{f', the first {len(sample)} of {total:,}' if total > len(sample) else ''}:")
            write_table(list(sample[0]), [list(row.values()) for row in sample])


def _said_key(summary: "RowDiffSummary") -> str:
    named = ", ".join(summary.key)
    if summary.guessed:
        return f"{named} (guessed: no gap and no value twice in both versions; --key or --keyless says otherwise)"
    if not named and _only_more(summary) and summary.unread:
        return "none needed"
    return named or "none: rows are compared whole"


def _said_unchanged(summary: "RowDiffSummary") -> str:
    unread = f", {summary.unread:,} of them not read: what holds them is equal" if summary.unread else ""
    return f"{shown_count(summary.unchanged, 'row')}{unread}"


def _only_more(summary: "RowDiffSummary") -> bool:
    return summary.append_only and summary.added > 0
