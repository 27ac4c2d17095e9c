"""A journal in a folder that several machines reach: what is open lies on this machine's own disk, and is shipped.

A logging call is one write to a local disk, whatever the network does. A thread copies the records of open data
segments into the folder, where they look like those that a server has received (`data_received.py`), and seals this
process's facts into the archive. A lock of another machine says nothing here: a writer lives that was heard of within
the last minute, by the clock of the file server.
"""

import contextlib
import fcntl
import logging
import os
import socket
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import msgspec

from charkh.core.errors import CharkhError, NotFound
from charkh.ports.exchange import RECEIVED
from charkh.ports.journal import DataHeader, DataSegment, DataWriter, Record
from charkh.stores.data_folder import DataFolder
from charkh.stores.data_received import ReceivedFolder
from charkh.stores.durable import make_folder
from charkh.stores.journal_folder import FolderJournal

PAUSE = 1.0
"""Seconds between two looks at what grew."""
HEARTBEAT = 15.0
"""Seconds after which a live segment that did not grow is told of."""
AT_ONCE = 1000
"""Records that are copied with one write."""
LOCK = "shipping.lock"
CLOCK = ".clock"
_log = logging.getLogger("charkh")


class SharedJournal(FolderJournal):
    """The journal port over a folder of a network's file system.

    Fork: the child ships what it writes, too.

    Args:
        folder: the journal's folder, which other machines reach.
        store: id of the store.
        spool: folder on a disk of this machine alone.

    Attributes:
        spool: as given.
    """

    def __init__(self, folder: Path, store: str, spool: Path) -> None:
        super().__init__(folder, store, spool)
        self.spool = spool
        self._shared = folder / "open"
        self._far = DataFolder(self._shared, folder / "damaged", store, now=self._file_server_time)
        self._copies = ReceivedFolder(self._shared, store)
        self._gone: set[str] = set()
        self._shipped: dict[str, int] = {}
        self._told: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._reported = False

    def after_fork(self) -> None:
        """See `charkh.stores.forks.Forkable`."""
        super().after_fork()
        self._stop = threading.Event()
        running, self._thread = self._thread is not None, None
        self._gone = set()
        if running:
            self._start()

    def append(self, payloads: Sequence[bytes], *, durable: bool = False) -> None:
        """See `charkh.ports.journal.Journal`."""
        super().append(payloads, durable=durable)
        self._start()

    def open_data(self, header: DataHeader) -> DataWriter:
        """See `charkh.ports.journal.Journal`."""
        writer = super().open_data(header)
        self._start()
        return writer

    def list_data(self) -> Sequence[DataSegment]:
        """See `charkh.ports.journal.Journal`; of a segment that is here and in the folder, what is here."""
        mine = super().list_data()
        known = {each.header.segment for each in mine} | self._gone
        return [*mine, *(each for each in self._far.list_data() if each.header.segment not in known)]

    def read_data(self, segment: str, start: int = 0) -> Iterator[Record]:
        """See `charkh.ports.journal.Journal`."""
        try:
            return super().read_data(segment, start)
        except NotFound:
            return self._far.read_data(segment, start)

    def drop_data(self, segment: str) -> None:
        """See `charkh.ports.journal.Journal`; others have the copy until they have the fact that replaced it."""
        super().drop_data(segment)
        self._gone.add(segment)
        self._start()

    def has_data(self, segment: str) -> bool:
        """See `charkh.ports.exchange.DataExchange`."""
        return self._copies.has_data(segment)

    def take_data(self, header: DataHeader, start: int, payloads: Sequence[bytes]) -> int:
        """See `charkh.ports.exchange.DataExchange`."""
        return self._copies.take_data(header, start, payloads)

    def ship(self) -> None:
        """Bring what is new into the folder: this machine's records, then this process's facts.

        Raises:
            Unavailable: the folder cannot be reached or written; nothing is lost.
        """
        self._ship_data()
        if self._file is not None and self._file.size > 0:
            # Its segment goes into the archive; what comes next begins another one.
            super().close()
        if self._file is None:
            for segment in tuple(self._gone):
                self._far.drop_data(segment)
                self._gone.discard(segment)

    def close(self) -> None:
        """See `charkh.ports.journal.Journal`."""
        self._stop.set()
        super().close()
        with contextlib.suppress(CharkhError, OSError):
            self.ship()

    def _start(self) -> None:
        if self._thread is None and not self._stop.is_set():
            self._thread = threading.Thread(target=self._run, args=[self._stop], name="charkh-shared", daemon=True)
            with contextlib.suppress(RuntimeError):
                # No thread can be started while the interpreter ends; `close` ships what waits.
                self._thread.start()

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(PAUSE):
            try:
                self.ship()
            except (CharkhError, OSError) as error:
                if not self._reported:
                    self._reported = True
                    _log.warning("%s; what is recorded waits on this machine in %s", error, self.spool)

    def _ship_data(self) -> None:
        """Whichever process of this machine has the lock copies for all of them, and for those that died."""
        with _held(self.spool / LOCK) as mine:
            if not mine:
                return
            opened = super().list_data()
            for gone in self._shipped.keys() - {each.header.segment for each in opened}:
                del self._shipped[gone]
                self._told.pop(gone, None)
            for each in opened:
                self._ship_segment(each)

    def _ship_segment(self, opened: DataSegment) -> None:
        segment = opened.header.segment
        header = msgspec.structs.replace(opened.header, labels={**opened.header.labels, RECEIVED: self.store})
        while True:
            start = self._shipped.get(segment, 0)
            payloads = self._fresh(segment, start)
            silent = time.monotonic() - self._told.get(segment, 0.0) > HEARTBEAT
            if not payloads and not (opened.live and silent):
                return
            self._shipped[segment] = self._copies.take_data(header, start, payloads)
            self._told[segment] = time.monotonic()
            if len(payloads) < AT_ONCE and self._shipped[segment] >= start:
                return

    def _fresh(self, segment: str, start: int) -> list[bytes]:
        found: list[bytes] = []
        try:
            for record in super().read_data(segment, start):
                found.append(record.payload)
                if len(found) == AT_ONCE:
                    break
        except NotFound:
            # It was sealed meanwhile.
            return []
        return found

    def _file_server_time(self) -> float:
        """What the clock says that stamps the files there: two machines need not agree on the time."""
        probe = self._shared / f"{CLOCK}-{socket.gethostname()}"
        try:
            probe.touch()
            os.utime(probe)
            return probe.stat().st_mtime
        except OSError:
            return time.time()


@contextlib.contextmanager
def _held(path: Path) -> Generator[bool]:
    """Whether this process alone has the lock, for as long as the block runs; it lies on a disk of this machine."""
    make_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = True
        except BlockingIOError:
            mine = False
        yield mine
    finally:
        os.close(descriptor)
