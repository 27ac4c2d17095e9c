"""Verify a store: the journal against its chain, the catalog against the journal, the bytes against their digests.

It deletes nothing but copies in caches. With `repair`, damaged packs are set aside, what is sound in them is written
anew, and the index of chunks is made again. With `refetch`, what is damaged or missing is brought from remotes and from
working copies.
"""

from collections.abc import Callable

import msgspec

from charkh.assets.adopt import adopted_problems
from charkh.assets.contents import check_contents
from charkh.assets.verify import Level, Problem, VerifyReport, verify
from charkh.core.errors import CharkhError
from charkh.lineage.index import HeldDigests, HoldersOf
from charkh.ports.projections import Describe
from charkh.stores.audit import AuditReport, verify_chain
from charkh.stores.journal_folder import FolderJournal
from charkh.workspace.damage import Affected, Damage
from charkh.workspace.fsck_caches import check_caches, unreadable_predictions
from charkh.workspace.refetch import refetch as bring
from charkh.workspace.workspace import Workspace

MAX_HOLDERS = 3


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        journal: the sealed segments against their chain; None for a journal in a database, which has no chain.
        set_aside: events that nobody could read: (event, projection, reason).
        bytes: packs, index and what is held.
        problems: all of it in words, as it is now: after what was mended.
        affected: what cannot be read whole.
        caches: damaged files of caches, which were deleted; looked at with everything alone.
        fetched: how many missing digests were brought back.
        mended: what was wrong and is not any more, in words.
    """

    journal: AuditReport | None
    set_aside: tuple[tuple[str, str, str], ...]
    bytes: VerifyReport
    problems: tuple[str, ...]
    affected: tuple[Affected, ...] = ()
    caches: int = 0
    fetched: int = 0
    mended: tuple[str, ...] = ()

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
        facts, sealed = _counted(told.facts, "fact"), _counted(told.segments, "sealed segment")
        return f"{facts} in {sealed}, {_counted(told.waiting, 'segment')} open"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def check_store(
    workspace: Workspace,
    *,
    level: Level = "index",
    repair: bool = False,
    refetch: bool = False,
    progress: Callable[[int], None] | None = None,
) -> CheckReport:
    """Verify the store of a workspace.

    Args:
        workspace: whose store.
        level: how thoroughly packs are read: their lists, some records, or every byte. The last one puts whole files
            together, too, reads sealed predictions and looks through the caches.
        repair: set damaged packs aside and save what is sound in them; make a wrong index anew.
        refetch: repair, then bring what is missing from remotes and working copies.
        progress: called with the number of packs looked at since the last call.

    Raises:
        Unavailable: the store cannot be read, or with `refetch` a remote cannot be reached.
    """
    journal = workspace.journal
    chain = verify_chain(journal) if isinstance(journal, FolderJournal) else None
    problems = [f"journal: {each.code}: {each.detail}" for each in (chain.problems if chain else ())]
    try:
        aside = tuple(workspace.catalog.set_aside())
        roots = workspace.store.queries.ask(HeldDigests())
    except CharkhError as error:
        problems.append(f"catalog: {error.message}")
        problems.append("bytes: not looked at; what is held or erased cannot be told before the journal is mended")
        return CheckReport(journal=chain, set_aside=(), bytes=VerifyReport(level=level), problems=tuple(problems))
    problems += [f"catalog: event {event} ({noun or 'every noun'}): {reason}" for event, noun, reason in aside]
    found = verify(workspace.vault, level=level, roots=roots, repair=repair or refetch, progress=progress)
    fetched, mended = 0, ()
    if (repair or refetch) and found.problems:
        missing = _missing(found)
        if refetch and missing:
            fetched = len(missing) - len(bring(workspace, missing))
        before = found
        found = verify(workspace.vault, level=level, roots=roots)
        found.quarantined, found.saved, found.lost = before.quarantined, before.saved, before.lost
        mended = tuple(_told(workspace, each) for each in before.problems if each not in found.problems)
    found.problems += adopted_problems(workspace.vault, read=level == "everything")
    caches = 0
    if level == "everything":
        found.problems += check_contents(workspace.vault, roots)
        problems += [f"predictions: {each}" for each in unreadable_predictions(workspace)]
        caches = check_caches(workspace)
    problems += [_told(workspace, each) for each in found.problems]
    affected = Damage(workspace, _missing(found) | _damaged(found)).affected()
    return CheckReport(
        journal=chain,
        set_aside=aside,
        bytes=found,
        problems=tuple(problems),
        affected=affected,
        caches=caches,
        fetched=fetched,
        mended=mended,
    )


def _missing(report: VerifyReport) -> set[str]:
    return {each.digest for each in report.problems if each.what == "missing" and each.digest}


def _damaged(report: VerifyReport) -> set[str]:
    return {each.digest for each in report.problems if each.what in {"pack", "content"} and each.digest}


def _told(workspace: Workspace, problem: Problem) -> str:
    name = problem.pack or problem.digest
    told = f"{problem.what} {name[:16]}: {problem.detail}" if name else f"{problem.what}: {problem.detail}"
    if problem.what != "missing":
        return told
    holders = workspace.store.queries.ask(HoldersOf(digest=problem.digest))
    described = [(each, workspace.store.queries.ask(Describe(subject=each))) for each in holders[:MAX_HOLDERS]]
    named = ", ".join(each if found is None else found.title for each, found in described)
    more = f" and {len(holders) - MAX_HOLDERS} more" if len(holders) > MAX_HOLDERS else ""
    return f"{told}; held by {named or 'something inside a tree'}{more}"
