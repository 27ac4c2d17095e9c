"""`charkh card`: make, show, lint, render and record the documents of models and datasets."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from charkh.cards.card import NO_LICENSE, Card, Finding
from charkh.cards.find import find
from charkh.cards.index import Cards
from charkh.cards.lint import is_complete
from charkh.cards.lint import lint as lint_text
from charkh.cards.make import compose_card, make_card
from charkh.cards.record import read_markdown, record_card
from charkh.cards.wording import Wording, wording_from
from charkh.cli.card_annex import annex_iv
from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_line, write_note, write_table
from charkh.core.errors import GateRefused, Invalid, NotFound
from charkh.core.redact import redact
from charkh.core.refs import parse_subject
from charkh.ports.store import Store
from charkh.workspace.documenting import wording_of
from charkh.workspace.resolving import resolve

app = typer.Typer(no_args_is_help=True, help="The document of a model or dataset.")

What = Annotated[str, typer.Argument(help="A model or dataset version: delay@3, flights@latest, model:ID; or card:ID.")]


@app.command("list")
def list_cards(limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 100, json: AsJson = False) -> None:
    """List the newest card of each model and dataset version."""
    with open_workspace() as workspace:
        found = workspace.store.queries.ask(Cards(limit=limit))
    if json:
        write_json(found)
        return
    write_table(
        ["of", "complete", "made", "by"],
        [[each.made.title, each.made.complete, shown_time(each.at), each.actor] for each in found],
        empty="no card was made yet",
    )


@app.command()
def make(
    what: What,
    text: Annotated[
        Path | None, typer.Option("--text", help="Markdown file with your parts: license, intended use, limits…")
    ] = None,
    license_name: Annotated[str, typer.Option("--license", help="SPDX id, such as apache-2.0.")] = "",
    anew: Annotated[bool, typer.Option("--anew", help="Keep nothing of an earlier card.")] = False,
    json: AsJson = False,
) -> None:
    """Write the card from what is known; what people wrote in the last one is kept."""
    with open_workspace() as workspace:
        store = workspace.store
        subject = subject_of(store, what)
        wording = _wording(store, subject, _read(text) if text is not None else "")
        if license_name:
            wording = msgspec.structs.replace(wording, license=license_name)
        card = make_card(store, subject, wording=wording, previous="" if anew else None)
    _write_made(card, json=json)


@app.command()
def record(
    what: What, file: Annotated[Path, typer.Argument(help="The edited Markdown.")], json: AsJson = False
) -> None:
    """Record an edited card as it is."""
    with open_workspace() as workspace:
        card = record_card(workspace.store, subject_of(workspace.store, what), _read(file))
    _write_made(card, json=json)


@app.command()
def show(what: What, json: AsJson = False) -> None:
    """Print a card as Markdown, ready to be edited."""
    with open_workspace() as workspace:
        card, markdown = _card(workspace.store, what)
    if json:
        write_json({"card": card, "markdown": markdown})
        return
    write_line(markdown.rstrip("\n"))


@app.command()
def lint(
    what: What,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 4 for advice too, and for a stale card.")] = False,
    file: Annotated[
        Path | None, typer.Option("--file", help="Lint this Markdown instead of the recorded card.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Say what a card lacks and how to mend it; exit code 4 where something required is missing."""
    with open_workspace() as workspace:
        store = workspace.store
        if file is None:
            card, markdown = _card(store, what)
            noun, title = card.made.about.partition(":")[0], card.made.title
            findings = (*lint_text(markdown, noun), *_stale(store, card, markdown))
        else:
            subject = subject_of(store, what)
            title = str(file)
            findings = lint_text(_read(file), parse_subject(subject).noun)
    if json:
        write_json({"complete": is_complete(findings), "findings": findings})
    else:
        _write_findings(findings)
    missing = [finding.where for finding in findings if finding.severity == "required"]
    if missing:
        raise GateRefused(
            f"the card of {title} lacks {len(missing)} required parts",
            code="card.incomplete",
            hint=f"Write them: `charkh card show {what} > card.md`, edit, `charkh card record {what} card.md`.",
            facts={"missing": missing},
        )
    if strict and findings:
        raise GateRefused(
            f"the card of {title} has {len(findings)} findings",
            code="card.advised",
            hint="Do what stands behind each, or lint without --strict.",
            facts={"codes": sorted({finding.code for finding in findings})},
        )


def _stale(store: Store, card: Card, markdown: str) -> tuple[Finding, ...]:
    """Whether a card made now would say something else."""
    now = compose_card(store, card.made.about, wording=wording_of(store, card.made.about, Wording()), previous=markdown)
    if redact(now) == markdown:
        return ()
    return (
        Finding(
            where="generated parts",
            message="more is known by now than the card says",
            severity="advice",
            code="card.stale",
            fix=f"charkh card make {card.made.title}",
        ),
    )


@app.command()
def render(
    what: What,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; stdout without.")] = None,
    json: AsJson = False,
) -> None:
    """Write a card as one HTML page that loads nothing."""
    # The Markdown parser is needed here alone; the other verbs start without it.
    from charkh.cards.render import render_html

    with open_workspace() as workspace:
        card, markdown = _card(workspace.store, what)
    page = render_html(markdown)
    if json:
        write_json({"of": card.made.title, "html": page})
    if output is None and not json:
        sys.stdout.write(page)
    if output is not None:
        output.write_text(page, encoding="utf-8")
        write_note(f"wrote {output}")


app.command("annex-iv")(annex_iv)


def subject_of(store: Store, what: str) -> str:
    """The subject that a reference to a model or dataset version means; a bare name means its latest version."""
    return resolve(store, what if "@" in what or ":" in what else f"{what}@latest")


def _card(store: Store, what: str) -> tuple[Card, str]:
    card = find(store, what if what.startswith("card:") else subject_of(store, what))
    return card, read_markdown(store, card)


def _wording(store: Store, subject: str, text: str) -> Wording:
    """What a file says, and what the registry knows of a registered model."""
    noun = parse_subject(subject).noun
    return wording_of(store, subject, wording_from(text, noun) if text else Wording(license=NO_LICENSE))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise NotFound(
            f"{path} cannot be read: {error.strerror}", code="card.no_file", hint="Check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise Invalid(f"{path} is not UTF-8 text", code="card.not_text", hint="Save it as UTF-8.") from error


def _write_made(card: Card, *, json: bool) -> None:
    if json:
        write_json(card)
        return
    write_line(f"card of {card.made.title}: {'complete' if card.made.complete else 'incomplete'}")
    _write_findings(card.made.findings)


def _write_findings(findings: tuple[Finding, ...]) -> None:
    write_table(
        ["where", "", "what", "rule", "to do"],
        [[each.where, each.severity, each.message, each.code, each.fix] for each in findings],
        empty="nothing is missing",
    )
