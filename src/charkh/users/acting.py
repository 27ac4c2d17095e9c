"""The store as a caller uses it: what is recorded stands under the caller's name."""

import dataclasses

from charkh.core.events import Event
from charkh.ports.projections import Command, Commands
from charkh.ports.store import Store
from charkh.users.caller import Caller


def store_for(store: Store, caller: Caller) -> Store:
    """The store for one request of `caller`: its facts and decisions are the caller's."""
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
