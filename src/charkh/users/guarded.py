"""The store behind a guard: a caller whose role does not reach everywhere sees and changes what it reaches.

The rules say, by type of question, of command and by noun of a fact, what each is about (`charkh.workspace.visible`).
What no rule knows is refused. What the caller has no role over is answered as if it were not there; over what it may
only read, a request that changes something is refused as such.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from charkh.core.errors import Denied
from charkh.core.events import Event, decode_event
from charkh.ports.journal import DataHeader, DataWriter, Journal
from charkh.ports.projections import Command, Commands, Queries, Query
from charkh.users.caller import Caller, covers
from charkh.users.gatekeeper import not_allowed
from charkh.users.scopes import Noun

Answer = TypeVar("Answer")


class Sight:
    """What one caller reaches, while it asks for one role.

    Attributes:
        caller: who asks.
        ask: asks the store, past the guard.
    """

    def __init__(self, caller: Caller, ask: Callable[[Query[Any]], Any]) -> None:
        self.caller = caller
        self.ask = ask

    def shows(self, noun: Noun, name: str) -> bool:
        """Whether this is one of the things that the request may be about: for lists, which leave out the others."""
        return covers(self.caller.role(noun, name), self.caller.asked)

    def reaches(self, noun: Noun, name: str) -> bool:
        """Whether the request may be about this one thing; False as if it were not there.

        Raises:
            Denied: the caller may see it, and not do this to it.
        """
        held = self.caller.role(noun, name)
        if held is not None and not covers(held, self.caller.asked):
            raise not_allowed(self.caller.asked)
        return held is not None

    def require(self, noun: Noun, name: str) -> None:
        """Refuse a change of what the caller may not change.

        Raises:
            Denied: it may not.
        """
        if not covers(self.caller.role(noun, name), self.caller.asked):
            raise not_allowed(self.caller.asked)


class Rules(NamedTuple):
    """How questions, decisions and facts are limited.

    Attributes:
        answers: by type of question, what answers it within a caller's sight.
        commands: by type of command, what refuses it where it reaches too far.
        facts: by noun of the subject, what refuses a fact that reaches too far.
    """

    answers: Mapping[type[Query[Any]], Callable[[Sight, Any], Any]]
    commands: Mapping[type[Command], Callable[[Sight, Any], None]]
    facts: Mapping[str, Callable[[Sight, Event], None]]


NOTHING = Rules(answers={}, commands={}, facts={})


class GuardedQueries:
    """Questions within a caller's sight."""

    def __init__(self, queries: Queries, sight: Sight, rules: Rules) -> None:
        self._queries = queries
        self._sight = sight
        self._rules = rules

    @property
    def stale(self) -> bool:
        """See `charkh.ports.projections.Queries`."""
        return self._queries.stale

    def ask(self, query: Query[Answer]) -> Answer:
        """See `charkh.ports.projections.Queries`."""
        rule = self._rules.answers.get(type(query))
        if rule is None:
            raise out_of_reach(f"what {type(query).__name__} asks for")
        return cast(Answer, rule(self._sight, query))


class GuardedCommands:
    """Decisions within a caller's sight, under its name."""

    def __init__(self, commands: Commands, sight: Sight, rules: Rules) -> None:
        self._commands = commands
        self._sight = sight
        self._rules = rules

    def decide(self, command: Command, *, key: str = "", actor: str = "") -> tuple[Event, ...]:
        """See `charkh.ports.projections.Commands`."""
        rule = self._rules.commands.get(type(command))
        if rule is None:
            raise out_of_reach(f"what {type(command).__name__} decides")
        rule(self._sight, command)
        return self._commands.decide(command, key=key, actor=actor or self._sight.caller.name)


class GuardedJournal:
    """Facts within a caller's sight; everything else is the journal's own."""

    def __init__(self, journal: Journal, sight: Sight, rules: Rules) -> None:
        self._journal = journal
        self._sight = sight
        self._rules = rules

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def append(self, payloads: Sequence[bytes], *, durable: bool = False) -> None:
        """See `charkh.ports.journal.Journal`."""
        for payload in payloads:
            event = decode_event(payload)
            rule = self._rules.facts.get(event.subject.partition(":")[0])
            if rule is None:
                raise out_of_reach(f"what {event.kind} states")
            rule(self._sight, event)
        self._journal.append(payloads, durable=durable)

    def open_data(self, header: DataHeader) -> DataWriter:
        """Refused: what is many is written by the server's own recorder, after it has asked for the run."""
        raise out_of_reach(f"a segment of {header.content}")


def out_of_reach(what: str) -> Denied:
    """What somebody is told whose role is not over the whole workspace, and would have to be."""
    return Denied(
        f"{what} needs a role over the whole workspace",
        code="user.not_everywhere",
        hint="Ask an admin for it: charkh user grant NAME ROLE '*'.",
    )
