"""Projections: how a noun makes its facts searchable, and the commands and queries it answers.

A projection owns its tables, how an event folds into them, its queries and its decisions. The catalog
only runs them. A fold is a function of the *set* of events: it never refuses, never depends on order
or batching, and recomputes nothing that a decision wrote down (`charkh.testing.projections` checks it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

from charkh.core.events import Draft, Event

if TYPE_CHECKING:
    from sqlalchemy import Connection, MetaData

Answer = TypeVar("Answer")
AnswerCo = TypeVar("AnswerCo", covariant=True)


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be decided where the catalog lock is: a name, a version, an alias, a promotion."""


class Query(msgspec.Struct, Generic[AnswerCo], frozen=True, kw_only=True):
    """A question to the catalog; the answer is a struct, or a list or tuple of structs."""


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """How a subject is shown to a person: a reference or name, and labelled lines."""

    title: str
    lines: tuple[tuple[str, str], ...] = ()


class Describe(Query["Description | None"], frozen=True, kw_only=True):
    """How the noun that owns `subject` (`noun:id`) describes it; the catalog passes it on by noun."""

    subject: str


class Position(Query[str], frozen=True, kw_only=True):
    """How far the facts are folded: while two answers are equal, so is every answer that hangs on facts alone."""


Fold = Callable[["Connection", Sequence[Event]], None]
Decide = Callable[["Connection", Any], Sequence[Draft]]
Reply = Callable[["Connection", Any], Any]
Portray = Callable[["Connection", str], "Description | None"]


@dataclass(frozen=True, slots=True)
class Projection:
    """One noun's part of the catalog.

    Attributes:
        name: the noun; its tables start with it.
        version: raise it when tables or folds change; the catalog then folds this projection anew.
        tables: the tables, created by the catalog.
        kinds: event kinds that `fold` is called with; None for every event.
        fold: called with events of those kinds, in any order and grouping, each at least once.
        answers: by query type, the function that answers it on a read connection.
        portraits: by noun, the function that describes the subject with this id, or None if unknown.
        decisions: by command type, the function that decides it: it reads, and returns drafts or raises.
        apart: its answers read its own tables alone, so they need not wait until facts of other kinds are folded.
    """

    name: str
    version: int
    tables: MetaData
    kinds: frozenset[str] | None
    fold: Fold
    answers: Mapping[type[Query[Any]], Reply] = field(default_factory=dict[type[Query[Any]], Reply])
    portraits: Mapping[str, Portray] = field(default_factory=dict[str, Portray])
    decisions: Mapping[type[Command], Decide] = field(default_factory=dict[type[Command], Decide])
    apart: bool = False


class Commands(Protocol):
    """Takes decisions, one after another."""

    def decide(self, command: Command, *, key: str = "", actor: str = "") -> tuple[Event, ...]:
        """Decide, append the facts durably, fold them, and return them.

        They stand under `actor`'s name; without one, under the store's own.

        Idempotence: a second call with the same non-empty `key` returns the first call's events.
        Order: each decision sees the outcome of every earlier one.

        Raises:
            CharkhError: whatever the decision raises; then nothing was appended.
            Locked: another process decides for longer than the timeout.
            Unavailable: the journal cannot be written.
        """
        ...


class Queries(Protocol):
    """Answers questions from the catalog, caught up with the journal first."""

    @property
    def stale(self) -> bool:
        """Whether the last answer could not be caught up with other processes' newest facts."""
        ...

    def ask(self, query: Query[Answer]) -> Answer:
        """The answer; it includes everything that this process has recorded."""
        ...
