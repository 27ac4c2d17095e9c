"""A journal that is written in a folder and shipped to a server: data segments are read from both."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from charkh.core.errors import CharkhError, NotFound
from charkh.core.frames import scan_frames
from charkh.ports.exchange_data import DataListed
from charkh.ports.journal import DataSegment, Record
from charkh.stores.journal_folder import FolderJournal

if TYPE_CHECKING:
    from charkh.stores.http_connection import HttpConnection


class SpooledJournal(FolderJournal):
    """The journal port over a folder, with the data segments of the server behind it.

    Args:
        folder: the journal's folder.
        store: id of the store.
        connect: gives the connection, at the first need.
    """

    def __init__(self, folder: Path, store: str, connect: Callable[[], "HttpConnection"]) -> None:
        super().__init__(folder, store)
        self._connect = connect

    def list_data(self) -> Sequence[DataSegment]:
        """See `charkh.ports.journal.Journal`; only those of this machine where the server does not answer."""
        mine = list(super().list_data())
        try:
            answer = self._connect().get("/api/exchange/data")
            listed = msgspec.json.decode(answer, type=list[DataListed])
        except (CharkhError, msgspec.MsgspecError):
            return mine
        known = {each.header.segment for each in mine}
        return mine + [
            DataSegment(each.header, each.size, each.live) for each in listed if each.header.segment not in known
        ]

    def read_data(self, segment: str, start: int = 0) -> Iterator[Record]:
        """See `charkh.ports.journal.Journal`."""
        try:
            return super().read_data(segment, start)
        except NotFound:
            frames = scan_frames(self._connect().get(f"/api/exchange/data/{segment}", {"start": start})).frames
            return (Record(ordinal, frame.payload) for ordinal, frame in enumerate(frames, start))
