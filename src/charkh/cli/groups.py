"""How a group of commands shows what is in it."""

import sys
from typing import Any

from typer.core import TyperGroup


class WholeSentences(TyperGroup):
    """A group whose list of commands is wrapped where it is too wide; a sentence that is cut off helps nobody."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list of commands in the help, on a pipe; see `rich_markup_mode` for a terminal."""
        shown = [self.commands[name] for name in self.list_commands(ctx) if not self.commands[name].hidden]
        with formatter.section("Commands"):
            formatter.write_dl([(each.name or "", each.get_short_help_str(limit=sys.maxsize)) for each in shown])
