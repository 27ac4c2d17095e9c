"""`charkh dataset merge`: one version of what two colleagues made apart, conflicts shown and decided on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charkh.cli.dataset_arguments import Key, Ref, columns_in
from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_count, write_json, write_line, write_note, write_pairs, write_table
from charkh.core.errors import Conflict, Invalid
from charkh.datasets.find import find

if TYPE_CHECKING:
    from charkh.datasets.merge import MergeResult

SHOWN = 20
"""Conflicts that are printed."""


def merge(
    ours: Ref,
    theirs: Ref,
    key: Key = "",
    keyless: Annotated[bool, typer.Option("--keyless", help="Count equal rows, whatever could be a key.")] = False,
    base: Annotated[
        str,
        typer.Option("--base", help="What both are compared with; the version that both were made from by default."),
    ] = "",
    take: Annotated[str, typer.Option("--take", help="Decide every conflict: ours or theirs.")] = "",
    resolved: Annotated[
        Path | None, typer.Option("--resolved", help="The conflicts, as -o wrote them, with `take` filled in.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the conflicts to a CSV file.")] = None,
    message: Annotated[str, typer.Option("--message", "-m", help="What a person should know, in a sentence.")] = "",
    json: AsJson = False,
) -> None:
    """Merge two versions that were made apart, row by row and cell by cell; exit code 14 when conflicts are left."""
    if take not in {"", "ours", "theirs"}:
        raise Invalid(f"--take {take}", code="merge.take", hint="Write --take ours or --take theirs.")
    if key and keyless:
        raise Invalid("--key and --keyless say two things", code="merge.key", hint="Leave one of them out.")
    # Polars is loaded by the verbs that read tables alone.
    from charkh.datasets.export import write_rows
    from charkh.datasets.merge import merge as merge_versions
    from charkh.datasets.merge_conflicts import Resolutions, read_resolutions

    decided = read_resolutions(resolved, take) if resolved is not None else Resolutions(take=take)
    with open_workspace() as workspace:
        store = workspace.store
        result = merge_versions(
            store,
            find(store, ours),
            find(store, theirs),
            base=find(store, base) if base else None,
            key=() if keyless else columns_in(key) or None,
            decided=decided,
            message=message,
            cache=workspace.table_cache,
        )
    if output is not None and result.conflicts.height:
        write_rows(result.conflicts, output)
    if json:
        write_json(_as_json(result))
    else:
        _write(result)
    if result.conflicts.height:
        written = f"fill in `take` in {output} and give it back: --resolved {output}" if output else ""
        raise Conflict(
            f"{shown_count(result.conflicts.height, 'conflict')} to decide on; nothing was made",
            code="merge.conflicts",
            hint=written or "Write them out with -o conflicts.csv, or decide all with --take ours or --take theirs.",
        )


def _write(result: "MergeResult") -> None:
    version = result.version
    if version is not None and result.outcome == "there already":
        write_line(f"{version.ref} has both in it already")
        return
    made = None if version is None else version.made
    write_pairs(
        [
            *((("merged", version.ref),) if version else ()),
            *(
                (("content", f"{made.rows:,} rows" if made.rows is not None else f"{made.tree.files} files"),)
                if made
                else ()
            ),
            *((("made from", result.base.ref),) if result.base else ()),
            *((("key", f"{', '.join(result.key)}{' (guessed)' if result.guessed else ''}"),) if result.key else ()),
            *((("message", made.message),) if made else ()),
        ]
    )
    if result.conflicts.height:
        lines = result.conflicts.head(SHOWN)
        write_line()
        write_table(lines.columns[:-2], [list(row[:-2]) for row in lines.rows()])
        if result.conflicts.height > SHOWN:
            write_note(f"the first {SHOWN} of {result.conflicts.height:,}")


def _as_json(result: "MergeResult") -> dict[str, object]:
    return {
        "outcome": result.outcome,
        "version": result.version,
        "base": None if result.base is None else result.base.ref,
        "key": result.key,
        "guessed": result.guessed,
        "conflicts": result.conflicts.rows(named=True),
    }
