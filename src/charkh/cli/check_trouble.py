"""`charkh check trouble` and `charkh check batches`: what no rule was written for, and which batch brought it."""

from typing import TYPE_CHECKING, Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_line, write_note, write_table
from charkh.core.errors import Invalid
from charkh.datasets.find import find as find_dataset

if TYPE_CHECKING:
    import polars as pl

    from charkh.checks.trouble.search import Judged

Dataset = Annotated[str, typer.Argument(help="A version of a table: flights@3, flights (the latest) or dataset:ID.")]


def trouble(
    dataset: Dataset,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Look for this kind alone; may be repeated. See the guide.")
    ] = None,
    target: Annotated[
        str, typer.Option("--target", help="What a model learns: finds contradictions, leaks and wrong labels.")
    ] = "",
    against: Annotated[
        str, typer.Option("--against", help="A version that a model learned from: finds its rows in this one.")
    ] = "",
    leave_out: Annotated[
        list[str] | None, typer.Option("--leave-out", help="A column that is not compared, such as an id.")
    ] = None,
    source: Annotated[str, typer.Option("--source", help="A column whose values may have --most rows each.")] = "",
    most: Annotated[int, typer.Option("--most", min=0, help="Rows that one value of --source may have.")] = 0,
    aside: Annotated[
        list[str] | None,
        typer.Option("--set-aside", help="Put the rows of this kind into quarantine; may be repeated."),
    ] = None,
    keep_as: Annotated[
        str, typer.Option("--as", help="Keep the rows that are left as a version of this dataset.")
    ] = "",
    json: AsJson = False,
) -> None:
    """Look for repeated rows, leaks, wrong labels, outliers, personal data and sources with too many rows."""
    # Polars is loaded by the verbs that read tables alone: the others start in half the time.
    from charkh.checks.trouble.record import record_search
    from charkh.checks.trouble.search import Wanted, search
    from charkh.checks.trouble.trouble import KINDS
    from charkh.datasets.read import read_table

    if bool(source) != bool(most):
        raise Invalid(
            "--source and --most go together", code="check.bad_cap", hint="Write for example: --source user --most 100"
        )
    kinds = tuple(only or KINDS)
    unknown = {*kinds, *(aside or ())} - set(KINDS)
    if unknown:
        raise Invalid(
            f"{sorted(unknown)[0]!r} is no kind of trouble",
            code="check.unknown_kind",
            hint=f"Kinds: {', '.join(KINDS)}.",
        )
    with open_workspace() as workspace:
        store = workspace.store
        version = find_dataset(store, dataset)
        frame = read_table(store, version)
        found = search(
            frame,
            Wanted(
                kinds=kinds,
                target=target,
                against=read_table(store, find_dataset(store, against)) if against else None,
                judged=_judged(frame, target, asked=bool(only))
                if target in frame.columns and "label" in kinds
                else None,
                source=source,
                most=most,
                leave_out=tuple(leave_out or ()),
            ),
        )
        recorded, kept = record_search(store, version, frame, found, kinds=kinds, aside=aside or (), keep_as=keep_as)
    if json:
        rows = [each.rows[:1000].tolist() for each in found]
        findings = [{"finding": each.finding, "rows": some} for each, some in zip(found, rows, strict=True)]
        write_json({"search": recorded, "findings": findings, "kept": kept})
        return
    write_table(
        ["trouble", "columns", "rows", "share", "what", "looks like"],
        [
            [
                each.finding.kind.replace("_", " "),
                each.finding.columns,
                each.finding.rows or "",
                f"{each.finding.share:.2%}" if each.finding.rows else "",
                each.finding.message,
                "; ".join(each.finding.examples),
            ]
            for each in found
        ],
        empty=f"no trouble was found in {version.ref}",
    )
    if recorded.quarantine:
        write_line(f"set aside: charkh dataset show {version.made.name}.quarantine --head 5")
    if kept is not None:
        write_line(f"kept as {kept.ref}")


def batches(
    dataset: Dataset,
    column: Annotated[list[str] | None, typer.Option("--column", help="Only this column; may be repeated.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many changes.")] = 20,
    json: AsJson = False,
) -> None:
    """Show which batch changed what: each against all before it, the greatest change first."""
    from charkh.checks.trouble.batches import batch_changes
    from charkh.datasets.batches import BATCH, scan_batches
    from charkh.datasets.batches import batches as batches_of

    with open_workspace() as workspace:
        store = workspace.store
        version = find_dataset(store, dataset)
        frame = scan_batches(store, version).collect()
        order = [each.ref for each in reversed(batches_of(store, version))]
        kept = [name for name in frame.columns if name == BATCH or not column or name in column]
        changes = batch_changes(frame.select(kept), batch=BATCH, order=order)
    if json:
        write_json(changes)
        return
    write_table(
        ["batch", "rows", "column", "what", "before", "after", "effect"],
        [
            [
                each.batch,
                each.rows,
                each.column or "(rows)",
                each.measure,
                *_shown(each.measure, each.before, each.after),
                f"{each.effect:.2f}",
            ]
            for each in changes[:limit]
        ],
        empty="no batch changed anything that chance would not",
    )
    if len(changes) > limit:
        write_note(f"and {len(changes) - limit} lesser changes: --limit {len(changes)}")


def _judged(frame: "pl.DataFrame", target: str, *, asked: bool) -> "Judged | None":
    """Probabilities of the target's classes; one without classes is passed over, unless it was asked for."""
    from charkh.workspace.judging import judge_labels

    try:
        return judge_labels(frame, target)
    except Invalid as error:
        if asked or error.code != "check.cannot_judge":
            raise
        write_note(f"wrong labels are not looked for: {error.message}")
        return None


def _shown(measure: str, before: float, after: float) -> tuple[str, str]:
    if measure == "distribution":
        return "", ""
    return (f"{before:.2%}", f"{after:.2%}") if measure != "mean" else (f"{before:.4g}", f"{after:.4g}")
