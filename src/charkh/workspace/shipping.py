"""The process that ships a spool to its server: open data segments as they grow, then bytes, then facts.

One process for each spool and machine, whoever of its scripts started it. It reads files that others write and asks
the server what it has, so it may be killed at any moment and begin anew: nothing is taken twice over there, and
nothing is let go of here before it is there. Run as `python -m charkh.workspace.shipping SPOOL`.
"""

import contextlib
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from charkh.assets.shelf import PACKS
from charkh.core.errors import CharkhError, Conflict, Corrupt, Denied, Invalid
from charkh.core.frames import encode_frames
from charkh.ports.exchange import PULL_BYTES, RECEIVED, Part, portions
from charkh.ports.exchange_data import DataKnown
from charkh.ports.journal import DataHeader, DataSegment
from charkh.stores.blobs_folder import FolderBlobs
from charkh.stores.blobs_http import ROUTE, HttpBlobs
from charkh.stores.data_folder import SUFFIX
from charkh.stores.exchange_folder import FolderExchange
from charkh.stores.exchange_http import HttpExchange
from charkh.stores.http_connection import HttpConnection
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.segment_tail import SegmentTail
from charkh.workspace.shipped import (
    LOCK,
    NUDGE,
    USERS,
    Shipped,
    note_pack,
    read_shipped,
    waiting_facts,
    waiting_packs,
    write_shipped,
)
from charkh.workspace.workspace import store_identifier

STORE_FILE = "format.json"
PREDICTIONS = "predictions"
"""Segments of this content are not shown while they grow: they travel once they are sealed."""
PAUSE = 0.2
"""Seconds between two looks at what grew."""
STEP = 0.02
"""Seconds between two looks at whether somebody waits."""
LONGEST_PAUSE = 15.0
"""Seconds between two attempts to reach a server that does not answer."""
HEARTBEAT = 20.0
"""Seconds after which a live segment that did not grow is told of."""
LINGER = 10.0
"""Seconds that it stays when everything is there and nobody writes: the next script need not start another one."""
GIVE_UP = 300.0
"""Seconds after which it ends where nobody writes and the server does not answer; the next script begins anew."""
SETTLED = 30.0
"""Seconds after which the segments of a script that died are sealed."""


class _Place(NamedTuple):
    """An open segment, how far it was read, and how it is announced."""

    tail: SegmentTail
    header: DataHeader
    frame: bytes


class Shipper:
    """Ships what is in a spool.

    Args:
        spool: the folder.
        connection: to the server.

    Attributes:
        spool: as given.
    """

    def __init__(self, spool: Path, connection: HttpConnection) -> None:
        self.spool = spool
        self._connection = connection
        self._store = store_identifier(spool)
        self._journal = FolderJournal(spool / "journal", self._store)
        self._blobs = FolderBlobs(spool / "packs")
        self._facts = HttpExchange(connection)
        self._packs = HttpBlobs(connection)
        self._shipped = read_shipped(spool)
        self._places: dict[str, _Place] = {}
        self._told: dict[str, float] = {}
        self._asked = False

    @property
    def shipped(self) -> Shipped:
        """How far it is."""
        return self._shipped

    def round(self) -> bool:
        """Ship what is there now; whether anything was.

        Raises:
            Unavailable: the server does not answer.
            Denied: it does not let this machine in.
            CharkhError: it refuses for another reason.
        """
        if not self._asked:
            # What the file says may be older than what is there: the server is asked once.
            self._learn(self._facts.known())
            self._asked = True
        moved = self._ship_data()
        return self._ship_facts() or moved

    def is_done(self) -> bool:
        """Whether the server has every fact, and no open segment has records that it has not."""
        exchange = FolderExchange(self._journal)
        waits = waiting_facts(exchange.known(), self._shipped) or waiting_packs(self.spool)
        return not waits and not self._journal.list_data()

    def say(self, error: CharkhError | None) -> None:
        """Write down what kept the last round from ending."""
        trouble = error.message if error is not None else ""
        if trouble != self._shipped.trouble:
            self._shipped = msgspec.structs.replace(self._shipped, trouble=trouble)
            write_shipped(self.spool, self._shipped)

    def seal_dead(self) -> None:
        """Seal what scripts left that were killed."""
        dead = [each for each in self._journal.list_data() if not each.live and _age(self._path(each)) > SETTLED]
        if dead:
            # Here, because the rooms that seal load what no other round needs.
            from charkh.core.config import Settings, StoreSettings
            from charkh.workspace.sealing import seal_all
            from charkh.workspace.workspace import Workspace

            settings = Settings(store=StoreSettings(path=str(self.spool), spool="never"))
            with Workspace(self.spool, settings, create=False) as workspace:
                seal_all(workspace)

    def _ship_data(self) -> bool:
        moved = False
        opened = [each for each in self._journal.list_data() if each.header.content != PREDICTIONS]
        for gone in self._places.keys() - {each.header.segment for each in opened}:
            del self._places[gone]
        for segment in opened:
            moved = self._ship_segment(segment) or moved
        return moved

    def _ship_segment(self, segment: DataSegment) -> bool:
        place = self._places.get(segment.header.segment)
        if place is None:
            told = msgspec.structs.replace(segment.header, labels={**segment.header.labels, RECEIVED: self._store})
            place = _Place(SegmentTail(self._path(segment)), told, msgspec.msgpack.encode(told))
            self._places[segment.header.segment] = place
        moved = False
        while True:
            start, payloads = place.tail.ordinal, place.tail.read()
            silent = time.monotonic() - self._told.get(place.header.segment, 0.0) > HEARTBEAT
            if not payloads and not (silent and segment.live):
                return moved
            known = self._send(place, start, payloads)
            if known < 0:
                return moved
            moved = moved or bool(payloads)
            if known < start + len(payloads):
                place.tail.rewind(known)
                if place.tail.ordinal < known or not payloads:
                    return moved

    def _send(self, place: _Place, start: int, payloads: Sequence[bytes]) -> int:
        """How many records of the segment are there now; -1 where it has been sealed over there."""
        segment = place.header.segment
        frames = encode_frames([place.frame, *payloads])
        try:
            answer = self._connection.post(f"{ROUTE}/data/{segment}", {"start": start}, frames)
        except CharkhError:
            # Whether it was taken is not known: it is asked for from where it was.
            place.tail.rewind(start)
            raise
        told = msgspec.json.decode(answer, type=DataKnown)
        self._told[segment] = time.monotonic()
        return -1 if told.sealed else told.known

    def _ship_facts(self) -> bool:
        exchange = FolderExchange(self._journal)
        known = dict(exchange.known())
        moved = self._ship_packs()
        if not waiting_facts(known, self._shipped):
            return moved
        try:
            for some in portions(_until(exchange, self._shipped.facts, known), PULL_BYTES):
                self._facts.take(some)
                self._learn({part.segment: part.seq + len(part.payloads) for part in some})
        except Conflict:
            # The server lost what it had, or is another one: it is asked anew what it has.
            self._shipped = msgspec.structs.replace(self._shipped, facts={})
            self._learn(self._facts.known())
            raise
        return True

    def _ship_packs(self) -> bool:
        """Bytes before the facts that point at them; whether there were any."""
        names = waiting_packs(self.spool)
        for name in names:
            key = PACKS + name
            try:
                if not self._packs.has(key):
                    self._packs.put(key, [self._blobs.get(key)])
            except (Denied, Invalid, Corrupt) as error:
                if error.code in {"remote.refused", "user.not_allowed", "exchange.denied"}:
                    raise
                # What was erased over there is not taken again; the rest goes on.
                refused = {**self._shipped.refused, name: error.message}
                self._shipped = msgspec.structs.replace(self._shipped, refused=refused)
                write_shipped(self.spool, self._shipped)
            note_pack(self.spool, name)
        return bool(names)

    def _learn(self, counts: Mapping[str, int]) -> None:
        mine = FolderExchange(self._journal).known()
        facts = {**self._shipped.facts, **{segment: counts[segment] for segment in counts if segment in mine}}
        self._shipped = msgspec.structs.replace(self._shipped, facts=facts)
        write_shipped(self.spool, self._shipped)

    def _path(self, segment: DataSegment) -> Path:
        return self.spool / "journal" / "open" / f"{segment.header.segment}{SUFFIX}"


def _until(exchange: FolderExchange, shipped: Mapping[str, int], known: Mapping[str, int]) -> Iterator[Part]:
    """The facts that the server lacks, no further than was known before the bytes were shipped."""
    for part in exchange.parts(shipped):
        end = known.get(part.segment, 0) - part.seq
        if end > 0:
            yield part._replace(payloads=part.payloads[:end])


def ship_until(shipper: Shipper, stop: Callable[[bool, float], bool]) -> None:
    """Ship again and again.

    Args:
        shipper: ships.
        stop: told whether the last round reached the server and how long nothing was shipped; whether to end.
    """
    pause, since = PAUSE, time.monotonic()
    looked = 0.0
    while True:
        try:
            if time.monotonic() - looked > SETTLED:
                looked = time.monotonic()
                shipper.seal_dead()
            if shipper.round():
                since = time.monotonic()
            shipper.say(None)
            pause, reached = PAUSE, True
        except Denied as error:
            # The next script brings another token, perhaps: it begins a process of its own.
            shipper.say(error)
            return
        except CharkhError as error:
            shipper.say(error)
            pause, reached = min(LONGEST_PAUSE, pause * 2), False
        if stop(reached, time.monotonic() - since):
            return
        _rest(shipper.spool, pause)


def _rest(spool: Path, seconds: float) -> None:
    """Wait so long, or until somebody waits for what is shipped."""
    end, nudged = time.monotonic() + seconds, _touched(spool / NUDGE)
    while time.monotonic() < end and _touched(spool / NUDGE) == nudged:
        time.sleep(min(STEP, seconds))


def _touched(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def main(spool: Path) -> int:
    """Ship until nobody writes and everything is there, or the server does not answer for long; 0."""
    url = (spool / "url").read_text()
    descriptor = os.open(spool / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # Another process ships this spool.
        return 0
    os.nice(5)
    shipper = Shipper(spool, HttpConnection(url, os.environ.get("CHARKH_TOKEN", "")))

    def stop(reached: bool, idle: float) -> bool:
        if not (spool / "url").exists():
            # Somebody took the spool away.
            return True
        patience = LINGER if reached and shipper.is_done() else GIVE_UP
        return idle > patience and not _has_writers(spool)

    with contextlib.suppress(KeyboardInterrupt):
        ship_until(shipper, stop)
        tidy(shipper)
    return 0


def tidy(shipper: Shipper) -> bool:
    """Take the spool away, where the server has all of it and nobody writes; whether it was.

    Who opens it meanwhile waits for the lock of the writers, and begins with an empty one.
    """
    spool = shipper.spool
    descriptor = os.open(spool / USERS, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if shipper.shipped.trouble or shipper.shipped.refused or not shipper.is_done():
            return False
        # What says that it is a store goes first: a half of it that is left is no store.
        for path in sorted(spool.iterdir(), key=lambda path: path.name != STORE_FILE):
            if path.name in {LOCK, USERS}:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _has_writers(spool: Path) -> bool:
    """Whether a process has the spool open."""
    descriptor = os.open(spool / USERS, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _age(path: Path) -> float:
    """Seconds since a file was last written."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
