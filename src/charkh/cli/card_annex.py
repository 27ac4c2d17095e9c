"""`charkh card annex-iv`: technical documentation in the order of Annex IV of the AI Act, filled from the record."""

from pathlib import Path
from typing import Annotated

import typer

from charkh.cards.annex import Cover, covered
from charkh.cards.dossier import annex_document
from charkh.cli.documents import read_document
from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_line, write_note, write_table
from charkh.core.errors import GateRefused, Invalid
from charkh.workspace.documenting import dossier_of
from charkh.workspace.resolving import resolve


def annex_iv(
    what: Annotated[str, typer.Argument(help="A model version: delay@3, delay@champion, model:ID.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="FILE.md, which keeps what people wrote in it, or FILE.html."),
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option("--text", help="Markdown with people's words; by default FILE.md, where it is there."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 4 while something is to be written.")] = False,
    json: AsJson = False,
) -> None:
    """Write technical documentation in the order of Annex IV (Regulation (EU) 2024/1689), and say what it lacks.

    It is filled from runs, datasets, evaluations, decisions and monitors; what only a person can write has a
    placeholder, and stays when it is made again. It does not say that the Regulation applies, or that it is met.
    """
    if output is not None and output.suffix not in {".md", ".html"}:
        raise Invalid(
            f"{output} is neither .md nor .html", code="card.suffix", hint="Write -o FILE.md or -o FILE.html."
        )
    words = text if text is not None else output.with_suffix(".md") if output is not None else None
    previous = ""
    if words is not None and (text is not None or words.is_file()):
        previous = read_document(words, code="card.no_file", hint="Check the path.")
    with open_workspace() as workspace:
        store = workspace.store
        subject = resolve(store, what if "@" in what or ":" in what else f"{what}@latest")
        document = annex_document(dossier_of(store, subject), previous)
    covers = covered(document)
    _write(output, document)
    if json:
        write_json({"of": what, "points": [_told(each) for each in covers], "markdown": document})
    elif output is None:
        write_line(document.rstrip("\n"))
    else:
        rows = [[each.number, each.title, each.recorded, each.state] for each in covers]
        write_table(["point", "what it asks for", "from the record", "by a person"], rows)
    left = [each.number for each in covers if each.open]
    write_note(f"{len(covers) - len(left)} of {len(covers)} points have nothing left to write")
    if strict and left:
        raise GateRefused(
            f"{len(left)} points of Annex IV are not written",
            code="card.annex_open",
            hint="Write over the placeholders in the Markdown, and make it again.",
            facts={"points": left},
        )


def _write(output: Path | None, document: str) -> None:
    if output is None:
        return
    if output.suffix == ".html":
        # The Markdown parser is needed here alone.
        from charkh.cards.render import render_html

        document = render_html(document)
    output.write_text(document, encoding="utf-8")
    write_note(f"wrote {output}")


def _told(cover: Cover) -> dict[str, object]:
    return {
        "number": cover.number,
        "title": cover.title,
        "recorded": cover.recorded,
        "written": cover.written,
        "open": cover.open,
    }
