"""Where bytes lie between the source and the dataset: a folder a source, kept over a crash, emptied by success."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Generator
from pathlib import Path

import msgspec
from blake3 import blake3

from charkh.core.errors import CharkhError, Locked, Unavailable

BLOCK = 1 << 20


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about the staged bytes of one thing.

    Attributes:
        key: what the source calls it.
        etag: the source's mark of the content that these bytes are, or begin.
        modified: the source's time of its last change.
        strong: the mark or time by which two parts are known to be of one content; empty where there is none.
        total: bytes of the whole content, or -1 where that is not known.
        digest: BLAKE3 of the content once it is whole, else empty.
    """

    key: str
    etag: str = ""
    modified: str = ""
    strong: str = ""
    total: int = -1
    digest: str = ""


class Staging:
    """The folder of one source, held by one fetch at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, key: str) -> Path:
        """Where the bytes of a thing lie; the file may not be there."""
        return self.folder / f"{_name(key)}.bytes"

    def new_file(self, name: str) -> Path:
        """A place for a file that is written here."""
        return self.folder / name

    def note(self, key: str) -> Note | None:
        """What is known about the bytes at `place(key)`; None where nothing is, or it cannot be read."""
        try:
            note = msgspec.json.decode((self.folder / f"{_name(key)}.json").read_bytes(), type=Note)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
        return note if note.key == key and self.place(key).is_file() else None

    def write_note(self, note: Note) -> None:
        """Say what the bytes are; the note is whole or not there."""
        target = self.folder / f"{_name(note.key)}.json"
        partial = target.with_suffix(".partial")
        partial.write_bytes(msgspec.json.encode(note))
        partial.replace(target)

    def forget(self, key: str) -> None:
        """Drop the bytes of one thing."""
        (self.folder / f"{_name(key)}.json").unlink(missing_ok=True)
        self.place(key).unlink(missing_ok=True)

    def clear(self) -> None:
        """Drop everything: it is in the dataset now."""
        for entry in self.folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()


@contextlib.contextmanager
def staging_of(root: Path, source: str) -> Generator[Staging]:
    """The staging folder of a source, held until the block ends.

    Args:
        root: where the folders of all sources are.
        source: name of the source.

    Raises:
        Locked: another process or thread fetches this source now.
        Unavailable: the folder cannot be written, or a file of the source cannot be read.
    """
    folder = root / _name(source)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Beside the folder, so that emptying it leaves the lock alone.
        descriptor = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(
            f"cannot write to {folder}: {error.strerror or error}",
            code="source.staging",
            hint="Look at its permissions and the free space.",
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Locked(
                f"{source!r} is being fetched by another process",
                code="source.busy",
                hint="Wait until it is done: what it brings is there for everybody.",
            ) from error
        yield Staging(folder)
    except OSError as error:
        if isinstance(error, CharkhError):
            raise
        raise Unavailable(
            f"cannot use {error.filename or folder}: {error.strerror or error}",
            code="source.file_unavailable",
            hint="Look at its permissions and the free space, and fetch again: what came is kept.",
        ) from error
    finally:
        os.close(descriptor)


def digest_of(path: Path) -> str:
    """BLAKE3 of a file."""
    hasher = blake3()
    with path.open("rb") as file:
        while data := file.read(BLOCK):
            hasher.update(data)
    return hasher.hexdigest()


def _name(text: str) -> str:
    return blake3(text.encode()).hexdigest(16)
