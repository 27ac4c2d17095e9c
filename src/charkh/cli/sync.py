"""`charkh sync`: exchange facts and bytes with a colleague, through whatever both of you reach."""

from typing import TYPE_CHECKING, Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, progress, shown_count, shown_size, write_json, write_line, write_note, write_table
from charkh.core.errors import Incomplete, Invalid

if TYPE_CHECKING:
    from charkh.workspace.syncing import SyncReport


STATUS = "status"
"""A remote of this name has to be in charkh.toml; else the word means what `--status` does."""


def sync(
    remote: Annotated[
        str, typer.Argument(help="A remote of charkh.toml, a folder or an address; the default one when left out.")
    ] = "",
    push: Annotated[bool, typer.Option("--push", help="Only send.")] = False,
    pull: Annotated[bool, typer.Option("--pull", help="Only take.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Take the bytes of this version or run alone, and all facts; may be repeated."),
    ] = None,
    facts_only: Annotated[bool, typer.Option("--facts-only", help="Take facts without their bytes.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read back what the remote says it has, and mend it from here.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would move.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Only say what no remote is known to have.")] = False,
    json: AsJson = False,
) -> None:
    """Exchange facts and bytes with a remote, both ways.

    Bytes go first. Interrupted, it goes on where it was; a second sync moves nothing.
    """
    if push and pull:
        push = pull = False
    if facts_only and only:
        raise Invalid(
            "--facts-only takes no bytes, and --only takes some",
            code="sync.facts_only",
            hint="Say one of the two.",
        )
    with open_workspace() as workspace:
        if workspace.is_remote:
            # Here, because only a machine that records to a server has something to ship.
            from charkh.cli.sync_spool import ship, show_status

            (show_status if status or remote == STATUS else ship)(workspace, json=json)
            return
        named = remote in workspace.settings.remote
    if status or (remote == STATUS and not named):
        _status(json=json)
        return
    # What moves bytes is imported by the command that moves them.
    from charkh.workspace.syncing import sync as exchange

    with open_workspace() as workspace, progress("exchanging", unit="bytes") as advance:
        report = exchange(
            workspace,
            remote,
            push=not pull,
            pull=not push,
            only=only or (),
            facts_only=facts_only,
            verify=verify,
            dry_run=dry_run,
            progress=advance,
        )
    if json:
        write_json(report)
    else:
        _write_report(report)
    if not report.complete:
        raise Incomplete(
            " and ".join(_lacking(report)),
            code="sync.incomplete",
            hint="Everything else was exchanged. Ask whoever made them to sync, or run `charkh sync --verify` there; "
            "`charkh fsck` names what holds them.",
            facts={"missing": list(report.missing), "problems": list(report.problems)},
        )


def _lacking(report: "SyncReport") -> list[str]:
    missing, broken = len(report.missing), len(report.problems)
    return [
        *([f"{shown_count(missing, 'piece')} {'is' if missing == 1 else 'are'} on neither side"] if missing else []),
        *([f"{shown_count(broken, 'thing')} could not be read"] if broken else []),
    ]


def _write_report(report: "SyncReport") -> None:
    would = "would " if report.dry_run else ""
    moved = [
        f"{would}{verb} {_amount(facts, packs, size)}"
        for verb, facts, packs, size in (
            ("send" if would else "sent", report.facts_sent, report.packs_sent, report.bytes_sent),
            ("take" if would else "took", report.facts_taken, report.packs_taken, report.bytes_taken),
        )
        if facts or size
    ]
    place = report.address if report.unnamed else f"{report.remote} ({report.address})"
    write_line(f"{place}: {'; '.join(moved) or 'nothing to exchange'}")
    if report.erased:
        write_line(f"erased bytes were taken out of {shown_count(report.erased, 'pack')} over there")
    if report.repaired:
        write_line(f"{shown_count(report.repaired, 'damaged object')} over there set aside, and sent again from here")
    for each in report.conflicts:
        write_line(f"{each.noun} {each.ref} was made {len(each.refs)} times apart: {', '.join(each.refs)}")
    for each in report.conflicts:
        if each.noun == "dataset" and len(each.refs) == 2:
            write_note(f"  one version of both: charkh dataset merge {' '.join(each.refs)}")
    for line in report.problems:
        write_note(line)


def _amount(facts: int, packs: int, size: int) -> str:
    told = [shown_count(facts, "fact")] if facts else []
    if size:
        told.append(shown_size(size) + (f" in {shown_count(packs, 'pack')}" if packs else ""))
    return " and ".join(told)


def _status(*, json: bool) -> None:
    # As above.
    from charkh.workspace.sync_status import sync_status

    with open_workspace() as workspace:
        found = sync_status(workspace)
    if json:
        write_json(found)
        return
    if not found.remotes:
        write_note("no remote is configured: everything is only here")
    write_table(
        ["only here", "what", "subject"],
        [[each.title, each.noun, each.subject] for each in found.only_here],
        empty="nothing is only here",
    )
