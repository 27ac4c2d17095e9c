"""What one process appends to one run: a data segment of its own, opened at the first record, rotated, and let go of.

Nothing here waits for a lock that another process holds, and nothing raises for a full or failing disk: the trouble
is reported once, and what could not be kept is counted.
"""

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence

from charkh.core.errors import CharkhError, Invalid
from charkh.core.ids import new_id
from charkh.ports.journal import DataHeader, DataWriter, Journal
from charkh.runs.membership import child_writer

CLOSE_AFTER_SECONDS = 1.0
_log = logging.getLogger("charkh")


class SegmentLog:
    """The records of one content by one process in one run.

    Threads: may be shared.
    Fork: the child goes on in a segment and under a writer's name of its own.

    Args:
        journal: where data segments are opened.
        content: what the records are, such as `media`.
        run: id of the run.
        writer: name of this process among the run's writers.
        rotate_bytes: size at which a segment is closed, so that it can be sealed while the run goes on.
    """

    what = "records"
    """What the trouble report calls the records."""

    def __init__(self, journal: Journal, content: str, run: str, writer: str, rotate_bytes: int) -> None:
        self.writer = writer
        self.attempt = int(time.time() * 1e6)
        self._journal = journal
        self._content = content
        self._run = run
        self._rotate_bytes = rotate_bytes
        self._room = rotate_bytes
        self._lost = 0
        self._reported = False
        self._lock = threading.Lock()
        self._writers: list[DataWriter] = []
        self._append: Callable[[bytes], int] = self._append_first
        _logs.add(self)

    @property
    def closed(self) -> bool:
        """Whether nothing can be appended any more."""
        return self._append == self._refuse

    def append(self, payload: bytes) -> None:
        """Append one record.

        Raises:
            Invalid: the run has ended.
        """
        self._append(payload)
        self._room -= len(payload)
        if self._room < 0:
            self._rotate()

    def open(self) -> None:
        """Open the segment now: as long as it is held, the run is alive."""
        with self._lock:
            if self._append == self._append_first:
                self._open()

    def drop(self, reason: object) -> None:
        """Count a record that is not kept, and report the first one."""
        self._lost += 1
        self._report(reason)

    def close(self, aside: Callable[[], Journal] | None = None) -> tuple[list[str], int]:
        """Let go of every segment; their ids, and how many records were lost. Nothing can be appended any more.

        Args:
            aside: another journal, for what this one does not take; asked for where something waits.
        """
        with self._lock:
            self._append = self._refuse
            writers, self._writers = self._writers, []
        for writer in writers:
            try:
                writer.close()
            except CharkhError as error:
                self._report(error)
                waited = writer.waiting
                if waited == 0:
                    # All was written, and the disk does not say that it keeps it.
                    self._lost += writer.lost == 0
                elif aside is None or not self._put_aside(writer.take_waiting(), aside):
                    self._lost += waited
            self._lost += writer.lost
        return [writer.segment for writer in writers], self._lost

    def leave_to_parent(self) -> None:
        """In the child of a fork: what was opened is the parent's."""
        self.writer = child_writer(self.writer)
        self.attempt = int(time.time() * 1e6)
        self._lock = threading.Lock()
        self._writers = []
        self._lost = 0
        if self._append != self._refuse:
            self._append = self._append_first

    def _append_first(self, payload: bytes) -> int:
        with self._lock:
            if self._append == self._append_first and not self._open():
                self._lost += 1
                return -1
        return self._append(payload)

    def _open(self) -> bool:
        try:
            writer = self._journal.open_data(self._header())
        except CharkhError as error:
            self._report(error)
            return False
        self._writers.append(writer)
        self._room = self._rotate_bytes
        self._append = writer.append
        return True

    def _header(self) -> DataHeader:
        return DataHeader(
            segment=new_id(),
            content=self._content,
            subject=f"run:{self._run}",
            writer=self.writer,
            attempt=self.attempt,
        )

    def _put_aside(self, payloads: Sequence[bytes], aside: Callable[[], Journal]) -> bool:
        """Write records into a segment of another journal; whether they are durable there."""
        try:
            writer = aside().open_data(self._header())
            writer.append_many(payloads)
            writer.close()
        except (CharkhError, OSError) as error:
            self._report(error)
            return False
        return True

    def _rotate(self) -> None:
        with self._lock:
            if self._room >= 0 or not self._writers or self._append == self._refuse:
                return
            old = self._writers[-1]
            if not self._open():
                self._room = self._rotate_bytes
                return
        # Closing waits for the disk, and another thread may still be inside the old segment's append.
        timer = threading.Timer(CLOSE_AFTER_SECONDS, _close_quietly, [old])
        timer.daemon = True
        timer.start()

    def _refuse(self, payload: bytes) -> int:
        del payload
        raise Invalid(
            f"run {self._run} has ended: nothing can be logged to it",
            code="run.ended",
            hint="Log inside the `with` block, or start another run.",
        )

    def _report(self, trouble: object) -> None:
        if not self._reported:
            # First: a console that is kept hears the warning.
            self._reported = True
            _log.warning("%s of run %s are not kept: %s", self.what, self._run, trouble)


def _close_quietly(writer: DataWriter) -> None:
    try:
        writer.close()
    except CharkhError as error:
        _log.warning("segment %s was not closed cleanly: %s", writer.segment, error)


_logs: "weakref.WeakSet[SegmentLog]" = weakref.WeakSet()


def _after_fork() -> None:
    for each in list(_logs):
        each.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork)
