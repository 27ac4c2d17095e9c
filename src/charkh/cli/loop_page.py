"""`charkh loop page`: one page about one decision."""

from pathlib import Path
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_line
from charkh.core.errors import Invalid


def page(
    decision: Annotated[str, typer.Argument(help="The decision's id, or how it begins; or a loop, for its newest.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this .md or .html file.")] = None,
    json: AsJson = False,
) -> None:
    """Print one page about a decision.

    What set it going, what was made and judged, how it was tried, and what it came to.
    """
    if output is not None and output.suffix not in {".md", ".html"}:
        raise Invalid(f"cannot write {output.name}", code="cli.output", hint="End it in .md or .html.")
    from charkh.workspace.loop_page import decision_page, find_decision

    with open_workspace() as workspace:
        found = find_decision(workspace.store, decision)
        text = decision_page(workspace.store, found.id)
    if output is not None:
        # Only a page needs what renders it.
        from charkh.cards.render import render_html

        output.write_text(render_html(text) if output.suffix == ".html" else text, encoding="utf-8")
    if json:
        write_json({"decision": found, "page": text})
    else:
        write_line(text.rstrip("\n") if output is None else f"{output}: the decision {found.id}")
