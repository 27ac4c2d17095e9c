"""Whether compression pays: asked of samples, remembered by suffix for small files."""

from charkh.assets.cutting import MEDIA, cut_for
from charkh.assets.pack import pays

SAMPLE = 16 * 1024
_TRUSTED = 64
"""Small files of one suffix that follow the last answer before one is looked at again."""


class Probe:
    """Answers whether bytes should be compressed; a wrong answer costs time or space, never content."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[bool, int]] = {}

    def of_small(self, suffix: str, data: bytes | memoryview) -> bool:
        """For content of one chunk."""
        worth, left = self._known.get(suffix, (False, 0))
        if left == 0:
            worth, left = cut_for(suffix) is not MEDIA and len(data) > 0 and pays(data[:SAMPLE]), _TRUSTED
        self._known[suffix] = (worth, left - 1)
        return worth

    def of_block(self, suffix: str, block: memoryview) -> bool:
        """For a block of a larger content, by what lies in its middle."""
        if cut_for(suffix) is MEDIA:
            return False
        middle = len(block) // 2
        return pays(block[middle : middle + SAMPLE])
