"""Forget a person: find their rows in everything that the store has a name for, erase them for ever, and say so.

The order makes it safe to be cut off anywhere and run again. Replacements are durable before the one batch of facts
that erases; those facts say everything, so the catalog never knows half of it; and what follows (records leave the
medium, caches are emptied) is done by every forgetting for all erasures so far.
"""

import secrets
import shutil
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from charkh.assets.erase import bounded_reason
from charkh.assets.grep import find_in_records, pattern_of
from charkh.assets.replace import Change, chunks_in_use, replace
from charkh.core.errors import Locked, NotFound
from charkh.core.events import Draft, Edge, Fact
from charkh.core.ids import new_id
from charkh.datasets.forgotten import FORGOTTEN_KIND, ROWS_ERASED_KIND, Forgotten, RowsErased
from charkh.datasets.forgotten_index import ErasedFrom
from charkh.datasets.index import DatasetById, DatasetVersions
from charkh.datasets.profile.index import EveryProfile
from charkh.datasets.selection import Selection
from charkh.lineage.index import HeldDigests, Walk
from charkh.ports.projections import Describe
from charkh.stores.durable import make_folder, write_once
from charkh.stores.folder_lock import FolderLock
from charkh.workspace.forget_report import SHOWN_USES, ErasedContent, ForgetReport, Saw, Unreached, VersionLoss
from charkh.workspace.forget_scan import Hit, Miss, Scanner
from charkh.workspace.forget_unreached import copies, unreached
from charkh.workspace.holdings import Holdings, Use, rows_by_version
from charkh.workspace.purging import purge
from charkh.workspace.sealing import seal_all
from charkh.workspace.workspace import Workspace

FOLDER = "forget"
KEY_BYTES = 32
PROFILE_GONE = b"the profile was erased with rows of its table"
REASON = "A person asked to be forgotten."
NO_UNLEARNING = frozenset({"run", "model", "dataset", "evaluation", "deployment", "study", "recipe", "monitor", "card"})
"""Nouns that are told when something was made from erased rows."""


def forget(
    workspace: Workspace,
    selection: Selection,
    *,
    names: Collection[str] = (),
    dry_run: bool = False,
    reason: str = REASON,
    timeout: float = 30.0,
    progress: Callable[[int], None] | None = None,
) -> ForgetReport:
    """Erase the rows that a selection means from everything that is held, and was held and is still here.

    Args:
        workspace: whose store.
        selection: whose rows.
        names: only versions of these datasets; everything held by default. Equal content elsewhere goes with it.
        dry_run: only say what is there.
        reason: why, in a sentence that does not say who.
        timeout: seconds to wait for another forgetting to end.
        progress: called with the number of contents looked at since the last call.

    Raises:
        Invalid: the reason is empty or too long.
        NotFound: there is no such dataset.
        Locked: another process forgets.
        Unavailable: the store cannot be written; nothing was erased, or everything and only bytes are still to go.
    """
    told = bounded_reason(reason)
    for name in names:
        _require_dataset(workspace, name)
    with _own_folder(workspace, timeout) as folder:
        return _Forgetting(workspace, selection, tuple(names), told, folder, progress, dry_run=dry_run).run()


class _Forgetting:
    """One forgetting under way."""

    def __init__(
        self,
        workspace: Workspace,
        selection: Selection,
        names: Sequence[str],
        reason: str,
        folder: Path,
        progress: Callable[[int], None] | None,
        *,
        dry_run: bool,
    ) -> None:
        self._workspace = workspace
        self._store = workspace.store
        self._selection = selection
        self._names = names
        self._reason = reason
        self._dry_run = dry_run
        self._progress = progress
        self._pattern = pattern_of(selection.texts) if selection.texts else None
        self._scanner = Scanner(workspace.vault, selection, self._pattern, folder, dry_run=dry_run)
        self._hits: dict[str, Hit] = {}
        self._misses: list[Miss] = []

    def run(self) -> ForgetReport:
        """Look, erase, and let the bytes go."""
        workspace = self._workspace
        workspace.vault.flush()
        if not self._dry_run:
            seal_all(workspace)
        self._holdings = Holdings(workspace, self._names)
        profiles = self._store.queries.ask(EveryProfile())
        self._sketches = {file.held for each in profiles for file in each.made.files}
        self._look(self._holdings.contents)
        while new := self._holdings.look():
            self._look(new)
        workspace.vault.flush()
        strays = self._strays()
        if self._dry_run:
            return self._report("", strays)
        report = self._erase(strays) if self._hits or strays else self._report("", strays)
        purged, late = self._purge()
        return msgspec.structs.replace(report, purged=purged, unreached=(*late, *report.unreached))

    def _look(self, contents: Iterable[str]) -> None:
        for held in list(contents):
            if held in self._sketches:
                # Sketches have hashes of values too: they go with the rows, whether a value is found in them or not.
                continue
            found = self._scanner.look(self._holdings.contents[held])
            if isinstance(found, Hit):
                self._hits[held] = found
            elif found is not None:
                self._misses.append(found)
            if self._progress:
                self._progress(1)

    def _strays(self) -> set[bytes]:
        """Records that nothing holds and that have one of the values: added and never named, or named no more."""
        if self._pattern is None or self._names:
            return set()
        found = {each.digest for each in find_in_records(self._workspace.vault, self._pattern) if each.digest}
        found -= self._workspace.vault.erased.now().keys()
        for hit in self._hits.values():
            found -= {bytes.fromhex(digest) for digest, _length in self._workspace.vault.chunks(hit.held.file)}
        roots = self._store.queries.ask(HeldDigests())
        return found - chunks_in_use(self._workspace.vault, roots, found, frozenset())

    def _erase(self, strays: set[bytes]) -> ForgetReport:
        """Record that the rows are gone; nobody can decide on a version in between."""
        forgetting = new_id()
        store = self._store
        with store.journal.exclusive():
            if new := self._holdings.look():
                self._look(new)
            changes = [hit.change for hit in self._hits.values() if hit.change is not None]
            changes += self._profiles()
            roots = store.queries.ask(HeldDigests())
            drafts = replace(self._workspace.vault, changes, roots, self._reason, strays)
            report = self._report(forgetting, strays)
            kept = store.vault.put_bytes(msgspec.json.encode(report), "report.json")
            store.vault.flush()
            drafts += [self._lost(forgetting, each) for each in report.versions]
            body = Forgotten(
                forgetting=forgetting,
                selector=report.selector,
                reason=self._reason,
                rows=report.rows,
                files=len(report.contents),
                versions=len(report.versions),
                report=kept,
            )
            drafts.append(Draft(kind=FORGOTTEN_KIND, subject=f"forgetting:{forgetting}", body=body, holds=(kept.held,)))
            store.record(*drafts, durable=True)
        self._workspace.vault.erased.forget()
        return report

    def _profiles(self) -> list[Change]:
        """The profiles of the versions that lose rows, whole: they are made anew when somebody asks."""
        rows = {held: hit.rows for held, hit in self._hits.items() if hit.kind != "text"}
        everything = Holdings(self._workspace) if self._names else self._holdings
        lost = {subject.partition(":")[2] for subject in rows_by_version(everything.users(self._hits), rows)}
        vault, instead = self._workspace.vault, self._workspace.vault.put_bytes(PROFILE_GONE)
        vault.flush()
        made = [each.made for each in self._store.queries.ask(EveryProfile()) if each.made.version in lost]
        files = {file.digest: file for each in made for file in each.files if vault.has(file.held)}
        return [Change(file, instead) for file in files.values() if vault.erased.current(file) == file]

    def _lost(self, forgetting: str, loss: VersionLoss) -> Draft:
        identifier = loss.subject.partition(":")[2]
        version = self._store.queries.ask(DatasetById(version=identifier))
        facts: dict[str, Fact] = {}
        if version is not None and version.made.rows is not None:
            before = sum(each.lost.rows for each in self._store.queries.ask(ErasedFrom(version=identifier)))
            facts = {"rows": version.made.rows - before - loss.rows, "rows.erased": before + loss.rows}
        body = RowsErased(forgetting=forgetting, version=identifier, rows=loss.rows, files=loss.files)
        edge = Edge(loss.subject, "erased_by", f"forgetting:{forgetting}")
        return Draft(kind=ROWS_ERASED_KIND, subject=loss.subject, body=body, edges=(edge,), facts=facts)

    def _purge(self) -> tuple[int, tuple[Unreached, ...]]:
        """Take everything that was ever erased off the medium and out of the caches."""
        try:
            purged = purge(self._workspace)
        except Locked:
            return 0, (Unreached(what="packs", why="a collection is under way: the bytes leave with the next one"),)
        why = "it is damaged, so nobody can say what is in it; delete it when you need it no more"
        return purged.packs, tuple(Unreached(what=key, why=why) for key in purged.unknown)

    def _report(self, forgetting: str, strays: set[bytes]) -> ForgetReport:
        everything = Holdings(self._workspace) if self._names else self._holdings
        users = everything.users(self._hits)
        table_rows = {held: hit.rows for held, hit in self._hits.items() if hit.kind != "text"}
        versions = self._versions(rows_by_version(users, table_rows))
        named = sum(1 for held in everything.contents.values() if self._says_who(held.path))
        return ForgetReport(
            dry_run=self._dry_run,
            forgetting=forgetting,
            selector=self._selection.keyed_hash(_key(self._workspace)),
            looked_at=len(self._holdings.contents),
            rows=sum(table_rows.values()),
            contents=tuple(self._content(hit, users[held]) for held, hit in sorted(self._hits.items())),
            strays=len(strays),
            versions=versions,
            saw=self._saw([each.subject for each in versions]),
            unreached=(
                *self._missed(),
                *(
                    [Unreached(what=f"names of {named} files", why="names are not erased; rename them")]
                    if named
                    else ()
                ),
                *copies(self._workspace, {hit.held.file.digest for hit in self._hits.values()}),
                *unreached(self._workspace, self._selection, self._pattern),
            ),
        )

    def _content(self, hit: Hit, uses: Sequence[Use]) -> ErasedContent:
        subjects = dict.fromkeys(use.subject for use in uses)
        path = "" if self._says_who(hit.held.path) else hit.held.path
        instead = hit.change.instead.digest if hit.change is not None else ""
        shown = tuple(subjects)[:SHOWN_USES]
        digest = hit.held.file.digest
        return ErasedContent(digest=digest, instead=instead, kind=hit.kind, rows=hit.rows, path=path, subjects=shown)

    def _says_who(self, path: str) -> bool:
        return self._pattern is not None and self._pattern.search(path.encode()) is not None

    def _versions(self, lost: dict[str, tuple[int, int]]) -> tuple[VersionLoss, ...]:
        found: list[VersionLoss] = []
        for subject, (rows, files) in lost.items():
            version = self._store.queries.ask(DatasetById(version=subject.partition(":")[2]))
            described = self._store.queries.ask(Describe(subject=subject))
            ref, deleted = (
                described.title if described else subject,
                version is not None and version.deleted is not None,
            )
            found.append(VersionLoss(version=ref, subject=subject, rows=rows, files=files, deleted=deleted))
        return tuple(sorted(found, key=lambda each: (each.version, each.subject)))

    def _saw(self, subjects: Sequence[str]) -> tuple[Saw, ...]:
        """What was made from the versions, by whatever way."""
        reached: dict[str, None] = {}
        for subject in subjects:
            for step in self._store.queries.ask(Walk(subject=subject, toward="outcome")):
                reached[step.edge.source] = None
        wanted = [each for each in reached if each.partition(":")[0] in NO_UNLEARNING and each not in subjects]
        return tuple(Saw(subject=each, title=self._title(each)) for each in sorted(wanted))

    def _title(self, subject: str) -> str:
        description = self._store.queries.ask(Describe(subject=subject))
        title = subject if description is None else description.title
        return subject if self._says_who(title) else title

    def _missed(self) -> Iterator[Unreached]:
        users = self._holdings.users([miss.held.file.held for miss in self._misses])
        for miss in self._misses:
            uses = users.get(miss.held.file.held, [])
            where = ", ".join(dict.fromkeys(self._title(use.subject) for use in uses[:3])) or "the store"
            path = "" if self._says_who(miss.held.path) else miss.held.path
            yield Unreached(what=f"{path or miss.held.file.held[:16] or 'bytes'} of {where}", why=miss.why)


@contextmanager
def _own_folder(workspace: Workspace, timeout: float) -> Generator[Path]:
    """A folder for files under way, that nobody else reads and that does not outlive the next forgetting."""
    folder = workspace.store_folder / FOLDER
    make_folder(workspace.store_folder)
    with FolderLock(workspace.store_folder / f"{FOLDER}.lock").held(timeout):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _key(workspace: Workspace) -> bytes:
    """The key of the store's own hashes of selections; it stays on this machine."""
    path = workspace.store_folder / f"{FOLDER}.key"
    if not path.exists():
        write_once(path, secrets.token_bytes(KEY_BYTES))
    return path.read_bytes()


def _require_dataset(workspace: Workspace, name: str) -> None:
    if not workspace.store.queries.ask(DatasetVersions(name=name, deleted=True)):
        raise NotFound(
            f"there is no dataset {name!r}", code="dataset.not_found", hint="`charkh dataset list` shows what there is."
        )
