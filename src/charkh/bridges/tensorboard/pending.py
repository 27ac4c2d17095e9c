"""Facts that wait for one flush of the vault and one sync of the journal together."""

from collections.abc import Sequence

from charkh.core.events import Draft
from charkh.ports.store import Store

COMMIT_BYTES = 16 << 20
COMMIT_RUNS = 200


class Pending:
    """Facts whose bytes have been put, and the data segments that they replace."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._drafts: list[Draft] = []
        self._segments: list[str] = []
        self._bytes = 0
        self.runs = 0

    def add(self, drafts: Sequence[Draft], size: int = 0, drop: str = "") -> None:
        """Add facts whose bytes have been put; `drop` is a data segment that they replace."""
        self._drafts += drafts
        self._bytes += size
        if drop:
            self._segments.append(drop)

    @property
    def full(self) -> bool:
        """Whether it is time to commit."""
        return self._bytes > COMMIT_BYTES or self.runs >= COMMIT_RUNS

    def commit(self) -> None:
        """Bytes, then facts, durable on return; then what they replace goes.

        Raises:
            Unavailable: the store cannot be written; nothing was recorded.
        """
        drafts, self._drafts = self._drafts, []
        segments, self._segments = self._segments, []
        self._bytes = self.runs = 0
        if drafts:
            self._store.vault.flush()
            self._store.record(*drafts, durable=True)
        for each in segments:
            self._store.journal.drop_data(each)
