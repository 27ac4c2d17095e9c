"""Folding the journal into the tables of projections; every function here runs inside a transaction of the catalog."""

import time
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from charkh.core.clock import Clock
from charkh.core.digests import digest_of
from charkh.core.errors import Corrupt
from charkh.core.events import Event, Recorded, decode_event
from charkh.ports.journal import Cursor, Journal
from charkh.ports.projections import Projection
from charkh.stores.catalog_state import keep_decided, make_tables, put_aside, read_cursor, write_cursor

UNFOLDABLE = (Corrupt, ValueError, OverflowError, TypeError, RecursionError, DataError, IntegrityError)
"""What a fold raises for a body that says what no table can hold: a number beyond 64 bits, bytes in a param."""


class Folder:
    """Folds events into the tables of all projections.

    Args:
        projections: one per noun.
        clock: adopts the readings of the events that are folded.
    """

    def __init__(self, projections: Sequence[Projection], clock: Clock) -> None:
        self._projections = projections
        self._clock = clock

    def prepare(self, connection: Connection, journal: Journal) -> None:
        """Create what is missing; fold a projection whose version changed anew, in this transaction."""
        changed = make_tables(connection, self._projections)
        if changed and read_cursor(connection):
            # From the start to wherever the journal ends now: folding an event twice changes nothing.
            for batch in journal.read({}):
                recorded = self._decode(connection, batch.payloads)
                self._fold(connection, [item.event for item in recorded], changed)

    def fold_journal(
        self,
        connection: Connection,
        journal: Journal,
        *,
        known: AbstractSet[bytes] = frozenset(),
        seconds: float = float("inf"),
    ) -> bool:
        """Fold what the journal holds behind the cursor, and move the cursor.

        Args:
            connection: in a write transaction, prepared.
            journal: the truth.
            known: payloads that this transaction has folded already.
            seconds: stop after the batch in which this time ran out.

        Returns:
            Whether there may be more.
        """
        deadline = time.monotonic() + seconds
        cursor: Cursor | None = None
        more = False
        for batch in journal.read(read_cursor(connection)):
            fresh = [payload for payload in batch.payloads if payload not in known] if known else batch.payloads
            self.fold(connection, self._decode(connection, fresh))
            cursor = batch.cursor
            if time.monotonic() > deadline:
                more = True
                break
        if cursor is not None:
            write_cursor(connection, cursor)
        return more

    def fold(self, connection: Connection, recorded: Sequence[Recorded]) -> None:
        """Fold events that are in the journal, or will be when the transaction ends."""
        for item in recorded:
            self._clock.observe(item.event.clock)
        keep_decided(connection, recorded)
        self._fold(connection, [item.event for item in recorded], self._projections)

    def _decode(self, connection: Connection, payloads: Iterable[bytes]) -> list[Recorded]:
        recorded: list[Recorded] = []
        for payload in payloads:
            try:
                recorded.append(Recorded(decode_event(payload), payload))
            except Corrupt as error:
                # One payload that is no event must not hide every other fact; `charkh fsck` names it.
                put_aside(connection, f"payload:{digest_of(payload)}", "", error.message)
        return recorded

    def _fold(self, connection: Connection, events: Sequence[Event], projections: Iterable[Projection]) -> None:
        for each in projections:
            mine = events if each.kinds is None else [event for event in events if event.kind in each.kinds]
            if mine:
                self._fold_one(connection, each, mine)

    def _fold_one(self, connection: Connection, projection: Projection, events: Sequence[Event]) -> None:
        try:
            with connection.begin_nested():
                projection.fold(connection, events)
        except UNFOLDABLE as error:
            if len(events) == 1:
                put_aside(connection, events[0].id, projection.name, _reason(error))
                return
            for event in events:
                self._fold_one(connection, projection, [event])


def _reason(error: Exception) -> str:
    if isinstance(error, Corrupt):
        return error.message
    cause = error.orig if isinstance(error, DataError | IntegrityError) else error
    return f"it says what the catalog cannot hold: {cause}"
