"""Verify a store: the journal against its chain, the catalog against the journal, the bytes against their digests.

It deletes nothing. With `repair`, damaged packs are set aside, what is sound in them is written anew, and
the index of chunks is made again.
"""

from collections.abc import Callable

import msgspec

from charkh.assets.verify import Level, VerifyReport, verify
from charkh.lineage.index import HeldDigests, HoldersOf
from charkh.stores.audit import AuditReport, verify_chain
from charkh.stores.journal_folder import FolderJournal
from charkh.workspace.workspace import Workspace

MAX_HOLDERS = 3


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        journal: the sealed segments against their chain; None for a journal in a database, which has no chain.
        set_aside: events that nobody could read: (event, projection, reason).
        bytes: packs, index and what is held.
        problems: all of it in words.
    """

    journal: AuditReport | None
    set_aside: tuple[tuple[str, str, str], ...]
    bytes: VerifyReport
    problems: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def journal_line(self) -> str:
        """The journal in a line."""
        if self.journal is None:
            return "in a database, which keeps no chain of its own"
        told = self.journal
        return f"{told.facts} facts in {told.segments} sealed segments, {told.waiting} segments open"


def check_store(
    workspace: Workspace,
    *,
    level: Level = "index",
    repair: bool = False,
    progress: Callable[[int], None] | None = None,
) -> CheckReport:
    """Verify the store of a workspace.

    Args:
        workspace: whose store.
        level: how thoroughly packs are read: their lists, some records, or every byte.
        repair: set damaged packs aside and save what is sound in them; make a wrong index anew.
        progress: called with the number of packs looked at since the last call.

    Raises:
        Unavailable: the store cannot be read.
    """
    journal = workspace.journal
    chain = verify_chain(journal) if isinstance(journal, FolderJournal) else None
    aside = tuple(workspace.catalog.set_aside())
    roots = workspace.store.queries.ask(HeldDigests())
    found = verify(workspace.vault, level=level, roots=roots, repair=repair, progress=progress)
    problems = [f"journal: {each.code}: {each.detail}" for each in (chain.problems if chain else ())]
    problems += [f"catalog: event {event} ({noun or 'every noun'}): {reason}" for event, noun, reason in aside]
    problems += [_told(workspace, each.what, each.detail, each.pack, each.digest) for each in found.problems]
    return CheckReport(journal=chain, set_aside=aside, bytes=found, problems=tuple(problems))


def _told(workspace: Workspace, what: str, detail: str, pack: str, digest: str) -> str:
    named = f" {pack[:16]}" if pack else f" {digest[:16]}" if digest else ""
    if what != "missing":
        return f"{what}{named}: {detail}"
    holders = workspace.store.queries.ask(HoldersOf(digest=digest))
    who = ", ".join(holders[:MAX_HOLDERS]) + (f" and {len(holders) - MAX_HOLDERS} more" * (len(holders) > MAX_HOLDERS))
    return f"{what}{named}: {detail}; held by {who or 'something inside a tree'}"
