"""Stop a loop, and let it go on: the switch that a person has."""

from charkh.core.errors import Invalid
from charkh.core.redact import redact
from charkh.core.refs import parse_name
from charkh.loops.index import PauseLoop, PauseOf
from charkh.loops.loop import MAX_REASON, Pause
from charkh.ports.store import Store


def pause(store: Store, name: str, *, reason: str) -> Pause | None:
    """Stop a loop: it retrains, tries and promotes nothing until somebody resumes it.

    Raises:
        Invalid: nobody says why.
    """
    if not reason.strip():
        raise Invalid("nobody says why the loop is stopped", code="loop.no_reason", hint="Add --reason TEXT.")
    loop = parse_name(name, "loop name")
    store.commands.decide(PauseLoop(loop=loop, paused=True, reason=redact(reason.strip())[:MAX_REASON]))
    return store.queries.ask(PauseOf(loop=loop))


def resume(store: Store, name: str, *, reason: str = "") -> None:
    """Let a loop go on where it was."""
    loop = parse_name(name, "loop name")
    store.commands.decide(PauseLoop(loop=loop, paused=False, reason=redact(reason.strip())[:MAX_REASON]))
