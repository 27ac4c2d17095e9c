"""`charkh check drift`: how the columns of two tables differ, and whether that can be chance."""

from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_line, write_table
from charkh.core.errors import GateRefused
from charkh.datasets.find import find as find_dataset


def drift(
    old: Annotated[str, typer.Argument(help="The reference: a version of a table, or model:NAME@ALIAS for its data.")],
    new: Annotated[str, typer.Argument(help="The version that is compared with it.")],
    columns: Annotated[list[str] | None, typer.Option("--column", "-c", help="Only these columns.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 4 when a column drifted.")] = False,
    json: AsJson = False,
) -> None:
    """Compare the columns of two tables by their profiles: PSI, KS, Jensen-Shannon, L-infinity, gaps, new categories.

    A column drifted where a difference is large enough to matter and too large for chance, however many rows and
    columns were looked at.
    """
    # Polars and NumPy are loaded by the verbs that read tables alone.
    from charkh.checks.drift import compare_profiles, told
    from charkh.checks.table_rules import Drift
    from charkh.datasets.profile.keep import profile_of
    from charkh.workspace.check_context import reference_of

    with open_workspace() as workspace:
        store, cache = workspace.store, workspace.table_cache
        version = find_dataset(store, new)
        reference = reference_of(store, old, version) or version
        before, after = (profile_of(store, each, cache=cache) for each in (reference, version))
    report = compare_profiles(before, after, Drift(columns=tuple(columns or ())))
    if json:
        write_json({"old": reference.ref, "new": version.ref, "report": report, "drifted": report.drifted})
    else:
        write_table(
            ["column", "drifted", "psi", "ks", "js", "linf", "missing", "new", "p"],
            [
                [
                    column.column,
                    "yes" if column.drifted else "",
                    *(effects.get(name, "") for name in ("psi", "ks", "js", "linf", "missing", "new")),
                    f"{min((test.adjusted for test in column.tests), default=1.0):.2g}",
                ]
                for column in sorted(report.columns, key=lambda each: not each.drifted)
                for effects in [{test.name: f"{test.effect:.3f}" for test in column.tests}]
            ],
            empty="no column can be compared",
        )
        for name, why in report.skipped.items():
            write_line(f"{name} was not compared: {why}")
        found = f"{len(report.drifted)} of {len(report.columns)} columns drifted"
        write_line(f"{reference.ref} → {version.ref}: {found}")
    if strict and report.drifted:
        raise GateRefused(
            f"{version.ref} drifted from {reference.ref}: {told(report)}",
            code="check.drifted",
            hint="Look at what the newest batch brought: `charkh dataset diff`; a `drift` rule sets its own floors.",
        )
