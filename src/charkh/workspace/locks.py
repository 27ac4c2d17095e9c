"""Locks as a person meets them: how long to wait for one, and who has it meanwhile."""

from collections.abc import Callable

from charkh.stores.folder_lock import PATIENCE, USUAL


def wait_at_most(seconds: float) -> None:
    """Wait so long for every lock of this process, instead of what each is given; 0 for not at all."""
    PATIENCE.seconds = seconds


def tell_who_holds(say: Callable[[str], None]) -> None:
    """Let `say` be told who holds a lock, once this process has waited a second for it."""
    PATIENCE.say = say


def patience() -> float:
    """Seconds that this process waits for a lock that it needs."""
    return PATIENCE.instead_of(USUAL)
