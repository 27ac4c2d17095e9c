"""Points that a server records on behalf of clients: many runs at once, each in a segment of its own while it lasts.

A client's process is not here, so nothing tells whether it lives but what it sends. A run that was heard of within the
last hour is held open by its segment, which is its sign of life; then it is let go of, and shows as lost. All of them
belong to one writer, whichever server process took them: `charkh.runs.history` lays them together, and of points that
are equal in key, step, time and value one counts, because clients send again what was not answered.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from charkh.core.errors import CharkhError, NotFound, Unavailable
from charkh.core.events import Draft
from charkh.core.ids import new_id
from charkh.ports.journal import DataHeader, DataWriter
from charkh.ports.store import Store
from charkh.runs.membership import CLIENT_WRITER
from charkh.runs.points import CONTENT, encode_record
from charkh.runs.seal import sealed_draft

MOST_OPEN = 256
"""Segments that one process holds open; where more runs are written at once, the one that was silent longest waits."""

SILENT_SECONDS = 3600.0
"""A client that has said nothing for this long is taken for gone."""

OVER_SECONDS = 30.0
"""A run that has ended and is written once more is let go of after this."""

ROUND_SECONDS = 15.0
ROTATE_BYTES = 32 * 1024 * 1024
REMEMBERED = 20_000

Point = tuple[float, int, dict[str, float]]
"""Time in seconds since the epoch, step, and values by key."""

_log = logging.getLogger("charkh")


class _Open:
    """One segment that is written."""

    __slots__ = ("size", "writer")

    def __init__(self, writer: DataWriter) -> None:
        self.writer = writer
        self.size = 0


class _Sign(NamedTuple):
    moment: float
    over: bool


class Recorder:
    """Records points of many runs.

    Acknowledgement: what `log` returned for has been written to the journal's medium.
    Threads: may be shared.

    Args:
        store: where the segments are.
        most_open: how many segments are open at most.
    """

    def __init__(self, store: Store, *, most_open: int = MOST_OPEN) -> None:
        self._store = store
        self._most_open = most_open
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._signs: OrderedDict[str, _Sign] = OrderedDict()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._keeper: threading.Thread | None = None

    def log(self, run: str, points: Sequence[Point]) -> None:
        """Append points of a run, in order.

        Raises:
            Unavailable: they are not on the medium; to send them again is safe.
        """
        payloads = [encode_record(point) for point in points]
        with self._lock:
            held = self._held(run)
            if len(payloads) == 1:
                held.writer.append(payloads[0])
            else:
                held.writer.append_many(payloads)
            held.size += sum(map(len, payloads))
            waiting = held.writer.waiting
            full = held if held.size > ROTATE_BYTES else None
            if full is not None:
                del self._open[run]
            self._note(run, over=False)
        if full is not None:
            self._let_go([full])
        if waiting:
            raise Unavailable(
                f"the points of run {run} cannot be written now",
                code="run.not_written",
                hint="Look whether the disk is full; send them again.",
            )

    def touch(self, run: str) -> None:
        """A client has said something about a run that is not over."""
        with self._lock:
            self._note(run, over=False)

    def silent_for(self, run: str) -> float | None:
        """Seconds since this process heard of a run; None where it never did."""
        sign = self._signs.get(run)
        return None if sign is None else time.time() - sign.moment

    def end(self, run: str) -> tuple[list[Draft], Callable[[], None]]:
        """Let go of a run that ends: the facts that seal its points, and what to call once they are recorded.

        Other processes' segments of the run are sealed where they hold them no more.
        """
        with self._lock:
            held = self._open.pop(run, None)
            self._note(run, over=True)
        if held is not None:
            _close(held.writer)
        return self._sealed([run])

    def close(self) -> None:
        """Let go of every run and seal what it has."""
        self._stop.set()
        if self._keeper is not None:
            self._keeper.join()
        with self._lock:
            held, self._open = list(self._open.values()), OrderedDict()
        self._let_go(held)

    def _held(self, run: str) -> _Open:
        held = self._open.get(run)
        if held is not None:
            self._open.move_to_end(run)
            return held
        header = DataHeader(segment=new_id(), content=CONTENT, subject=f"run:{run}", writer=CLIENT_WRITER)
        held = self._open[run] = _Open(self._store.journal.open_data(header))
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name="charkh-recorder", daemon=True)
            self._keeper.start()
        return held

    def _note(self, run: str, *, over: bool) -> None:
        self._signs[run] = _Sign(time.time(), over)
        self._signs.move_to_end(run)
        if len(self._signs) > REMEMBERED:
            self._signs.popitem(last=False)
        if self._keeper is None and not self._stop.is_set():
            self._keeper = threading.Thread(target=self._keep, name="charkh-recorder", daemon=True)
            self._keeper.start()

    def _keep(self) -> None:
        """Hold what is alive, let go of what is silent, over, or too much."""
        while not self._stop.wait(ROUND_SECONDS):
            try:
                self.turn(time.time())
            except CharkhError as error:
                _log.warning("points of clients are not sealed now: %s", error)

    def turn(self, now: float) -> None:
        """One round of what is done beside the requests; `now` is seconds since the epoch."""
        with self._lock:
            gone: list[_Open] = []
            for run in list(self._open):
                sign = self._signs.get(run)
                silent = SILENT_SECONDS if sign is None else now - sign.moment
                if silent >= SILENT_SECONDS or (sign is not None and sign.over and silent >= OVER_SECONDS):
                    gone.append(self._open.pop(run))
            while len(self._open) > self._most_open:
                gone.append(self._open.popitem(last=False)[1])
            room = self._most_open - len(self._open)
            waiting = (
                run
                for run, sign in reversed(self._signs.items())
                if not sign.over and run not in self._open and now - sign.moment < SILENT_SECONDS
            )
            for run, _ in zip(list(waiting), range(room), strict=False):
                self._held(run)
                self._open.move_to_end(run, last=False)
        self._let_go(gone)

    def _let_go(self, held: Sequence[_Open]) -> None:
        for each in held:
            _close(each.writer)
        if held:
            drafts, drop = self._sealed([], [each.writer.segment for each in held])
            if drafts:
                self._store.record(*drafts, durable=True)
            drop()

    def _sealed(self, runs: Sequence[str], segments: Sequence[str] = ()) -> tuple[list[Draft], Callable[[], None]]:
        subjects = {f"run:{run}" for run in runs}
        drafts: list[Draft] = []
        done: list[str] = []
        try:
            for each in self._store.journal.list_data():
                header = each.header
                if each.live or header.content != CONTENT or header.writer != CLIENT_WRITER:
                    continue
                if header.subject not in subjects and header.segment not in segments:
                    continue
                try:
                    draft = sealed_draft(self._store, header)
                except NotFound:
                    # Another process has sealed it meanwhile.
                    continue
                done.append(header.segment)
                drafts += [draft] if draft is not None else []
            if drafts:
                self._store.vault.flush()
        except CharkhError as error:
            _log.warning("points of clients wait to be sealed: %s", error)
            return [], lambda: None
        return drafts, lambda: self._drop(done)

    def _drop(self, segments: Sequence[str]) -> None:
        for segment in segments:
            self._store.journal.drop_data(segment)


def _close(writer: DataWriter) -> None:
    try:
        writer.close()
    except CharkhError as error:
        _log.warning("segment %s was not closed cleanly: %s", writer.segment, error)
