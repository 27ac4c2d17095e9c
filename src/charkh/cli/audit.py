"""`charkh audit`: who did what, and proof that the journal's sealed facts are what they were when they were sealed."""

from typing import Annotated

import typer

from charkh.cli.audit_log import log
from charkh.cli.opening import open_own_workspace
from charkh.cli.output import AsJson, shown_size, write_json, write_line, write_note, write_pairs
from charkh.core.errors import Corrupt
from charkh.workspace.auditing import verify_audit

app = typer.Typer(no_args_is_help=True, help="Who did what, and proof that the journal was not changed.")


@app.callback()
def group() -> None:
    """Who did what, and proof that the journal was not changed."""


@app.command()
def verify(
    head: Annotated[str, typer.Option(help="A head noted earlier: the chain must still pass through it.")] = "",
    json: AsJson = False,
) -> None:
    """Verify every sealed fact against the chain; changed, removed, inserted or reordered ones break it."""
    with open_own_workspace("the journal is verified") as workspace:
        report = verify_audit(workspace, head=head)
    if json:
        write_json(report)
    else:
        write_pairs(
            [
                ("sealed", f"{report.facts} facts in {report.segments} segments, {shown_size(report.size)}"),
                ("open", f"{report.waiting} segments, which no chain covers yet"),
                ("head", report.head),
            ]
        )
        for problem in report.problems:
            write_line(f"{problem.code}: {problem.detail}")
        if report.sound:
            write_note("sound; note the head elsewhere, and hand it in with --head later")
    if not report.sound:
        raise Corrupt(
            f"the audit trail is broken in {len(report.problems)} places",
            code="audit.broken",
            hint="Compare journal/sealed with a copy; everything in front of the first place is as it was.",
        )


app.command("log")(log)
