"""`charkh model trust` and `distrust`: whether the code that a version's files bring may run, apart."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from charkh.cli.moments import moment_of
from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_count, shown_time, write_json, write_line, write_note
from charkh.core.errors import Invalid
from charkh.models.find import find
from charkh.models.governance import TrustDecision
from charkh.models.governance_index import TrustDecisions
from charkh.models.load import judge
from charkh.models.trust import distrust as distrust_files
from charkh.models.trust import is_trusted
from charkh.models.trust import trust as trust_files
from charkh.ports.runtimes import Safety
from charkh.workspace.governing import rules_of

Ref = Annotated[str, typer.Argument(help="A version: delay@3, delay@champion or model:ID.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in a sentence; it is kept for good.")]
SHORT = 12


def trust(
    model: Ref,
    reason: Reason = "",
    yes: Annotated[str, typer.Option("--yes", metavar="DIGEST", help="Do not ask: these are the bytes I mean.")] = "",
    expires: Annotated[str, typer.Option("--expires", help="Until when it counts: 2026-12-31, or 30d from now.")] = "",
    json: AsJson = False,
) -> None:
    """Let the code of a version's files run, in a process of its own; without --reason, show what it would do."""
    with open_workspace() as workspace:
        store = workspace.store
        version = find(store, model)
        safety = judge(store, version, runtimes=workspace.runtimes)
        digest = version.made.tree.root
        if not reason:
            trusted = is_trusted(store, digest, trusters=rules_of(workspace).trusters)
            _show(version.ref, digest, safety, trusted, store.queries.ask(TrustDecisions(digest=digest)), json=json)
            return
        until = moment_of(expires) if expires else None
        write_note(f"{version.ref}: {safety.level}, {shown_count(version.made.tree.files, 'file')}, digest {digest}")
        for each in safety.reasons:
            write_note(f"  {each}")
        _confirm(digest, yes)
        trust_files(store, version.id, reason, safety=safety, expires=until)
    if json:
        write_json({"trusted": version.ref, "digest": digest, "expires": until})
        return
    write_line(f"{version.ref} is trusted: its code runs in a process of its own where it is loaded")


def distrust(
    model: Ref,
    reason: Annotated[str, typer.Option("--reason", help="Why, in a sentence.")],
    json: AsJson = False,
) -> None:
    """Let nothing load a version's files any more, under whatever name they are, from the next load on."""
    with open_workspace() as workspace:
        version = find(workspace.store, model)
        digest = distrust_files(workspace.store, version.id, reason)
    if json:
        write_json({"distrusted": version.ref, "digest": digest})
        return
    write_line(f"{version.ref} is distrusted: nothing loads it any more")


def _confirm(digest: str, yes: str) -> None:
    said = yes
    if not said:
        if not sys.stdin.isatty():
            raise Invalid(
                "a decision about trust is confirmed",
                code="model.not_confirmed",
                hint=f"Look at the reasons above, and say: --yes {digest[:SHORT]}",
            )
        said = typer.prompt(f"These bytes may run code. Type the first {SHORT} characters of their digest", err=True)
    if len(said) < SHORT or not digest.startswith(said):
        raise Invalid(
            f"{said[:80]!r} is not how the digest begins",
            code="model.not_confirmed",
            hint=f"It is {digest[:SHORT]}…, and at least {SHORT} characters are asked for.",
        )


def _show(
    ref: str, digest: str, safety: Safety, trusted: bool, decisions: Sequence[TrustDecision], *, json: bool
) -> None:
    if json:
        write_json({"version": ref, "digest": digest, "safety": safety, "trusted": trusted, "decisions": decisions})
        return
    write_line(f"{ref}: {safety.level}, {'trusted' if trusted else 'not trusted'}; digest {digest}")
    for each in safety.reasons:
        write_line(f"  {each}")
    for each in decisions:
        word = "trusted" if each.trusted else "distrusted"
        until = f" until {shown_time(each.expires)}" if each.expires is not None else ""
        past = "" if each.current else " (replaced)"
        write_line(f"{word}{until} by {each.actor}, {shown_time(each.at)}: {each.reason}{past}")
    if safety.runs_code and not trusted:
        write_note(f"next: charkh model trust {ref} --reason 'who made it, and what you looked at'")
