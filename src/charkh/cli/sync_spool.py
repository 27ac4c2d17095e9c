"""`charkh sync` on a machine that records to a server: ship what waits, or say what does."""

import time

from charkh.cli.output import shown_count, write_json, write_line, write_note, write_pairs
from charkh.core.errors import Bug, Unavailable
from charkh.workspace.spool import SpooledWorkspace, Waiting
from charkh.workspace.workspace import Workspace

PATIENCE = 30.0
"""Seconds without anything shipped after which it is said that it takes longer."""
TROUBLED = 5.0
"""The same where the last attempt failed."""


def ship(workspace: Workspace, *, json: bool) -> None:
    """Ship what waits.

    Raises:
        Unavailable: the server does not answer; what waits is kept.
    """
    spooled = _spooled(workspace)
    spooled.seal_left()
    spooled.start_shipping()
    before = found = spooled.waiting()
    since = time.monotonic()
    while found.facts or found.packs:
        if time.monotonic() - since > (TROUBLED if found.trouble else PATIENCE):
            raise Unavailable(
                f"{_said(found)} not at {found.url} yet: {found.trouble or 'it takes longer than that'}",
                code="sync.not_shipped",
                hint="Nothing is lost: run it again when the server answers, or look with `charkh sync --status`.",
            )
        spooled.ship(1.0)
        last, found = found, spooled.waiting()
        if (found.facts, found.packs) != (last.facts, last.packs):
            since = time.monotonic()
    if json:
        write_json({"url": found.url, "facts": before.facts, "packs": before.packs, "growing": found.growing})
        return
    shipped = before.facts or before.packs
    write_line(f"{found.url}: {f'{_said(before)} there now' if shipped else 'nothing waits'}")
    if found.growing:
        write_line(f"{shown_count(found.growing, 'segment')} of scripts that run now, shown there while they grow")


def show_status(workspace: Workspace, *, json: bool) -> None:
    """Say what waits."""
    found = _spooled(workspace).waiting()
    if json:
        write_json(found)
        return
    write_pairs(
        [
            ("server", found.url),
            ("kept in", found.folder),
            ("waiting", "nothing" if found.nothing else _all_of(found)),
            ("last trouble", found.trouble or "none"),
            ("shipping", "yes" if found.shipping else "no: `charkh sync` or the next run begins it"),
        ]
    )
    for name, reason in found.refused.items():
        write_note(f"not taken over there: {name[:16]}: {reason}")


def _said(found: Waiting) -> str:
    one = found.facts + found.packs == 1
    return f"{shown_count(found.facts, 'fact')} and {shown_count(found.packs, 'pack')} {'is' if one else 'are'}"


def _all_of(found: Waiting) -> str:
    return ", ".join(
        shown_count(count, what)
        for count, what in ((found.facts, "fact"), (found.packs, "pack"), (found.segments, "open segment"))
        if count
    )


def _spooled(workspace: Workspace) -> SpooledWorkspace:
    if not isinstance(workspace, SpooledWorkspace):
        raise Bug("a workspace with a store of its own has nothing to ship")
    return workspace
