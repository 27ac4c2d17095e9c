"""Both sides of an exchange, open: the vault here, the vault there, and what is remembered of the other."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress

from charkh.assets.index import Erasures
from charkh.assets.lease import release_lease, take_lease
from charkh.assets.survey import Survey
from charkh.assets.transfer import Moved, expunge, move
from charkh.assets.vault import PackVault
from charkh.core.digests import digest_of
from charkh.core.errors import CharkhError, Conflict
from charkh.ports.blobs import Blobs
from charkh.ports.remote import Remote
from charkh.workspace.remote_record import FILE as RECORD_FILE
from charkh.workspace.remote_record import RemoteRecord
from charkh.workspace.remotes import remote_folder
from charkh.workspace.workspace import Workspace

COLLECTED = "remote.collected"


class Sides:
    """A workspace and a remote, to be used in a `with` block.

    Attributes:
        here: this side's bytes.
        there: the other side's.
        erased: erasures that this store has not taken yet; they count on both sides.
        problems: what could not be read, in words.
        sent: what was moved there.
        taken: what was moved here.
    """

    def __init__(self, workspace: Workspace, remote: Remote, progress: Callable[[int], None] | None = None) -> None:
        self._workspace = workspace
        self._progress = progress
        self._keeps_itself = remote.keeps_itself
        folder = remote_folder(workspace, remote.name)
        self.record = RemoteRecord(folder / RECORD_FILE)
        foreign = workspace.vault.shelf.foreign
        self.here = PackVault(workspace.blobs, workspace.store_folder / "index.sqlite", self._erasures, foreign=foreign)
        self.there = PackVault(remote.blobs, folder / "index.sqlite", self._erasures)
        self.erased: dict[str, str] = {}
        self.problems: list[str] = []
        self.sent, self.taken = Moved(), Moved()
        self._leases: list[tuple[Blobs, str]] = []

    def __enter__(self) -> "Sides":
        return self

    def __exit__(self, *_raised: object) -> None:
        with ExitStack() as closing:
            for each in (self.here, self.there, self.record):
                closing.callback(each.close)
            # A lease that cannot be released runs out by itself.
            with suppress(CharkhError):
                for blobs, key in self._leases:
                    release_lease(blobs, key)

    def learn(self, erased: Mapping[str, str]) -> None:
        """Count what the other side says was erased there as erased on both."""
        self.erased.update(erased)
        self.here.erased.forget()
        self.there.erased.forget()

    def refresh(self) -> None:
        """Learn the packs that are there; where one is gone, nothing is taken for whole any more."""
        known = self.there.shelf.index.packs().keys()
        self.there.shelf.refresh()
        if known - self.there.shelf.index.packs().keys():
            self.record.forget()

    def expunge(self) -> int:
        """Take what was erased off the other side's medium, unless it does so; how many packs held some of it."""
        if self._keeps_itself:
            return 0
        erased = self.there.erased.now()
        told = digest_of("".join(sorted(digest.hex() for digest in erased)).encode())
        here = self.there.shelf.index.find(list(erased))
        if not erased or (not here and self.record.erasures == told):
            return 0
        rewritten = expunge(self.there, erased)
        self.record.say("erasures", told)
        return rewritten

    def survey(self, *, dry: bool = False) -> Survey:
        """A comparison of the two, to be walked from roots."""
        return Survey(self.here, self.there, complete=self.record.among, dry=dry)

    def pull(self, survey: Survey) -> None:
        """Bring what was found to be there alone."""
        if not (survey.pull or survey.brought):
            return
        kept = [digest for digest, _place in survey.pull] + [digest for digest, _size in survey.brought]
        self._lease(self.here.shelf.blobs, [*kept, *survey.shared])
        moved = move(self.there, self.here, survey.pull, progress=self._progress)
        self.taken = Moved(moved.packs, moved.size + sum(size for _digest, size in survey.brought), moved.records)
        self._note(moved, "there")

    def push(self, survey: Survey) -> None:
        """Send what was found to be here alone."""
        if not survey.push:
            return
        self._lease(self.there.shelf.blobs, survey.shared)
        moved = move(self.here, self.there, survey.push, progress=self._progress)
        self.sent = moved
        self._note(moved, "here")

    def check_relied(self, survey: Survey) -> None:
        """Look whether what was not sent, because it was there, is there still.

        Raises:
            Conflict: a collection took it meanwhile; send it again.
        """
        if not survey.push and not survey.relied:
            return
        listed = self.there.shelf.list_packs().keys()
        if gone := [name for name in survey.relied - listed if not self.there.shelf.has_pack(name)]:
            raise Conflict(
                f"{len(gone)} packs of the remote were collected while something was built upon them",
                code=COLLECTED,
                hint="Run the command again when the collection over there is done.",
            )

    def _lease(self, blobs: Blobs, digests: Iterable[bytes]) -> None:
        wanted = [digest.hex() for digest in digests]
        if wanted:
            self._leases.append((blobs, take_lease(blobs, wanted)))

    def _note(self, moved: Moved, side: str) -> None:
        self.problems += [f"{side}: {message}" for message in moved.failed.values()]

    def _erasures(self) -> Mapping[str, str]:
        return {**self.erased, **dict(self._workspace.store.queries.ask(Erasures()))}
