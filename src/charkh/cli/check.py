"""`charkh check`: infer, run, list and show."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charkh.checks.check import Check
from charkh.checks.document import format_suite, parse_suite
from charkh.checks.find import find, load_suite
from charkh.checks.index import Checks
from charkh.checks.suite import CheckSuite
from charkh.cli.check_drift import drift
from charkh.cli.check_history import history
from charkh.cli.check_import import import_suite
from charkh.cli.check_trouble import batches, trouble
from charkh.cli.documents import begin_document, read_document
from charkh.cli.opening import open_workspace
from charkh.cli.output import (
    AsJson,
    shown_count,
    shown_time,
    write_json,
    write_line,
    write_note,
    write_pairs,
    write_table,
)
from charkh.cli.titles import titles_of
from charkh.datasets.find import find as find_dataset
from charkh.ports.store import Store

if TYPE_CHECKING:
    from charkh.checks.result import CheckResult

app = typer.Typer(no_args_is_help=True, help="What a dataset must satisfy; failing rows go to quarantine.")

STREAMED = 256 * 1024 * 1024
"""Bytes from which a table is checked streaming; a smaller one is faster in memory."""
_FIRST = "`charkh check infer DATASET --out FILE` writes a first one."

Dataset = Annotated[str, typer.Argument(help="A version of a table: flights@3, flights (the latest) or dataset:ID.")]


@app.command("infer")
def infer_suite(
    dataset: Dataset,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the suite there; never over one.")] = None,
    update: Annotated[
        Path | None,
        typer.Option("--update", help="Add what is new to this suite; what stands in it, and was taken out, stays so."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Read rules off a table, each with its reason: a first suite to be mended by hand."""
    # Polars is loaded by the verbs that read tables alone: the others start in half the time.
    from charkh.checks.infer import infer
    from charkh.checks.update import update_suite
    from charkh.datasets.read import read_table

    with open_workspace() as workspace:
        version = find_dataset(workspace.store, dataset)
        table = read_table(workspace.store, version, cache=workspace.table_cache)
        inferred = infer(table, description=f"Inferred from {version.ref}")
    if update is not None:
        updated = update_suite(read_document(update, code="check.no_file", hint=_FIRST), inferred, str(update))
        update.write_text(updated.text, encoding="utf-8")
        if json:
            write_json({"added": updated.added})
        else:
            write_line(f"{update}: {shown_count(len(updated.added), 'rule')} added")
            for name in updated.added:
                write_line(f"  {name}")
        return
    if out is not None:
        begin_document(out, inferred.toml)
        write_note(f"written to {out}: read it, mend it, then `charkh check run {out} {dataset}`")
    if json:
        write_json(inferred)
    elif out is None:
        write_line(inferred.toml)


@app.command("run")
def run_suite(
    suite: Annotated[Path, typer.Argument(help="A suite: a TOML file.")],
    dataset: Dataset,
    good: Annotated[
        str, typer.Option("--as", help="Keep the rows that pass as a version of this dataset, when the suite holds.")
    ] = "",
    json: AsJson = False,
) -> None:
    """Check a table; the result is recorded and failing rows go to quarantine. Exit code 4 when the suite fails."""
    # Polars is loaded by the verbs that read tables alone: the others start in half the time.
    from charkh.checks.gate import gate
    from charkh.checks.record import record
    from charkh.checks.run import run
    from charkh.datasets.add import add_table
    from charkh.datasets.read import read_table, scan_table
    from charkh.workspace.check_context import context_for

    rules = read_suite(suite)
    with open_workspace() as workspace:
        store, cache = workspace.store, workspace.table_cache
        version = find_dataset(store, dataset)
        context = context_for(store, rules, version, cache=cache)
        read = scan_table if version.made.tree.size > STREAMED else read_table
        result = run(rules, read(store, version, cache=cache), context=context)
        check = record(store, suite.stem, result, about=version.subject)
        titles = _titles(store, check)
        kept = None
        if good and result.ok:
            origins = [("made_from", version.subject), ("made_from", check.subject)]
            kept = add_table(store, good, result.good, origins=origins)
    if json:
        write_json({"check": check, "outcomes": result.outcomes, "ok": result.ok, "kept": kept})
    else:
        _write_result(check, result, titles)
        if kept is not None:
            write_line(f"kept as {kept.ref}")
    gate(result, version.ref)


@app.command("list")
def list_checks(
    name: Annotated[str, typer.Argument(help="Only checks by the suite of this name.")] = "",
    dataset: Annotated[str, typer.Option("--of", help="Only checks of this dataset version.")] = "",
    json: AsJson = False,
) -> None:
    """List the checks that were run, newest first."""
    with open_workspace() as workspace:
        about = find_dataset(workspace.store, dataset).subject if dataset else ""
        found = workspace.store.queries.ask(Checks(name=name, about=about))
        titles = titles_of(workspace.store, (each.ran.about for each in found))
    if json:
        write_json(found)
        return
    write_table(
        ["check", "id", "holds", "rows", "set aside", "about", "when"],
        [
            [
                each.ran.name,
                each.id,
                each.ran.ok,
                each.ran.rows,
                each.ran.failed_rows,
                titles[each.ran.about],
                shown_time(each.at),
            ]
            for each in found
        ],
        empty="nothing was checked yet",
    )


@app.command()
def show(
    check: Annotated[str, typer.Argument(help="check:ID, an id, or a suite's name for its newest check.")],
    json: AsJson = False,
) -> None:
    """Show a check: what it came to, rule by rule, and the suite that it ran."""
    with open_workspace() as workspace:
        found = find(workspace.store, check)
        suite = load_suite(workspace.store, found)
        titles = _titles(workspace.store, found)
    if json:
        write_json({"check": found, "suite": suite})
        return
    _write_check(found, titles)
    write_line()
    write_table(
        ["rule", "status", "rows", "why"],
        [[count.rule, _status(count.status, count.severity), count.failed, count.reason] for count in found.ran.counts],
    )
    write_line()
    write_line(format_suite(suite).rstrip())


def read_suite(path: Path) -> CheckSuite:
    """The suite in a file."""
    return parse_suite(read_document(path, code="check.no_file", hint=_FIRST), str(path))


def _titles(store: Store, check: Check) -> dict[str, str]:
    quarantine = f"dataset:{check.ran.quarantine}" if check.ran.quarantine else ""
    return titles_of(store, (check.ran.about, quarantine))


def _write_result(check: Check, result: "CheckResult", titles: Mapping[str, str]) -> None:
    _write_check(check, titles)
    write_line()
    write_table(
        ["rule", "status", "found", "for example", "why"],
        [
            [
                outcome.id,
                _status(outcome.status, outcome.severity),
                outcome.message,
                "; ".join(outcome.examples),
                outcome.reason,
            ]
            for outcome in result.outcomes
        ],
    )


def _status(status: str, severity: str) -> str:
    """A warning sets no row aside: what it finds stays in the table, within what the rule tolerates."""
    return "tolerated" if (status, severity) == ("set_aside", "warning") else status.replace("_", " ")


def _write_check(check: Check, titles: Mapping[str, str]) -> None:
    ran = check.ran
    write_pairs(
        [
            ("check", f"{ran.name} ({check.id})"),
            ("about", titles[ran.about]),
            ("holds", ran.ok),
            ("rows", f"{ran.rows:,}, of which {ran.failed_rows:,} are set aside"),
            *([("quarantine", titles[f"dataset:{ran.quarantine}"])] if ran.quarantine else []),
        ]
    )


app.command("trouble")(trouble)
app.command("batches")(batches)
app.command("drift")(drift)
app.command("history")(history)
app.command("import")(import_suite)
