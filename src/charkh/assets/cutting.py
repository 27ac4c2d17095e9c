"""How content is cut: by its own bytes, so that an edit moves only the cuts beside it.

The sizes belong to the format: cutting otherwise is correct, but stores again what was stored before.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from pyfastcdc import FastCDC

WHOLE = 64 * 1024
"""Content of at most so many bytes is one chunk."""
ONE_CHUNK = "one.chunk"
"""A hint for content of at most `BLOCK` bytes that must stay one chunk."""
BLOCK = 8 * 1024 * 1024
"""Bytes read at once."""


class Cut(NamedTuple):
    """Sizes of chunks: the smallest, the usual and the largest; equal ones mean fixed pieces."""

    smallest: int
    usual: int
    largest: int

    @property
    def fixed(self) -> bool:
        return self.smallest == self.largest


class Block(NamedTuple):
    """A stretch of content and the chunks that it falls into."""

    content: memoryview
    chunks: list[memoryview]


TABLE = Cut(4 * 1024, 16 * 1024, 128 * 1024)
GENERAL = Cut(16 * 1024, 64 * 1024, 512 * 1024)
MEDIA = Cut(BLOCK, BLOCK, BLOCK)

# fmt: off
_TABLES = frozenset(
    {
        "csv", "tsv", "psv", "tab", "jsonl", "ndjson", "json", "parquet", "arrow", "feather", "ipc", "orc",
        "avro", "sqlite", "sqlite3", "db", "duckdb", "sql", "xml", "geojson", "gpkg", "arrows"
    }
)
_MEDIA = frozenset(
    {
        "jpg", "jpeg", "png", "gif", "webp", "avif", "heic", "mp3", "m4a", "aac", "ogg", "opus", "flac", "mp4",
        "m4v", "mkv", "mov", "avi", "webm", "chunk", "zip", "gz", "tgz", "bz2", "xz", "zst", "lz4", "7z", "rar", "br",
        "whl", "jar", "docx", "xlsx", "pptx", "pdf", "heif", "jxl", "mpg", "mpeg", "wmv", "flv", "3gp", "oga", "ogv",
        "m4b", "wma", "tbz2", "txz", "tzst", "lzma", "deb", "rpm", "apk", "epub", "odt", "ods", "odp", "woff2", "egg",
        "war"
    }
)
# fmt: on


def suffix_of(name: str) -> str:
    """The suffix that says what kind of content a file has: lower case, without the dot."""
    stem, dot, suffix = name.rpartition(".")
    return suffix.lower() if dot and stem and "/" not in suffix else ""


def cut_for(suffix: str) -> Cut:
    """How content with this suffix is cut."""
    if suffix in _TABLES:
        return TABLE
    return MEDIA if suffix in _MEDIA else GENERAL


def cut_blocks(read: Callable[[memoryview], int], cut: Cut) -> Iterator[Block]:
    """The chunks of a stream, a block's worth at a time; they stay valid as long as they are held.

    Args:
        read: fills as much of a buffer as there is, and returns how much; 0 at the end.
        cut: the sizes.
    """
    chunker = None if cut.fixed else FastCDC(cut.usual, min_size=cut.smallest, max_size=cut.largest)
    carried: memoryview | None = None
    while True:
        held = len(carried) if carried is not None else 0
        buffer = memoryview(bytearray(BLOCK + held))
        if carried is not None:
            buffer[:held] = carried
        size = held + _fill(read, buffer[held:])
        ended = size < len(buffer)
        content = buffer[:size].toreadonly()
        chunks = [content] if chunker is None else [chunk.data for chunk in chunker.cut_buf(content)]
        # The last chunk ends where the block does, not where the content says: it is cut again with what follows.
        carried = None if ended or chunker is None else chunks.pop()
        if size and chunks:
            yield Block(content[: size - len(carried)] if carried is not None else content, chunks)
        if ended:
            return


def _fill(read: Callable[[memoryview], int], buffer: memoryview) -> int:
    filled = 0
    while filled < len(buffer) and (got := read(buffer[filled:])):
        filled += got
    return filled
