"""The segment that a followed file has open: its news are appended, and its run shows as running while it is held."""

from charkh.bridges.tensorboard.pending import Pending
from charkh.bridges.tensorboard.pieces import Piece
from charkh.bridges.tensorboard.reader import FileState
from charkh.core.errors import NotFound
from charkh.core.events import Draft
from charkh.ports.journal import DataHeader
from charkh.ports.store import Store
from charkh.runs.membership import MAIN_WRITER
from charkh.runs.points import CONTENT
from charkh.runs.seal import sealed_draft


class OpenSegment:
    """A data segment of points, one record for each of the file's from `piece` on.

    Args:
        store: where it is opened.
        piece: where it begins.
        attempt: of the file's writer.
        state: of the file; it says where the segment begins as long as that is open.

    Attributes:
        records: how many it has.
    """

    def __init__(self, store: Store, piece: Piece, attempt: int, state: FileState) -> None:
        self.records = 0
        self.attempt = attempt
        self._state = state
        self._header = DataHeader(
            segment=piece.segment(),
            content=CONTENT,
            subject=f"run:{piece.run}",
            writer=MAIN_WRITER,
            attempt=attempt,
        )
        self._writer = store.journal.open_data(self._header)
        state.since = piece.offset

    def append(self, payloads: list[bytes]) -> None:
        """Append the records of the file that follow."""
        for payload in payloads:
            self._writer.append(payload)
        self.records += len(payloads)

    def close(self, store: Store, pending: Pending) -> None:
        """Let go of it; what seals it waits to be committed."""
        self._state.since = -1
        self._writer.close()
        draft = sealed(store, self._header)
        pending.add([draft] if draft is not None else [], drop=self._header.segment)


def sealed(store: Store, header: DataHeader) -> Draft | None:
    """The fact that seals a segment; None where it holds nothing, or whoever seals closed segments was faster."""
    try:
        return sealed_draft(store, header)
    except NotFound:
        return None
