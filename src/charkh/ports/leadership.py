"""Leadership: of several processes of one store, the one that does what only one of them should."""

from typing import Protocol


class Leadership(Protocol):
    """Held by at most one process at a time, until it lets go, dies, or loses the medium that says so.

    It keeps two processes from doing the same work twice over; it is no fence. What is done under it must be safe to do
    twice, because a process that was stopped for long may not know yet that it has lost it.
    """

    def leads(self) -> bool:
        """Whether this process leads now; it takes the lead where nobody has it."""
        ...

    def close(self) -> None:
        """Let somebody else lead."""
        ...
