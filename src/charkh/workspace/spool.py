"""The workspace of a script that records to a server: it writes on this disk, and a process beside it ships.

What is recorded goes into a store of this machine below the user's state folder, one for each server, so that nothing
waits for a network and nothing is lost with one. `charkh.workspace.shipping` uploads it.
"""

import contextlib
import fcntl
import logging
import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from blake3 import blake3

from charkh.assets.chunk_index import ChunkIndex
from charkh.assets.shelf import Shelf
from charkh.assets.vault import PackVault
from charkh.core.config import Settings, StoreSettings, refuse_credentials
from charkh.core.errors import CharkhError, Unavailable
from charkh.core.quantities import parse_duration
from charkh.ports.blobs import Blobs
from charkh.ports.store import Store
from charkh.stores.blobs_tiered import TieredBlobs
from charkh.stores.exchange_folder import FolderExchange
from charkh.stores.http_address import refuse_plain
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.journal_spooled import SpooledJournal
from charkh.stores.remote_http import RemoteStore
from charkh.stores.segment_file import is_live
from charkh.workspace.shipped import LOCK, NUDGE, USERS, Shipped, read_packs, read_shipped, waiting_facts, waiting_packs
from charkh.workspace.wire_names import wire_name
from charkh.workspace.workspace import Workspace

if TYPE_CHECKING:
    from charkh.stores.http_connection import HttpConnection

BEARER_VARIABLE = "CHARKH_TOKEN"
POLL_SECONDS = 0.02
ASK_SECONDS = 5.0
"""How long a question waits for what was recorded here to be there."""
SILENCE_SECONDS = 1.0
"""How long the end of a run waits for a server that does not answer."""
_log = logging.getLogger("charkh")


def spool_folder(url: str) -> Path:
    """Where what is recorded for a server lies on this machine until it is there."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "charkh" / "spool" / blake3(url.rstrip("/").encode()).hexdigest()[:32]


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What is on this machine and not yet at the server.

    Attributes:
        url: of the server.
        folder: where it lies.
        facts: facts.
        packs: packs with bytes.
        segments: data segments that still grow, or that a script left which died.
        growing: those of them that a script writes now.
        trouble: why the last attempt failed; empty where it did not.
        refused: bytes that the server does not take, and why.
        shipping: whether a process ships them now.
    """

    url: str
    folder: str
    facts: int
    packs: int
    segments: int
    growing: int
    trouble: str
    refused: dict[str, str]
    shipping: bool

    @property
    def nothing(self) -> bool:
        """Whether all of it is there."""
        return not (self.facts or self.packs or self.segments)


class SpooledWorkspace(Workspace):
    """A workspace whose store is behind a charkh server.

    Attributes:
        url: address of the server.
        recording: the store that runs are recorded into: this machine's alone, whatever becomes of the network.
    """

    def __init__(self, folder: Path, settings: Settings, url: str) -> None:
        refuse_credentials(url, "the address of the server")
        refuse_plain(url)
        self.url = url.rstrip("/")
        spool = spool_folder(self.url)
        # First, so that nobody tidies away what this process begins to write.
        self._users = _hold_shared(spool / USERS)
        near = msgspec.structs.replace(settings, store=StoreSettings(path=str(spool), spool="never"))
        super().__init__(folder, near, create=True)
        (spool / "url").write_text(self.url)
        self._connection: HttpConnection | None = None
        self._patience = parse_duration(settings.store.wait)
        self._started = False
        self._warned = False
        self.vault.close()
        # What was erased over there is refused over there; a vault that asks first would wait for the network.
        self.vault = PackVault(self.blobs, spool / "index.sqlite")
        recording = self.journal
        self._recording = Store(
            journal=recording,
            vault=self.vault,
            commands=self.catalog,
            queries=self.catalog,
            clock=self.store.clock,
            actor=self.store.actor,
        )
        self.vault.shelf = Shelf(TieredBlobs(self.blobs, self._far_blobs), ChunkIndex(spool / "reading.sqlite"))
        remote = RemoteStore(self.connect, wire_name, lambda: self.ship(ASK_SECONDS))
        self.store = Store(
            journal=SpooledJournal(spool / "journal", self.identifier, self.connect),
            vault=self.vault,
            commands=remote,
            queries=remote,
            clock=self.store.clock,
            actor=self.store.actor,
        )

    @property
    def is_remote(self) -> bool:
        """See `charkh.workspace.workspace.Workspace`."""
        return True

    @property
    def recording(self) -> Store:
        """See `charkh.workspace.workspace.Workspace.recording`; from here on the shipping process is there."""
        self.start_shipping()
        return self._recording

    def connect(self) -> "HttpConnection":
        """The connection to the server."""
        # Here, because a script that only records needs no HTTP client.
        from charkh.stores.http_connection import HttpConnection

        if self._connection is None:
            self._connection = HttpConnection(self.url, os.environ.get(BEARER_VARIABLE, ""))
        return self._connection

    def start_shipping(self) -> None:
        """Have a process ship what is recorded; it ends by itself, some time after the last writer did."""
        if not is_shipping(self.store_folder):
            start_shipping(self.store_folder)

    def shipped(self) -> Shipped:
        """What the server has of this machine's records."""
        return read_shipped(self.store_folder)

    def waiting(self) -> Waiting:
        """What of this machine is not at the server yet."""
        shipped, opened = self.shipped(), self.journal.list_data()
        return Waiting(
            url=self.url,
            folder=str(self.store_folder),
            facts=waiting_facts(self._facts().known(), shipped),
            packs=len(waiting_packs(self.store_folder)),
            segments=len(opened),
            growing=sum(each.live for each in opened),
            trouble=shipped.trouble,
            refused=shipped.refused,
            shipping=is_shipping(self.store_folder),
        )

    def seal_left(self) -> None:
        """Seal what scripts left that were killed: the shipping process waits a while before it does."""
        if any(not each.live for each in self.journal.list_data()):
            # Here, because the rooms that seal load what no script needs that only records.
            from charkh.workspace.sealing import seal_store

            seal_store(self._recording)

    def ship(self, seconds: float, *, silence: float = math.inf) -> bool:
        """Wait until the server has every fact and byte that was recorded here so far; whether it has.

        Args:
            seconds: to wait at most.
            silence: to wait at most while nothing gets through; what is here is shipped later all the same.
        """
        wanted, packs = self._facts().known(), waiting_packs(self.store_folder)
        if not packs and not waiting_facts(wanted, self.shipped()):
            return True
        self.start_shipping()
        with contextlib.suppress(OSError):
            (self.store_folder / NUDGE).touch()
        begun = through = time.monotonic()
        while time.monotonic() < min(begun + seconds, through + silence):
            shipped = self.shipped()
            if not waiting_facts(wanted, shipped) and read_packs(self.store_folder).issuperset(packs):
                return True
            if not shipped.trouble:
                through = time.monotonic()
            time.sleep(POLL_SECONDS)
        return False

    def run_ended(self) -> None:
        """See `charkh.workspace.workspace.Workspace.run_ended`: wait a bounded time, and say once what is kept."""
        try:
            # A loop of many short runs must not wait so long for a dead server at the end of each.
            if self.ship(self._patience, silence=SILENCE_SECONDS):
                self._warned = False
                return
            if self._warned:
                return
            self._warned = True
            told = self.shipped().trouble or "it takes longer than that"
            _log.warning(
                "%d facts are kept on this machine and not yet at %s (%s); they are shipped as soon as it answers, "
                "at the latest by the next run or `charkh sync`",
                *(self.waiting().facts, self.url, told),
            )
        except CharkhError as error:
            _log.warning("what was recorded is kept, and whether %s has it is not known: %s", self.url, error)

    def close(self) -> None:
        """See `charkh.workspace.workspace.Workspace`."""
        super().close()
        self.store.journal.close()
        if self._users >= 0:
            os.close(self._users)
            self._users = -1

    def _facts(self) -> FolderExchange:
        journal = self.journal
        assert isinstance(journal, FolderJournal)
        return FolderExchange(journal)

    def _far_blobs(self) -> Blobs:
        # Here, because only who reads what is over there needs an HTTP client.
        from charkh.stores.blobs_http import HttpBlobs

        return HttpBlobs(self.connect())


def is_shipping(spool: Path) -> bool:
    """Whether a process ships what is in a spool."""
    return is_live(spool / LOCK)


def start_shipping(spool: Path) -> None:
    """Start the process that ships: in a session of its own, so that it goes on when the script is killed."""
    log = str(spool / "shipping.log")
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    ]
    command = [sys.executable, "-m", "charkh.workspace.shipping", str(spool)]
    try:
        # No `subprocess.Popen`: nobody waits for it, and it need not end with the script.
        os.posix_spawn(sys.executable, command, os.environ, file_actions=actions, setsid=True)
    except OSError as error:
        _log.warning("what is recorded stays on this machine until `charkh sync`: no process can ship it: %s", error)


def _hold_shared(path: Path) -> int:
    """Say that this process writes into the spool, for as long as it lives."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be used: {error.strerror}",
            code="store.unavailable",
            hint="Make room below $XDG_STATE_HOME (~/.local/state), or set it to a folder that can be written.",
        ) from error
    return descriptor
