"""`charkh run compare`: what differs between runs."""

from collections.abc import Sequence
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_line, write_table
from charkh.cli.run_refs import SHORT_ID, shown_value
from charkh.core.errors import Invalid
from charkh.runs.compare import Comparison, Row, commit_range, compare, only_differing, patch_difference


def compare_runs(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN…", help="Two or more runs.")],
    everything: Annotated[bool, typer.Option("--all", help="Also what is equal.")] = False,
    patch: Annotated[
        bool, typer.Option("--patch", help="How the uncommitted changes of the first two differ: a diff.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Show what differs between runs: params, metrics, code, environment and data.

    Behind a metric stands how far it is from the first run's.
    """
    if len(runs) < 2:
        raise Invalid("one run cannot be compared", code="run.compare", hint="Name two or more runs.")
    with open_workspace() as workspace:
        found = compare(workspace.store, runs)
        if patch:
            write_line(patch_difference(workspace.store, found.runs[0], found.runs[1]).rstrip("\n"))
            return
    families = {
        "params": found.params,
        "metrics": found.metrics,
        "code": found.code,
        "environment": found.environment,
        "data": found.data,
    }
    chosen = {name: rows if everything else only_differing(rows) for name, rows in families.items()}
    if json:
        ranges = [commit_range(found.runs[0], other) for other in found.runs[1:]]
        more = {"commits": ranges, "versions": found.versions}
        write_json({"runs": [run.id for run in found.runs], **chosen, **more})
        return
    names = [run.name for run in found.runs]
    distinct = all(names) and len({*names}) == len(names)
    heads = [run.name if distinct else f"{run.name} {run.id[:SHORT_ID]}".strip() for run in found.runs]
    rows = [[family, row.name, *_cells(row)] for family, rows in chosen.items() for row in _sorted(rows)]
    write_table(["", "name", *heads], rows, empty="nothing differs")
    _write_between(found)


def _cells(row: Row) -> list[str]:
    shown = [shown_value(value) for value in row.values]
    if not row.differs:
        return shown
    for place, (delta, percent) in enumerate(zip(row.deltas, row.percents, strict=True)):
        if place and delta:
            share = f", {percent:+.3g} %" if percent is not None else ""
            shown[place] += f" ({delta:+.4g}{share})"
    return shown


def _write_between(found: Comparison) -> None:
    """What lies between the first run's code and data and the others'."""
    for other in found.runs[1:]:
        commits = commit_range(found.runs[0], other)
        system = other.provenance.system if other.provenance is not None else "git"
        if commits and system == "git":
            write_line(f"code: git diff {commits}")
    for each in found.versions:
        files = [
            f"{count} {'file' if count == 1 else 'files'} {word}"
            for count, word in ((each.added, "added"), (each.removed, "removed"), (each.changed, "changed"))
            if count
        ]
        rows = [f"{each.rows:+d} rows"] if each.rows is not None else []
        write_line(f"data: {each.first} to {each.second}: {', '.join([*rows, *files]) or 'the same files'}")


def _sorted(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (not row.differs, row.name))
