"""The store as a verb sees it: the four ports and who is acting."""

from dataclasses import dataclass

from charkh.core.clock import Clock
from charkh.core.events import Draft, Event, stamp_draft
from charkh.ports.journal import Journal
from charkh.ports.projections import Commands, Queries
from charkh.ports.vault import Vault


@dataclass(frozen=True, slots=True)
class Store:
    """Journal, bytes, commands and queries, handed down by the workspace to every verb.

    Attributes:
        actor: who records: `user@host`.
    """

    journal: Journal
    vault: Vault
    commands: Commands
    queries: Queries
    clock: Clock
    actor: str

    def record(self, *drafts: Draft, durable: bool = False) -> tuple[Event, ...]:
        """Append facts that need no decision; with `durable`, they survive power loss on return.

        Raises:
            Unavailable: the journal cannot be written; then none of them was.
        """
        recorded = [stamp_draft(draft, self.clock, self.actor) for draft in drafts]
        self.journal.append([item.payload for item in recorded], durable=durable)
        return tuple(item.event for item in recorded)
