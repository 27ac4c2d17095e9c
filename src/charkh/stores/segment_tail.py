"""What was added to a data segment's file since the last look: only the new bytes are read."""

from collections.abc import Sequence
from pathlib import Path

from charkh.core.frames import MAX_PAYLOAD, scan_frames
from charkh.stores.durable import read_range
from charkh.stores.segment_file import is_header

PORTION = 4 * 1024 * 1024
"""About so many bytes are given at once."""


class SegmentTail:
    """A place in a growing segment file.

    Attributes:
        ordinal: of the record that comes next.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.ordinal = 0
        self._offset = 0

    def read(self) -> Sequence[bytes]:
        """The next whole records, some megabytes of them at most; none where there is nothing new.

        Raises:
            OSError: the file cannot be read.
        """
        length = PORTION
        while True:
            buffer = read_range(self._path, self._offset, length)
            scan = scan_frames(buffer)
            if scan.frames or len(buffer) < length or length > MAX_PAYLOAD:
                break
            # One record is longer than a portion.
            length = MAX_PAYLOAD + PORTION
        payloads = [frame.payload for frame in scan.frames]
        if self._offset == 0 and payloads and is_header(payloads[0]):
            del payloads[0]
        self._offset += scan.end
        self.ordinal += len(payloads)
        return payloads

    def rewind(self, ordinal: int) -> None:
        """Go to a record before the place."""
        self._offset = self.ordinal = 0
        while self.ordinal < ordinal:
            buffer = read_range(self._path, self._offset, PORTION)
            scan = scan_frames(buffer)
            frames = scan.frames
            if not frames:
                return
            if self._offset == 0 and is_header(frames[0].payload):
                self._offset = frames[0].end
                frames = frames[1:]
                base = 0
            else:
                base = self._offset
            wanted = frames[: ordinal - self.ordinal]
            if wanted:
                self._offset = base + wanted[-1].end
                self.ordinal += len(wanted)
