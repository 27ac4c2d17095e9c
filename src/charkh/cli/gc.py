"""`charkh gc`: free what nothing holds, list the trash, undo the last collection."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from charkh.cli.opening import open_own_workspace
from charkh.cli.output import (
    AsJson,
    shown_count,
    shown_size,
    shown_time,
    write_json,
    write_line,
    write_note,
    write_table,
)
from charkh.cli.waiting import say_who
from charkh.core.errors import Invalid
from charkh.workspace.locks import patience

if TYPE_CHECKING:
    from charkh.workspace.collecting import GcReport


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be freed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Free it without asking.")] = False,
    trash: Annotated[bool, typer.Option("--trash", help="List what collections took out.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Put back what the last collection took out.")] = False,
    dismiss: Annotated[
        str, typer.Option(help="The store of another workspace that is no more: what only it holds may go.")
    ] = "",
    json: AsJson = False,
) -> None:
    """Free the bytes that nothing holds.

    They stay in a trash for 14 days first, or for what [gc] grace says.
    """
    # The collector is imported by the command that collects.
    from charkh.assets.trash import list_trash
    from charkh.workspace.collecting import collect_garbage, undo_collection
    from charkh.workspace.sharing import dismiss as dismiss_workspace

    asked = [trash, undo, bool(dismiss)]
    if sum(asked) > 1 or (any(asked) and (dry_run or yes)):
        raise Invalid(
            "--trash, --undo and --dismiss are each asked for alone", code="gc.one_thing", hint="Say one of them."
        )
    with open_own_workspace("bytes are collected") as workspace:
        if trash:
            listed = list_trash(workspace.vault)
            if json:
                write_json(listed)
                return
            write_table(
                ["pack", "records", "size", "since", ""],
                [
                    [each.pack[:16], each.records, shown_size(each.size), shown_time(each.since), "last" * each.last]
                    for each in listed
                ],
                empty="the trash is empty",
            )
            return
        if undo:
            restored = undo_collection(workspace)
            if json:
                write_json({"restored": restored})
            else:
                write_line(f"{shown_count(len(restored), 'pack')} of the last collection are back")
            return
        if dismiss:
            dismiss_workspace(workspace, dismiss)
            if json:
                write_json({"dismissed": dismiss})
            else:
                write_line(f"the workspace with the store {dismiss} is forgotten; `charkh gc` frees what only it held")
            return
        if not dry_run and not yes:
            if json or not sys.stdin.isatty():
                raise Invalid(
                    "gc frees bytes and was not told to",
                    code="gc.not_confirmed",
                    hint="Look with `charkh gc --dry-run` first, then say --yes.",
                )
            found = collect_garbage(workspace, dry_run=True)
            _write(found)
            typer.confirm("free them?", abort=True)
        report = collect_garbage(workspace, dry_run=dry_run, timeout=patience(), waits=say_who)
        grace = workspace.settings.gc.grace
    if json:
        write_json(report)
        return
    _write(report)
    if not dry_run and report.collected.trashed:
        write_note(f"they lie in the trash for {grace}; `charkh gc --undo` brings them back")


def _write(report: "GcReport") -> None:
    done = report.collected
    verb = "would free" if done.dry_run else "freed"
    freed, held = shown_count(len(done.freed), "record"), shown_count(done.live, "record")
    write_line(f"{verb} {shown_size(done.freed_bytes)} in {freed}; held: {held}")
    if report.deleted:
        named = ", ".join(each.title for each in report.deleted[:10])
        more = f" and {len(report.deleted) - 10} more" if len(report.deleted) > 10 else ""
        write_line(f"of what was deleted: {named}{more}")
    if done.young:
        write_note(f"{shown_count(done.young, 'pack')} with more to free were written just now and wait: [gc] young")
    if done.emptied:
        write_line(f"{shown_count(done.emptied, 'pack')} left the trash: {shown_size(done.emptied_bytes)}")
    if report.workspaces:
        write_line(f"{shown_count(report.workspaces, 'other workspace')} on this medium: what they hold is kept")
    for each in report.waiting:
        write_line(
            f"{each.folder} on {each.host} has said nothing for {each.days:g} days: the trash waits for it; run"
            f" `charkh gc` there, or here `charkh gc --dismiss {each.store}`"
        )
    if report.unreadable:
        write_line("cannot be read whole:")
        write_table(["what", "files"], [[each.title, each.count] for each in report.unreadable])
    if done.missing:
        write_note(f"{len(done.missing)} held digests are missing; `charkh fsck` names them")
