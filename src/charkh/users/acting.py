"""The store as a caller uses it: it records under the caller's name, and reaches as far as the caller's role."""

import dataclasses
from typing import cast

from charkh.core.events import Event
from charkh.ports.journal import Journal
from charkh.ports.projections import Command, Commands
from charkh.ports.store import Store
from charkh.users.caller import Caller
from charkh.users.guarded import NOTHING, GuardedCommands, GuardedJournal, GuardedQueries, Rules, Sight


def store_for(store: Store, caller: Caller, rules: Rules = NOTHING) -> Store:
    """The store for one request of `caller`, which asked for the role `caller.asked`.

    Args:
        store: the workspace's own.
        caller: as it was admitted.
        rules: what is limited how, for a caller whose role is not over the whole workspace; without any it sees
            nothing.
    """
    if not caller.may_everywhere(caller.asked):
        sight = Sight(caller, store.queries.ask)
        return dataclasses.replace(
            store,
            actor=caller.name,
            journal=cast(Journal, GuardedJournal(store.journal, sight, rules)),
            commands=GuardedCommands(store.commands, sight, rules),
            queries=GuardedQueries(store.queries, sight, rules),
        )
    if caller.name == store.actor:
        return store
    return dataclasses.replace(store, actor=caller.name, commands=ActingCommands(store.commands, caller.name))


class ActingCommands:
    """Decisions under somebody's name."""

    def __init__(self, commands: Commands, actor: str) -> None:
        self._commands = commands
        self._actor = actor

    def decide(self, command: Command, *, key: str = "", actor: str = "") -> tuple[Event, ...]:
        """See `charkh.ports.projections.Commands`."""
        return self._commands.decide(command, key=key, actor=actor or self._actor)
