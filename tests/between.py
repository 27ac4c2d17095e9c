"""What happens between the putting of bytes and the decision about them."""

from collections.abc import Callable

from charkh.core.events import Event
from charkh.ports.projections import Command, Commands


class Between:
    """Decisions before the first of which something else is done."""

    def __init__(self, commands: Commands, first: Callable[[], object]) -> None:
        self._commands = commands
        self._first = first
        self._told = False

    def decide(self, command: Command, *, key: str = "", actor: str = "") -> tuple[Event, ...]:
        if not self._told:
            self._told = True
            self._first()
        return self._commands.decide(command, key=key, actor=actor)
