"""`charkh evaluation stability`, `certificates` and `certificate`: try a model, and read what came of it."""

import time
from typing import Annotated

import typer

from charkh.cli.exit_codes import EXIT_CODES
from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_line, write_pairs, write_table
from charkh.cli.titles import titles_of
from charkh.core.errors import GateRefused
from charkh.evaluations.stability.certificate import Certificate, Found, Result, StabilityDetails
from charkh.evaluations.stability.find import find_certificate
from charkh.evaluations.stability.index import Certificates, CertificatesOf
from charkh.evaluations.stability.read import read_stability
from charkh.evaluations.stability.standing import counts
from charkh.evaluations.stability.wording import SEEN, summary
from charkh.models.find import find as find_model

EXAMPLE = "its example"
Model = Annotated[str, typer.Argument(help="A version: delay@3, delay@latest, delay@champion or model:ID.")]


def stability(
    model: Model,
    suite: Annotated[str, typer.Option("--suite", help="Only this suite; by default all of the model.")] = "",
    on: Annotated[str, typer.Option("--on", help="A dataset whose rows are asked, instead of the suite's.")] = "",
    target: Annotated[str, typer.Option("--target", help="The column with the truth, instead of the suite's.")] = "",
    json: AsJson = False,
) -> None:
    """Try a model by its suites of stability tests and certify it; exit code 4 where a test fails."""
    # NumPy and Polars, which the other verbs start without.
    from charkh.workspace.certifying import certify_model, suites_for, with_rows

    made: list[tuple[Certificate, StabilityDetails]] = []
    with open_workspace() as workspace:
        for name, settings in suites_for(workspace, model, suite).items():
            certificate = certify_model(workspace, name, with_rows(settings, on=on, target=target), model=model)
            made.append((certificate, read_stability(workspace.store, certificate)))
        titles = titles_of(workspace.store, (each for known, _ in made for each in (known.made.about, known.made.on)))
    if json:
        write_json([certificate for certificate, _ in made])
    else:
        for place, (certificate, details) in enumerate(made):
            if place:
                write_line()
            write_certificate(certificate, details, titles)
    if not all(certificate.made.ok for certificate, _ in made):
        raise typer.Exit(EXIT_CODES[GateRefused])


def certificates(
    model: Annotated[str, typer.Argument(help="A model's name, or a version such as delay@3; all without.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 100,
    json: AsJson = False,
) -> None:
    """List certificates of stability, the newest first; of a version, the newest of each suite."""
    with open_workspace() as workspace:
        store = workspace.store
        if "@" in model or ":" in model:
            found = store.queries.ask(CertificatesOf(subject=find_model(store, model).subject))
        else:
            found = store.queries.ask(Certificates(model=model, limit=limit))
        titles = titles_of(store, (subject for each in found for subject in (each.made.about, each.made.on)))
    if json:
        write_json(found)
        return
    now = time.time()
    write_table(
        ["certificate", "suite", "of", "on", "tests", "verdict", "counts until"],
        [
            [
                each.id,
                each.made.suite,
                titles[each.made.about],
                titles.get(each.made.on) or EXAMPLE,
                summary(each.made),
                _verdict(each, now),
                shown_time(each.made.expires),
            ]
            for each in found
        ],
        empty="no model was tried yet",
    )


def certificate(
    which: Annotated[str, typer.Argument(help="A certificate's id, or the beginning of one.")],
    json: AsJson = False,
) -> None:
    """Show a certificate: every test, and the rows that answered worst."""
    with open_workspace() as workspace:
        found = find_certificate(workspace.store, which)
        details = read_stability(workspace.store, found)
        titles = titles_of(workspace.store, (found.made.about, found.made.on))
    if json:
        write_json({"certificate": found, "details": details})
        return
    write_certificate(found, details, titles)


def write_certificate(found: Certificate, details: StabilityDetails, titles: dict[str, str]) -> None:
    """A certificate for people."""
    made = found.made
    write_pairs(
        [
            ("certificate", found.id),
            ("suite", made.suite),
            ("of", titles[made.about]),
            ("on", f"{made.rows} rows of {titles.get(made.on) or EXAMPLE}{SEEN if made.seen else ''}"),
            ("verdict", _verdict(found, time.time())),
            ("tests", summary(made)),
            ("counts until", shown_time(made.expires)),
            ("made", f"{shown_time(found.at)} by {found.actor}"),
        ]
    )
    write_line()
    write_table(
        ["test", "outcome", "value", "bound", "interval", "rows", "what"],
        [
            [each.test, each.outcome, each.value, each.bound, _interval(each), each.rows, _what(each)]
            for each in made.results
        ],
    )
    for each in details.tests:
        if each.result.bad:
            _write_trouble(each)


def _write_trouble(found: Found) -> None:
    write_line()
    write_line(f"{found.result.test} {found.result.outcome}" + (f": {found.trouble}" if found.trouble else ""))
    for each in found.witnesses:
        cells = ", ".join(
            f"{name} {each.given[name]} -> {value}" for name, value in each.changed.items() if each.given[name] != value
        )
        write_line(f"  row {each.row}: {each.before} became {each.after}" + (f" with {cells}" if cells else ""))
    for group in found.groups:
        if (
            group.judged
            and group.gap is not None
            and found.result.bound is not None
            and abs(group.gap) > found.result.bound
        ):
            write_line(
                f"  {group.group} ({group.rows} rows): {group.value:.4g}, all others {group.others:.4g}; "
                f"gap {group.gap:.4g} ({group.low:.4g} to {group.high:.4g})"
            )


def _verdict(found: Certificate, now: float) -> str:
    said = "passed" if found.made.ok else "failed"
    return said if counts(found, now) else f"{said}, expired"


def _interval(result: Result) -> str:
    return "" if result.low is None or result.high is None else f"{result.low:.3g} to {result.high:.3g}"


def _what(result: Result) -> str:
    return "; ".join(filter(None, (result.measure, result.note)))
