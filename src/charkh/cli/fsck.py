"""`charkh fsck`: verify the store in three levels, say what damage means, and mend what can be mended."""

from typing import Annotated

import typer

from charkh.cli.opening import open_own_workspace
from charkh.cli.output import AsJson, progress, shown_count, write_json, write_line, write_pairs, write_table
from charkh.core.errors import Corrupt


def fsck(
    sample: Annotated[bool, typer.Option("--sample", help="Read some records of each pack too.")] = False,
    everything: Annotated[
        bool, typer.Option("--everything", help="Read and verify every byte, whole files and caches too.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Set damaged packs aside, and write what is sound in them anew.")
    ] = False,
    refetch: Annotated[
        bool, typer.Option("--refetch", help="Repair, then bring what is missing from remotes and working copies.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Verify the store; nothing is deleted.

    The journal's chain, the catalog, the packs, and that everything held is there.
    """
    # The walk over all bytes is imported by the command that does it.
    from charkh.workspace.fsck import check_store

    level = "everything" if everything else "sample" if sample else "index"
    with open_own_workspace("the store is verified") as workspace, progress("verifying", unit="packs") as advance:
        report = check_store(workspace, level=level, repair=repair, refetch=refetch, progress=advance)
    if json:
        write_json({"sound": report.sound, "report": report})
    else:
        lost = len(report.set_aside)
        packs, records = shown_count(report.bytes.packs, "pack"), shown_count(report.bytes.records, "record")
        write_pairs(
            [
                ("journal", report.journal_line),
                ("catalog", f"{shown_count(lost, 'event')} put aside" if lost else "every event was read"),
                ("bytes", f"{packs}, {records} read ({level})"),
                *((("caches", f"damaged copies deleted: {report.caches}"),) if report.caches else ()),
                *((("set aside", ", ".join(report.bytes.quarantined)),) if report.bytes.quarantined else ()),
                *((("brought back", shown_count(report.fetched, "digest")),) if report.fetched else ()),
            ]
        )
        for line in report.mended:
            write_line(f"mended: {line}")
        for line in report.problems:
            write_line(line)
        if report.affected:
            write_line("cannot be read whole:")
            write_table(
                ["what", "files", "such as"],
                [[each.title, each.count, ", ".join(each.files[:3])] for each in report.affected],
            )
    if not report.sound:
        raise Corrupt(
            f"{shown_count(len(report.problems), 'thing')} not as written; nothing was deleted",
            code="store.corrupt",
            hint="`charkh fsck --refetch` brings them from remotes and working copies; restore the rest from a copy.",
        )
