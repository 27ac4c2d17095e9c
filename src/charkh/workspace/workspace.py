"""A workspace: a folder with its settings and its store, opened into the four ports that every verb takes.

The composition root: here, and nowhere else, adapters are chosen and handed down. A store on this disk
looks like this (docs/formats/store.md):

    format.json       version of the formats, and the id of the store
    journal/          facts and unsealed data segments
    packs/            chunks
    catalog.sqlite    a view of the facts; deleting it loses nothing
    index.sqlite      which pack holds which chunk; deleting it loses nothing
    cache/            what saves reading and copying; deleting it loses nothing
    foreign.sqlite    which files outside the store serve which chunks, where there are any
"""

import functools
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from charkh.assets.foreign import ForeignFiles
from charkh.assets.index import ErasedContents, Erasures
from charkh.assets.vault import PackVault
from charkh.core.clock import Clock
from charkh.core.config import Settings
from charkh.core.digests import digest_of
from charkh.core.errors import Corrupt, Invalid, Unavailable
from charkh.core.files import FileRef
from charkh.core.ids import new_id
from charkh.core.quantities import parse_size
from charkh.datasets.file_cache import FileCache
from charkh.datasets.stat_cache import StatCache
from charkh.ports.blobs import Blobs
from charkh.ports.journal import Journal
from charkh.ports.runtimes import ModelRuntime
from charkh.ports.store import Store
from charkh.stores.blobs_folder import FolderBlobs
from charkh.stores.catalog import Catalog
from charkh.stores.catalog_file import Overlay
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.segment_file import login_name
from charkh.stores.sql_engine import postgres_engine, sqlite_engine
from charkh.workspace.filesystems import is_shared
from charkh.workspace.own_runtimes import own_runtime
from charkh.workspace.projections import PROJECTIONS
from charkh.workspace.runtimes import installed_runtimes
from charkh.workspace.settings import find_workspace, read_settings, require_workspace

if TYPE_CHECKING:
    import polars

    from charkh.datasets.table_cache import TableCache
    from charkh.runs.run import Run

SERVER_VARIABLE = "CHARKH_URL"
"""Names the charkh server that a script without a workspace records to; for a workspace it is one more remote."""
FORMAT = 1
CHECK = 16
"""Hex digits of the check in `format.json`."""


class StoreFormat(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`format.json`: the version of everything in the store, and the store's id.

    Attributes:
        format: the version.
        store: id of the store, 32 hex digits.
        needs: what a reader has to know besides the format, such as a codec that came later; one that it does not know
            keeps it from opening the store.
        check: begin of the digest of format and store, so that a flipped bit makes no other store of it; empty where
            somebody wrote the file by hand.
    """

    format: int
    store: str
    needs: tuple[str, ...] = ()
    check: str = ""


class Workspace:
    """An open workspace; close it, or use it in a `with` block.

    Attributes:
        folder: of the workspace.
        settings: what its file and the environment say.
        store_folder: where the store, or the local part of a remote one, lies.
        identifier: id of the store.
        store: the four ports, handed to every verb.
        vault: the vault, for the verbs that care for bytes (fsck, gc).
        journal: the journal, for the verbs that care for segments (audit, fsck).
        catalog: the catalog, for the verbs that rebuild and check it.
        blobs: the medium under the vault.
        stat_cache: what files on disk held when they were last read.
    """

    def __init__(self, folder: Path, settings: Settings, *, create: bool) -> None:
        self.folder = folder
        self.settings = settings
        self.store_folder = (folder / settings.store.path).resolve()
        self.identifier = store_identifier(self.store_folder, create=create)
        clock, actor = Clock(), actor_name()
        self.blobs: Blobs = _blobs(settings, self.store_folder)
        self.journal: Journal = _journal(settings, self.store_folder, self.identifier)
        postgres = settings.store.journal
        self.catalog = Catalog(
            postgres_engine(postgres) if postgres else sqlite_engine(self.store_folder / "catalog.sqlite"),
            self.journal,
            PROJECTIONS,
            clock,
            actor,
            None if postgres else Overlay(),
        )
        self.vault = PackVault(
            self.blobs,
            self.store_folder / "index.sqlite",
            self._erasures,
            self._contents,
            foreign=ForeignFiles(self.store_folder / "foreign.sqlite"),
        )
        self.store = Store(
            journal=self.journal,
            vault=self.vault,
            commands=self.catalog,
            queries=self.catalog,
            clock=clock,
            actor=actor,
        )
        self.stat_cache = StatCache(self.store_folder / "cache" / "stat.sqlite")
        self._runtimes: tuple[ModelRuntime, ...] | None = None
        self._closed = False

    @property
    def runtimes(self) -> tuple[ModelRuntime, ...]:
        """The model runtimes whose libraries are installed, loaded at the first use."""
        if self._runtimes is None:
            # Relative to the workspace, as paths in its settings are.
            named = self.settings.runtime
            pythons = {name: str(self.folder / each.python) for name, each in named.items() if each.python}
            own = [own_runtime(name, each.class_, self.folder) for name, each in named.items() if each.class_]
            self._runtimes = installed_runtimes(pythons, own)
        return self._runtimes

    @functools.cached_property
    def file_cache(self) -> FileCache:
        """Whole files of versions on this disk, `[cache] files` at most."""
        return FileCache(self.store_folder / "cache" / "files", parse_size(self.settings.cache.files))

    @functools.cached_property
    def table_cache(self) -> "TableCache":
        """Text tables of versions as columns on this disk, `[cache] tables` at most; it reads through `file_cache`."""
        # Polars loads here: a command that reads no table starts in half the time without it.
        from charkh.datasets.table_cache import TableCache

        folder = self.store_folder / "cache" / "tables"
        return TableCache(folder, self.file_cache, parse_size(self.settings.cache.tables))

    @property
    def scratch(self) -> Path:
        """A folder for what does not fit into memory for a while."""
        return self.store_folder / "cache" / "scratch"

    @property
    def is_remote(self) -> bool:
        """Whether the store is at a charkh server, and only what waits for it is here."""
        return False

    def search_runs(self, where: str = "", *, order: str = "", limit: int = 100, offset: int = 0) -> "tuple[Run, ...]":
        """The runs that meet a search such as `params.rate >= 0.1 and metrics.auc > 0.7`, newest first by default.

        Raises:
            Invalid: `where` or `order` is not of the grammar (docs/guides/finding-runs.md).
        """
        from charkh.runs.search import search  # who only records runs should not wait for it

        return search(self.store, where, order=order, limit=limit, offset=offset)

    def runs_frame(self, where: str = "", *, order: str = "", limit: int = 1_000_000) -> "polars.DataFrame":
        """The same as a table: one row a run, with columns `params.X`, `metrics.X` and `tags.X`.

        Raises:
            Invalid: `where` or `order` is not of the grammar.
        """
        from charkh.runs.frames import runs_frame  # Polars loads with it

        return runs_frame(self.store, where, order=order, limit=limit)

    def sql(self, text: str) -> "polars.DataFrame":
        """The answer to one SELECT over runs, params, metrics, points, tags, artifacts, datasets, models and aliases.

        Raises:
            Invalid: it is no single SELECT, or cannot be answered.
            Unavailable: DuckDB is not installed.
        """
        from charkh.workspace.querying import sql  # DuckDB loads with it

        return sql(self.store, text)

    @property
    def recording(self) -> Store:
        """The store that runs are recorded into: the same one, unless it is behind a server."""
        return self.store

    def run_ended(self) -> None:
        """Called when a run has ended in this process; nothing to do where the store is the workspace's own."""

    def close(self) -> None:
        """Seal what this process wrote and let go of everything; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self.journal.close()
        finally:
            self.catalog.close()
            self.vault.close()
            self.stat_cache.close()
            if "file_cache" in self.__dict__:
                self.file_cache.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _erasures(self) -> Mapping[str, str]:
        return dict(self.store.queries.ask(Erasures()))

    def _contents(self) -> Mapping[str, FileRef]:
        return dict(self.store.queries.ask(ErasedContents()))


def open_workspace(start: Path | None = None, *, create: bool = False) -> Workspace:
    """The workspace that `start` lies in, opened.

    Args:
        start: a folder inside the workspace; the current one by default.
        create: where there is none, `start` becomes one; no file is needed to begin.

    Raises:
        NotFound: there is none and `create` is not said.
        Invalid: its settings cannot be read, or the store was written by a later charkh.
        Unavailable: the store cannot be reached or written.
    """
    begin = (start or Path.cwd()).resolve()
    folder = (find_workspace(begin) if create else require_workspace(begin)) or begin
    settings = read_settings(folder)
    if settings.store.url:
        raise Invalid(
            f"the store of {folder} is at {settings.store.url}",
            code="store.elsewhere",
            hint="Run it where the store is; commands and the SDK reach it through its address.",
        )
    return Workspace(folder, settings, create=True)


def actor_name() -> str:
    """Who records: `user@host`, or what `CHARKH_ACTOR` says."""
    return os.environ.get("CHARKH_ACTOR") or f"{login_name()}@{socket.gethostname()}"


def store_identifier(folder: Path, *, create: bool = False) -> str:
    """The id of the store in a folder; with `create`, a folder without one becomes one.

    Raises:
        Unavailable: there is no store, or there can be none.
        Corrupt, Invalid: what says so is damaged, or of a later charkh.
    """
    path = folder / "format.json"
    try:
        known = msgspec.json.decode(path.read_bytes(), type=StoreFormat)
    except FileNotFoundError:
        if not create:
            raise Unavailable(f"there is no store in {folder}", code="store.missing") from None
        return _new_store(path)
    except OSError as error:
        raise _unusable(folder, error) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Corrupt(
            f"{path} is damaged: {error}",
            code="store.format_damaged",
            hint='Write {"format":1,"store":"<32 hex digits>"} into it; the facts and bytes beside it are untouched.',
        ) from error
    if known.check and known.check != _check(known):
        raise Corrupt(
            f"{path} is damaged: what it says does not fit its own check",
            code="store.format_damaged",
            hint='Write {"format":1,"store":"<32 hex digits>"} into it; the facts and bytes beside it are untouched.',
        )
    if known.format > FORMAT:
        raise Invalid(
            f"{folder} was written by a newer charkh: in format {known.format}, and this one knows up to {FORMAT}",
            code="store.too_new",
            hint="Upgrade with: pip install --upgrade charkh",
        )
    if known.needs:
        raise Invalid(
            f"{folder} was written by a newer charkh: it needs {', '.join(known.needs)}, which this one does not know",
            code="store.too_new",
            hint="Upgrade with: pip install --upgrade charkh",
        )
    return known.store


def _new_store(path: Path) -> str:
    """Write `format.json` once, whichever of several processes comes first."""
    identifier = new_id()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A store is no code: whoever says `git add .` beside it does not mean it.
        (path.parent / ".gitignore").write_text("*\n")
        waiting = path.with_name(f".format-{identifier}")
        made = StoreFormat(format=FORMAT, store=identifier)
        waiting.write_bytes(msgspec.json.encode(msgspec.structs.replace(made, check=_check(made))))
        try:
            os.link(waiting, path)
        except FileExistsError:
            identifier = msgspec.json.decode(path.read_bytes(), type=StoreFormat).store
        finally:
            waiting.unlink()
    except OSError as error:
        raise _unusable(path.parent, error) from error
    return identifier


def _check(told: StoreFormat) -> str:
    return digest_of(f"{told.format} {told.store}".encode())[:CHECK]


def _unusable(folder: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"there can be no store in {folder}: {error.strerror or error}",
        code="store.unavailable",
        hint="Choose a folder that can be written: [store] path in charkh.toml, or CHARKH_STORE.",
    )


def _blobs(settings: Settings, folder: Path) -> Blobs:
    if settings.store.blobs:
        # Imported here: the object store's library costs a store on this disk 25 ms of start-up.
        from charkh.stores.blobs_object import object_blobs

        return object_blobs(settings.store.blobs)
    return FolderBlobs(folder / "packs")


def _folder_journal(settings: Settings, folder: Path, identifier: str) -> FolderJournal:
    how = settings.store.spool
    if how == "always" or (how == "auto" and is_shared(folder)):
        # Here, because only a store that several machines reach needs what ships to it.
        from charkh.stores.journal_shared import SharedJournal

        return SharedJournal(folder / "journal", identifier, own_folder(folder))
    return FolderJournal(folder / "journal", identifier)


def own_folder(store: Path) -> Path:
    """A folder for a store's open files on a disk of this machine alone: below the state folder, where that is one."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "charkh"
    # Homes are on the network, too: then what the machine keeps over a restart, unless somebody else has the name.
    own = Path("/var/tmp") / f"charkh-{os.getuid()}"  # noqa: S108 - looked at, and made for the owner alone
    if is_shared(state) and (not os.path.lexists(own) or own.lstat().st_uid == os.getuid()):
        state = own
    name = digest_of(f"{socket.gethostname()} {store}".encode())[:32]
    return state / "open" / name


def _journal(settings: Settings, folder: Path, identifier: str) -> Journal:
    address = settings.store.journal
    if not address:
        return _folder_journal(settings, folder, identifier)
    if not address.startswith(("postgresql://", "postgres://")):
        raise Invalid(
            f"[store] journal is {address.partition('://')[0]}://…, which charkh does not speak",
            code="config.invalid",
            hint="Write postgresql://user@host/database, or leave it out for a folder.",
        )
    # Here, because a script with a store in a folder should not wait for PostgreSQL's dialect to load.
    from charkh.stores.journal_postgres import PostgresJournal

    return PostgresJournal(address, identifier)
