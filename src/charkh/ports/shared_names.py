"""A small set of names that the processes of one server keep together, and which of them serve accordingly."""

from typing import Protocol


class SharedNames(Protocol):
    """The set.

    Order: changes come one after another, and who reads sees a whole state.
    Death: nobody waits for a process that has ended; what it had put stays.
    Threads: one thread a process.
    """

    def read(self) -> frozenset[str]:
        """What the set holds now."""
        ...

    def put(self, name: str, *, present: bool) -> None:
        """Add a name, or take it out; every process finds it `changed`, this one too.

        Raises:
            Invalid: there is no room for another name.
        """
        ...

    def changed(self) -> bool:
        """Whether it was changed since this process said that it heeds what it had read."""
        ...

    def heed(self) -> None:
        """This process serves as the set said when it was read last."""
        ...

    def heeded(self) -> bool:
        """Whether every process that lives serves as the set says now."""
        ...
