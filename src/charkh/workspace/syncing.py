"""Sync: bytes first, then the facts that point at them, both ways between this store and a remote.

Nothing is asked of the other side but what a medium gives, so two machines may sync at once. Interrupted, it goes on at
the pack where it was. What both sides were known to have whole is remembered (`remote_record`), so that a second sync
looks at nothing but two lists.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from charkh.assets.shelf import PACKS, TRASH
from charkh.assets.survey import Survey, stored_size
from charkh.assets.transfer import move
from charkh.assets.verify import verify as verify_packs
from charkh.core.errors import Bug, Conflict, Corrupt, Locked, NotFound
from charkh.lineage.index import HeldDigests, Holds
from charkh.ports.exchange import PULL_BYTES, Part, portions
from charkh.ports.remote import Remote
from charkh.stores.blobs_encrypted import EncryptedBlobs
from charkh.stores.exchange_blobs import FACTS, BlobsExchange
from charkh.workspace.conflicts import SyncConflict, conflicts_in
from charkh.workspace.incoming import Incoming
from charkh.workspace.purging import purge
from charkh.workspace.remotes import UNNAMED, exchange_of, named_remotes, open_remote
from charkh.workspace.resolving import resolve
from charkh.workspace.sides import COLLECTED, Sides
from charkh.workspace.whereabouts import kept_at
from charkh.workspace.workspace import Workspace

Progress = Callable[[int], None]
ATTEMPTS = 3
"""A collection over there may take what was relied upon; so often it is sent again."""


class SyncReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a sync moved, or with `dry_run` would move.

    Attributes:
        remote: name of the remote.
        address: of it, without credentials.
        dry_run: nothing was changed.
        facts_sent: facts that the remote had not.
        facts_taken: facts that this store had not.
        bytes_sent: bytes in the packs that were written there.
        bytes_taken: bytes in the packs that were written here.
        packs_sent: packs that were written there.
        packs_taken: packs that were written here.
        conflicts: names with a number that several authors took, among what was taken now.
        missing: digests that are held and that neither side has.
        problems: what could not be read, in words; nothing of it was taken.
        repaired: packs and objects with facts that were damaged there and set aside.
        erased: packs of the remote that were written anew without what was erased.
    """

    remote: str
    address: str
    dry_run: bool = False
    facts_sent: int = 0
    facts_taken: int = 0
    bytes_sent: int = 0
    bytes_taken: int = 0
    packs_sent: int = 0
    packs_taken: int = 0
    conflicts: tuple[SyncConflict, ...] = ()
    missing: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    repaired: int = 0
    erased: int = 0

    @property
    def unnamed(self) -> bool:
        """Whether the remote was given by its address and has no name in the settings."""
        return self.remote.startswith(UNNAMED)

    @property
    def complete(self) -> bool:
        """Whether everything that had to move has moved."""
        return not self.missing and not self.problems


class _Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a sync was asked to do."""

    push: bool
    pull: bool
    only: tuple[str, ...]
    facts_only: bool
    verify: bool
    dry_run: bool

    @property
    def partly(self) -> bool:
        """Whether facts are taken without all of their bytes."""
        return self.facts_only or bool(self.only)


def sync(
    workspace: Workspace,
    remote: str = "",
    *,
    push: bool = True,
    pull: bool = True,
    only: Sequence[str] = (),
    facts_only: bool = False,
    verify: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> SyncReport:
    """Exchange with a remote until both sides have the same facts, and the bytes that they point at.

    Args:
        workspace: this side.
        remote: its name or address; the default one of the settings by default.
        push: send what the remote lacks.
        pull: take what is lacking here.
        only: references (`flights@3`, `delay`, `run:1f3a`); bytes of nothing else are taken. Facts are.
        facts_only: take facts without their bytes; a later sync brings them.
        verify: read back everything that the remote says it has, set aside what is damaged, and send it again.
        dry_run: only say what would move.
        progress: called with the bytes that were moved since the last call.

    Raises:
        NotFound: there is no such remote, or nothing has a name in `only`.
        Unavailable: the remote or this disk cannot be used; what was moved before stays.
        Conflict: the remote was being collected all the while.
        Denied: the remote's key or permissions refuse.
    """
    wish = _Wish(push=push, pull=pull, only=tuple(only), facts_only=facts_only, verify=verify, dry_run=dry_run)
    if push and not dry_run:
        _seal(workspace)
    workspace.vault.flush()
    opened = open_remote(workspace, remote, create=push and not dry_run)
    for attempt in range(1, ATTEMPTS + 1):
        incoming = Incoming()
        try:
            with Sides(workspace, opened, progress) as sides:
                return _sync(workspace, opened, sides, incoming, wish)
        except Conflict as error:
            if error.code != COLLECTED or attempt == ATTEMPTS:
                raise
        finally:
            incoming.close()
    raise Bug("a sync neither ended nor failed")


def fetch(workspace: Workspace, digests: Iterable[str], remote: str = "") -> tuple[str, ...]:
    """Bring chunks and trees, and everything below them, from remotes; what nobody has is returned.

    Args:
        workspace: that lacks them.
        digests: of chunks, chunk lists or trees.
        remote: where to look; every remote of the settings by default.

    Raises:
        Unavailable: the only remote cannot be reached.
    """
    wanted = sorted(set(digests))
    missing = set(wanted)
    names = [remote] if remote else list(named_remotes(workspace))
    workspace.vault.flush()
    for name in names:
        if not missing:
            break
        with Sides(workspace, open_remote(workspace, name)) as sides:
            sides.there.shelf.refresh()
            survey = Survey(sides.here, sides.there)
            survey.walk(wanted, bring=True)
            moved = move(sides.there, sides.here, survey.pull)
            missing = {digest.hex() for digest in survey.nowhere | survey.failed.keys() | moved.failed.keys()}
    return tuple(sorted(missing))


def missing_at(workspace: Workspace, remote: str, digests: Iterable[str]) -> tuple[str, ...]:
    """Which of these, or something below them, a remote does not have.

    Args:
        workspace: whose settings name the remote; it need not have the bytes itself.
        remote: name or address; the default one when empty.
        digests: of chunks, chunk lists or trees.
    """
    found: list[str] = []
    workspace.vault.flush()
    with Sides(workspace, open_remote(workspace, remote, create=False)) as sides:
        sides.refresh()
        for digest in sorted(set(digests)):
            survey = sides.survey(dry=True)
            survey.walk([digest], bring=True)
            if survey.push or survey.nowhere or survey.failed:
                found.append(digest)
    return tuple(found)


def only_here(workspace: Workspace) -> frozenset[str]:
    """Held digests that are here and that no remote is known to have whole; from memory, without asking any."""
    roots = workspace.store.queries.ask(HeldDigests())
    here = workspace.vault.shelf.index.find([bytes.fromhex(root) for root in roots])
    kept = kept_at(workspace, [digest.hex() for digest in here])
    return frozenset(digest for digest, names in kept.items() if not names)


def _seal(workspace: Workspace) -> None:
    """Seal metric points and predictions: unsealed ones are this machine's alone."""
    if workspace.journal.list_data():
        # Here, because Polars is loaded for it, which takes as long as a sync with nothing to do.
        from charkh.workspace.sealing import seal_all

        seal_all(workspace)


def _sync(workspace: Workspace, remote: Remote, sides: Sides, incoming: Incoming, wish: _Wish) -> SyncReport:
    """All of it, in the order that leaves no pointer without its bytes."""
    own = exchange_of(workspace.journal)
    repaired = _verified(remote, sides) if wish.verify and not wish.dry_run else 0
    # What is recorded from here on waits for the next sync: its bytes may not be among those that are sent now.
    mine, theirs = dict(own.known()), dict(remote.facts.known())
    incoming.gather(remote.facts.parts(mine))
    sides.learn(incoming.erased)
    sides.refresh()
    erased = sides.expunge() if wish.push and not wish.dry_run else 0
    if wish.pull and wish.partly and not wish.dry_run:
        _take(own.take, incoming)
    survey = _compared(workspace, sides, incoming, wish)
    if not wish.dry_run:
        if wish.pull:
            sides.pull(survey)
        if wish.push:
            sides.push(survey)
        if wish.pull and not wish.partly:
            _take(own.take, incoming)
        if wish.push:
            sides.check_relied(survey)
            _take(remote.facts.take, _lacking(own.parts(theirs), mine))
        _remember(sides, survey, wish)
        sides.record.say("address", remote.address)
        if wish.pull and incoming.erased:
            _purge(workspace, sides)
    facts = remote.facts
    unread = facts.problems.values() if isinstance(facts, BlobsExchange) else ()
    return SyncReport(
        remote=remote.name,
        address=remote.address,
        dry_run=wish.dry_run,
        facts_sent=sum(max(0, count - theirs.get(segment, 0)) for segment, count in mine.items()) if wish.push else 0,
        facts_taken=len(incoming) if wish.pull else 0,
        bytes_sent=stored_size(survey.push) if wish.dry_run and wish.push else sides.sent.size,
        bytes_taken=stored_size(survey.pull) if wish.dry_run and wish.pull else sides.taken.size,
        packs_sent=sides.sent.packs,
        packs_taken=sides.taken.packs,
        conflicts=conflicts_in(workspace.store, incoming.named) if wish.pull else (),
        missing=tuple(sorted(digest.hex() for digest in survey.nowhere)),
        problems=(*unread, *survey.failed.values(), *sides.problems),
        repaired=repaired,
        erased=erased,
    )


def _purge(workspace: Workspace, sides: Sides) -> None:
    """Let what others erased leave this machine, too."""
    try:
        purge(workspace)
    except Locked:
        sides.problems.append("here: a collection is under way; what others erased leaves with the next one")


def _compared(workspace: Workspace, sides: Sides, incoming: Incoming, wish: _Wish) -> Survey:
    survey = sides.survey(dry=wish.dry_run)
    roots = workspace.store.queries.ask(HeldDigests())
    if wish.pull and wish.only:
        survey.walk(_held_by(workspace, wish.only), bring=True)
    elif wish.pull and not wish.facts_only:
        survey.walk({*roots, *incoming.held}, bring=True)
    if wish.push:
        survey.walk(roots, bring=False)
    return survey


def _held_by(workspace: Workspace, refs: Sequence[str]) -> set[str]:
    """The digests that hold what is meant by references."""
    subjects = {resolve(workspace.store, ref) for ref in refs}
    return {digest for subject, digest in workspace.store.queries.ask(Holds()) if subject in subjects}


def _take(take: Callable[[Sequence[Part]], int], portions: Iterable[list[Part]]) -> None:
    for portion in portions:
        take(portion)


def _lacking(parts: Iterable[Part], until: Mapping[str, int]) -> Iterator[list[Part]]:
    """The parts, no further than was known when the bytes were compared, as many at a time as are taken at once."""
    known = (part._replace(payloads=part.payloads[: max(0, until.get(part.segment, 0) - part.seq)]) for part in parts)
    return portions(known, PULL_BYTES)


def _verified(remote: Remote, sides: Sides) -> int:
    """Read back what the remote says it has, and set aside what is damaged; how much that was."""
    damaged = _tampered(remote.blobs) if isinstance(remote.blobs, EncryptedBlobs) else 0
    report = verify_packs(sides.there, level="everything", repair=not remote.keeps_itself)
    damaged += len(report.quarantined)
    if remote.keeps_itself and report.problems:
        raise Corrupt(
            f"{len(report.problems)} packs of {remote.address} are damaged",
            code="remote.damaged",
            hint="Run `charkh fsck --everything --repair` where that server is, and sync again.",
        )
    facts = remote.facts
    if isinstance(facts, BlobsExchange):
        facts.verify(repair=True)
        damaged += len(facts.problems)
    sides.record.forget()
    return damaged


def _tampered(blobs: EncryptedBlobs) -> int:
    """Set aside what does not open, so that the rest can be verified like any other medium; how much that was."""
    found = 0
    for info in [each for folder in (PACKS, TRASH, FACTS) for each in blobs.list(folder)]:
        try:
            blobs.get(info.key)
        except Corrupt:
            blobs.set_aside(info.key)
            found += 1
        except NotFound:
            continue
    return found


def _remember(sides: Sides, survey: Survey, wish: _Wish) -> None:
    """What both sides have whole now; nothing, where something was left on one of them."""
    left = sides.problems or survey.failed or (survey.push and not wish.push) or (survey.pull and not wish.pull)
    if not left:
        sides.record.add(survey.whole())
