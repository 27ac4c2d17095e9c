"""The catalog: SQL tables that make the facts searchable, folded from the journal by each noun's projection.

It is a view: deleting it loses nothing. It runs projections, keeps how far the journal is folded in the
same transaction as the folds, answers queries, and takes decisions one after another under the
journal's lock.
"""

import logging
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError, DBAPIError

from charkh.core.canon import canonical_json
from charkh.core.clock import Clock
from charkh.core.digests import digest_of
from charkh.core.errors import Bug, CharkhError, Corrupt, Locked, Unavailable
from charkh.core.events import Event, Recorded, decode_event, stamp_draft
from charkh.core.refs import parse_subject
from charkh.ports.journal import Batch, Journal
from charkh.ports.projections import Command, Describe, Position, Projection, Query
from charkh.stores.catalog_file import CatalogFile, Overlay, is_single
from charkh.stores.catalog_fold import Folder
from charkh.stores.catalog_state import decided_before, forget, is_prepared, read_cursor, set_aside_rows
from charkh.stores.forks import watch_forks

Answer = TypeVar("Answer")
Result = TypeVar("Result")

READER_PATIENCE = 0.2
"""Seconds that a reader waits for the fold lock before it answers from a private overlay."""

FOLD_SECONDS = 2.0
"""Seconds after which a long fold commits and lets others have the lock for a moment."""

OVERLAY_SECONDS = 1.0
"""Seconds that a reader folds into its overlay before it answers from what it has."""

LOOKED_THROUGH = 64
"""Facts that are not folded yet, of which so many are looked through for kinds that an answer depends on."""

_log = logging.getLogger("charkh")


class _Ticket:
    """One decision waiting for the leader."""

    def __init__(self, command: Command, key: str, actor: str) -> None:
        self.command = command
        self.key = key
        self.actor = actor
        self.events: tuple[Event, ...] = ()
        self.error: BaseException | None = None
        self.appended = False
        self.done = False


class Catalog:
    """Commands and queries over one SQL engine and one journal; shared between threads.

    Args:
        engine: `sqlite_engine` or `postgres_engine`.
        journal: the truth that is folded.
        projections: one per noun.
        clock: adopts the readings of the events that are folded.
        actor: who decides, as it stands in the events.
        overlay: makes a private in-memory engine for readers that may not write or must not wait;
            None where such readers wait.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        projections: Sequence[Projection],
        clock: Clock,
        actor: str,
        overlay: Overlay | None = None,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._projections = tuple(projections)
        self._clock = clock
        self._actor = actor
        self._overlay = overlay
        self._folder = Folder(self._projections, clock)
        self._file = CatalogFile(engine)
        self._answers = {kind: reply for each in projections for kind, reply in each.answers.items()}
        self._apart = {query: each.kinds for each in projections if each.apart for query in each.answers}
        self._decisions = {kind: decide for each in projections for kind, decide in each.decisions.items()}
        self._portraits = {noun: portray for each in projections for noun, portray in each.portraits.items()}
        self._begin()
        watch_forks(self)

    def _begin(self) -> None:
        self._queue: list[_Ticket] = []
        self._queue_lock = threading.Lock()
        self._leader = threading.Lock()
        self._turn = threading.RLock()
        self._private: Engine | None = None
        self._prepared = False
        self.stale = False

    def after_fork(self) -> None:
        """See `charkh.stores.forks.Forkable`: the child opens connections of its own."""
        self._engine.dispose(close=False)
        self._begin()

    @property
    def engine(self) -> Engine:
        """The SQL engine, for those who look into the tables themselves."""
        return self._engine

    def decide(self, command: Command, *, key: str = "", actor: str = "") -> tuple[Event, ...]:
        """See `charkh.ports.projections.Commands`; threads that decide at once share one fsync."""
        ticket = _Ticket(command, key, actor or self._actor)
        with self._queue_lock:
            self._queue.append(ticket)
        with self._leader:
            if not ticket.done:
                with self._queue_lock:
                    batch, self._queue = self._queue, []
                self._decide_batch(batch)
        if ticket.error is not None:
            raise ticket.error
        return ticket.events

    def ask(self, query: Query[Answer]) -> Answer:
        """See `charkh.ports.projections.Queries`."""
        return self._soundly(lambda: self._ask_once(query))

    def catch_up(self) -> None:
        """Fold what the journal holds and the catalog does not yet.

        Raises:
            Locked: another process folds for longer than the journal's timeout.
            Unavailable: the database cannot be written.
        """
        self._soundly(lambda: self._catch_up(30.0))

    def rebuild(self) -> None:
        """Throw the tables away and fold everything anew; the answers are the same.

        Raises:
            Locked: another process decides or folds for longer than the journal's timeout.
            Unavailable: the database cannot be written.
        """
        self._throw_away()
        self.catch_up()

    def set_aside(self) -> Sequence[tuple[str, str, str]]:
        """Events that a projection could not read: (event id, projection, reason)."""
        self.catch_up()
        with self._reading(self._engine) as connection:
            return set_aside_rows(connection)

    def close(self) -> None:
        """Let go of the database."""
        self._drop_overlay()
        self._engine.dispose()

    # Answering

    def _ask_once(self, query: Query[Answer]) -> Answer:
        engine = self._caught_up_engine(self._apart.get(type(query)))
        with self._reading(engine) as connection:
            return cast(Answer, self._reply(connection, query))

    def _reply(self, connection: Connection, query: Query[Any]) -> Any:
        if isinstance(query, Describe):
            subject = parse_subject(query.subject)
            portray = self._portraits.get(subject.noun)
            return portray(connection, subject.id) if portray else None
        if isinstance(query, Position):
            return digest_of(canonical_json(read_cursor(connection)))
        reply = self._answers.get(type(query))
        if reply is None:
            raise Bug(f"no projection answers {type(query).__name__}")
        return reply(connection, query)

    def _caught_up_engine(self, kinds: AbstractSet[str] | None = None) -> Engine:
        """The engine to answer from: the catalog's own, or an overlay when it cannot be folded now.

        Of `kinds` every fact has been folded; without them, every fact.
        """
        try:
            self._catch_up(READER_PATIENCE if self._overlay is not None else 30.0, kinds)
        except (Locked, Unavailable):
            if self._overlay is None:
                raise
            return self._overlaid(self._overlay)
        self._drop_overlay()
        self.stale = False
        return self._engine

    def _overlaid(self, overlay: Overlay) -> Engine:
        """A private copy of the tables, folded on from ask to ask until the shared ones can be used again."""
        with self._turn:
            private = self._private
            if private is None:
                private = overlay.copy_of(self._engine)
                with private.begin() as connection:
                    self._folder.prepare(connection, self._journal)
                self._private = private
            with private.begin() as connection:
                self.stale = self._folder.fold_journal(connection, self._journal, seconds=OVERLAY_SECONDS)
            return private

    def _drop_overlay(self) -> None:
        with self._turn:
            if self._private is not None:
                self._private.dispose()
                self._private = None

    # Folding

    def _catch_up(self, timeout: float, kinds: AbstractSet[str] | None = None) -> None:
        more = True
        while more and self._is_behind(kinds):
            with self._journal.exclusive(timeout), self._writing() as connection:
                more = self._folder.fold_journal(connection, self._journal, seconds=FOLD_SECONDS)

    def _is_behind(self, kinds: AbstractSet[str] | None = None) -> bool:
        if self._file.replaced():
            self._prepared = False
        try:
            with self._reading(self._engine) as connection:
                self._prepared = self._prepared or is_prepared(connection, self._projections)
                if not self._prepared:
                    return True
                cursor = read_cursor(connection)
        except DatabaseError as error:
            if self._file.is_damaged(error):
                raise
            return True
        fresh = self._journal.read(cursor)
        return next(iter(fresh), None) is not None if kinds is None else _has_any(fresh, kinds)

    def _soundly(self, action: Callable[[], Result]) -> Result:
        """Run; where the file turns out to be damaged, throw it away, fold it anew, and run once more."""
        try:
            return action()
        except DatabaseError as error:
            if not self._file.is_damaged(error):
                raise _unavailable(error) from error
            _log.warning("the catalog is damaged (%s) and is folded anew from the journal", error.orig)
        self._throw_away()
        try:
            return action()
        except DatabaseError as error:
            raise _unavailable(error) from error

    def _throw_away(self) -> None:
        with self._journal.exclusive():
            if is_single(self._engine) or self._engine.dialect.name != "sqlite":
                with self._turn, self._engine.begin() as connection:
                    forget(connection)
            else:
                try:
                    self._file.throw_away()
                except OSError as error:
                    raise Unavailable(
                        f"the damaged catalog cannot be removed: {error}",
                        code="catalog.unavailable",
                        hint=f"Remove {self._engine.url.database}: it is a view, and no fact is lost.",
                    ) from error
            self._prepared = False

    @contextmanager
    def _reading(self, engine: Engine) -> Generator[Connection]:
        if not is_single(engine):
            with engine.connect() as connection, connection.begin():
                yield connection
            return
        with self._turn, engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _writing(self) -> Generator[Connection]:
        """A write transaction, prepared. Called under the journal's lock.

        Raises:
            Unavailable: the database cannot be written now.
            DatabaseError: the file is damaged.
        """
        if self._file.replaced():
            self._prepared = False
        try:
            with self._turn, self._engine.connect() as plain:
                connection = plain.execution_options(charkh_write=True)
                with connection.begin():
                    if not self._prepared:
                        self._folder.prepare(connection, self._journal)
                    yield connection
            self._prepared = True
        except DatabaseError as error:
            if self._file.is_damaged(error):
                raise
            raise _unavailable(error) from error

    # Deciding

    def _decide_batch(self, tickets: Sequence[_Ticket]) -> None:
        try:
            self._soundly(lambda: self._decide_together(tickets))
        except BaseException as error:
            # Once the journal has it durably, a catalog that cannot be written is only behind.
            interrupted = Unavailable("the deciding thread was interrupted", hint="Call again.")
            for ticket in tickets:
                if not ticket.appended:
                    ticket.error = ticket.error or (error if isinstance(error, CharkhError) else interrupted)
            if not isinstance(error, CharkhError):
                raise
        finally:
            for ticket in tickets:
                ticket.done = True

    def _decide_together(self, tickets: Sequence[_Ticket]) -> None:
        for ticket in tickets:
            ticket.events, ticket.error = (), None
        try:
            with self._journal.exclusive(), self._writing() as connection:
                self._folder.fold_journal(connection, self._journal)
                recorded = [item for ticket in tickets for item in self._decide_one(connection, ticket)]
                if recorded:
                    payloads = [item.payload for item in recorded]
                    self._journal.append(payloads, durable=True)
                    for ticket in tickets:
                        ticket.appended = True
                    self._folder.fold_journal(connection, self._journal, known=frozenset(payloads))
        except (CharkhError, DatabaseError) as error:
            if not tickets[0].appended:
                raise
            _log.warning("a decision is recorded, but the catalog could not be written and is behind: %s", error)

    def _decide_one(self, connection: Connection, ticket: _Ticket) -> Sequence[Recorded]:
        earlier = decided_before(connection, ticket.key)
        if earlier:
            ticket.events = earlier
            return ()
        decision = self._decisions.get(type(ticket.command))
        if decision is None:
            ticket.error = Bug(f"no projection decides {type(ticket.command).__name__}")
            return ()
        try:
            with connection.begin_nested():
                drafts = decision(connection, ticket.command)
                recorded = [stamp_draft(draft, self._clock, ticket.actor, ticket.key) for draft in drafts]
                self._folder.fold(connection, recorded)
        except DBAPIError:
            raise
        except BaseException as error:
            # What one command's decision raises is that command's own; its neighbours in the batch go on.
            ticket.error = error
            if not isinstance(error, Exception):
                raise
            return ()
        ticket.events = tuple(item.event for item in recorded)
        return recorded


def _has_any(batches: Iterable[Batch], kinds: AbstractSet[str]) -> bool:
    """Whether these facts may have one of these kinds; many are not looked through."""
    seen = 0
    for batch in batches:
        seen += len(batch.payloads)
        if seen > LOOKED_THROUGH:
            return True
        try:
            if any(decode_event(payload).kind in kinds for payload in batch.payloads):
                return True
        except Corrupt:
            return True
    return False


def _unavailable(error: DBAPIError) -> Unavailable:
    return Unavailable(
        f"the catalog cannot be used: {error.orig}",
        code="catalog.unavailable",
        hint="Check the disk and the database server; no fact is lost, the catalog is folded again from the journal.",
    )
