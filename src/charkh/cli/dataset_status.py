"""`charkh dataset status`: what an `add` would bring."""

from pathlib import Path
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, progress, shown_count, shown_size, write_json, write_line, write_table
from charkh.datasets.find import find
from charkh.datasets.status import DatasetStatus, dataset_status


def status(
    name: Annotated[str, typer.Argument(help="The dataset's name.")],
    paths: Annotated[list[Path], typer.Argument(help="Files, and folders with everything in them.")],
    against: Annotated[str, typer.Option("--against", help="Compare with this version, not with the newest.")] = "",
    append: Annotated[bool, typer.Option("--append", help="The version's other files would stay.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=0, help="List at most so many paths of each sort.")] = 20,
    json: AsJson = False,
) -> None:
    """Show what an `add` would bring: files that are new, changed, removed or unchanged. Nothing is stored."""
    with open_workspace() as workspace, progress(f"comparing with {name}", unit="bytes") as advance:
        found = dataset_status(
            workspace.store,
            name,
            paths,
            against=find(workspace.store, against) if against else None,
            append=append,
            stats=workspace.stat_cache,
            limit=limit,
            progress=advance,
        )
    if json:
        write_json(found)
        return
    lines = [
        *(("new", path) for path in found.new_paths),
        *(("changed", path) for path in found.changed_paths),
        *(("removed", path) for path in found.removed_paths),
    ]
    if lines:
        write_table(["", "file"], lines)
    write_line(_summary(found, listed=len(lines)))


def _summary(found: DatasetStatus, listed: int) -> str:
    against = found.against or f"{found.name}, which is not there yet"
    unchanged = shown_count(found.unchanged, "file")
    if found.clean:
        return f"nothing differs from {against}: {unchanged}"
    more = found.new + found.changed + found.removed - listed
    rest = f"; {more:,} more are not listed (--limit)" if more else ""
    counts = f"{found.new:,} new, {found.changed:,} changed, {found.removed:,} removed, {found.unchanged:,} unchanged"
    return f"against {against}: {counts}; {shown_size(found.size)} to read{rest}"
