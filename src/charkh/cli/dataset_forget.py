"""`charkh dataset forget`: erase a person's rows from everything, with proof, and say what was not reached."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import (
    AsJson,
    progress,
    shown_count,
    shown_time,
    write_json,
    write_line,
    write_note,
    write_table,
)
from charkh.core.errors import Incomplete, Invalid, NotFound
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.forgotten_index import ErasedFrom
from charkh.datasets.index import Datasets, DatasetVersions
from charkh.ports.store import Store

if TYPE_CHECKING:
    from charkh.datasets.selection import Selection
    from charkh.workspace.forget_report import ForgetReport


def forget(
    where: Annotated[str, typer.Option(help="Whose rows, as an expression: \"email == 'ann@example.org'\".")] = "",
    column: Annotated[str, typer.Option(help="With --value or --values: the column that tells whose a row is.")] = "",
    value: Annotated[list[str] | None, typer.Option(help="A value of that column; may be repeated.")] = None,
    values: Annotated[
        str, typer.Option(help="A file with a value a line, or - for stdin: it does not stand in the shell's history.")
    ] = "",
    dataset: Annotated[list[str] | None, typer.Option(help="Only versions of this dataset; may be repeated.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Everything that the store holds.")] = False,
    reason: Annotated[str, typer.Option(help="Why, in a sentence that does not say who.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be erased.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Erase nothing: look through every byte of the store for what is left.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Erase without asking.")] = False,
    json: AsJson = False,
) -> None:
    """Erase a person's rows from every version, for ever.

    They are found in live, superseded and deleted versions, quarantine, documents and the prediction log. Versions
    stay valid and show the other rows. What was made from the rows, and what was not reached, is listed.
    """
    # Polars is loaded by the verbs that read tables alone: the others start in half the time.
    from charkh.workspace.forget_verify import verify_forgotten
    from charkh.workspace.forgetting import REASON
    from charkh.workspace.forgetting import forget as forget_rows

    selection = _selection(where, column, [*(value or ()), *_lines(values)])
    names = dataset or []
    if not verify and bool(names) == all_:
        raise Invalid(
            "it is not said from which datasets",
            code="dataset.no_scope",
            hint="Say --all, or --dataset NAME for each.",
        )
    if not (dry_run or verify or yes) and (json or values == "-" or not sys.stdin.isatty()):
        raise Invalid(
            "forgetting erases for ever and was not confirmed",
            code="dataset.not_confirmed",
            hint="Look with --dry-run first, then say --yes.",
        )
    with open_workspace() as workspace:
        if column and not _is_column(workspace.store, column):
            write_note(f"no dataset has a column {column!r} now: what else has one, and texts, are looked through")
        if verify:
            with progress("looking through the store", unit="packs") as advance:
                left = verify_forgotten(workspace, selection, progress=advance)
            if json:
                write_json({"clean": not left, "left": left})
            elif not left:
                write_line("nothing of it is left in the store")
            else:
                write_table(["where", "what"], [[each.where, each.what] for each in left])
            if left:
                raise Incomplete(
                    f"it still stands in {shown_count(len(left), 'place')}",
                    code="dataset.not_forgotten",
                    hint="Forget it with --all --yes, and do what is said of what was not reached.",
                )
            return
        if not dry_run and not yes:
            with progress("looking", unit="contents") as advance:
                _write(forget_rows(workspace, selection, names=names, dry_run=True, progress=advance))
            typer.confirm("erase it for ever?", abort=True)
        with progress("forgetting", unit="contents") as advance:
            report = forget_rows(
                workspace, selection, names=names, dry_run=dry_run, reason=reason or REASON, progress=advance
            )
    if json:
        write_json(report)
        return
    _write(report)


def _is_column(store: Store, column: str) -> bool:
    """Whether a version of any dataset has the column, live or not."""
    versions = (
        version
        for each in store.queries.ask(Datasets())
        for version in store.queries.ask(DatasetVersions(name=each.name, deleted=True))
    )
    # Of a table with very many columns, not all are on record.
    return any(
        column in {known.name for known in version.made.schema}
        or len(version.made.schema) < (version.made.columns or 0)
        for version in versions
    )


def erased_lines(store: Store, version: DatasetVersion) -> list[tuple[str, str]]:
    """What a version lost by erasures, a labelled line each."""
    return [
        (
            "erased",
            f"{shown_count(each.lost.rows, 'row')} of {shown_count(each.lost.files, 'file')}, {shown_time(each.at)}",
        )
        for each in store.queries.ask(ErasedFrom(version=version.id))
    ]


def _selection(where: str, column: str, values: list[str]) -> "Selection":
    # The expression's functions are Polars'.
    from charkh.datasets.selection import checked_selection

    return checked_selection(where, column, values)


def _lines(source: str) -> list[str]:
    if not source:
        return []
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no file {source}", code="dataset.no_file", hint="Name a file with a value a line, or -."
        ) from error
    except UnicodeDecodeError as error:
        raise Invalid(f"{source} is not UTF-8", code="dataset.encoding", hint="Write it as UTF-8.") from error
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()]


def _write(report: "ForgetReport") -> None:
    verb = "would be" if report.dry_run else "are"
    write_line(
        f"{verb} erased: {shown_count(report.rows, 'row')} in {shown_count(len(report.contents), 'content')} of"
        f" {report.looked_at} looked at"
        + (f"; {shown_count(report.strays, 'record')} that nothing holds, too" if report.strays else "")
    )
    if report.versions:
        write_table(
            ["version", "rows", "files", ""],
            [[each.version, each.rows, each.files, "deleted" if each.deleted else ""] for each in report.versions],
        )
    documents = [each for each in report.contents if each.kind == "text"]
    if documents:
        write_table(
            ["document", "places", "of"],
            [[each.path or each.digest[:16], each.rows, ", ".join(each.subjects[:3])] for each in documents],
        )
    if report.saw:
        write_line("made from these rows, and not unlearned:")
        write_table(["what", "id"], [[each.title, each.subject] for each in report.saw])
    if report.unreached:
        write_line("not reached:")
        write_table(["where", "why"], [[each.what, each.why] for each in report.unreached])
    if report.forgetting:
        write_note(f"proof: forgetting:{report.forgetting}; look for what is left with --verify")
