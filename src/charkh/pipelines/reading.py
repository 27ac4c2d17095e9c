"""Which files a step reads, seen by Python's own audit hook: they are inputs that nobody had to declare.

Seen is what Python's `open` opens for reading inside the workspace. What a native library opens by itself
(Polars scanning a path) is not; `@step(files=["data/*.csv"])` declares it.
"""

import contextlib
import os
import sys
from collections.abc import Generator, Iterable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from blake3 import blake3

ABSENT = "absent"
_BUFFER = 1 << 20


class _Watch:
    """Paths that were opened for reading, and for writing, since it began."""

    def __init__(self) -> None:
        self.read: dict[str, None] = {}
        self.written: set[str] = set()


_watch: ContextVar[_Watch | None] = ContextVar("charkh_watch", default=None)
_hooked = False


@contextlib.contextmanager
def watching() -> Generator[_Watch]:
    """Watch what this thread or task opens."""
    global _hooked
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    watch = _Watch()
    token = _watch.set(watch)
    try:
        yield watch
    finally:
        _watch.reset(token)


def read_digests(watch: _Watch, folder: Path, ignore: Sequence[Path]) -> dict[str, str]:
    """Digests, by path relative to `folder`, of the files inside it that were read and not written.

    Args:
        watch: what was opened.
        folder: the workspace.
        ignore: folders inside it that hold no inputs, such as the store.
    """
    root = folder.resolve()
    skipped = [each.resolve() for each in ignore]
    found = dict[str, str]()
    for text in watch.read:
        path = Path(text)
        inside = path.is_relative_to(root) and not any(path.is_relative_to(each) for each in skipped)
        if not inside or text in watch.written or path.suffix in {".py", ".pyc"} or not path.is_file():
            continue
        relative = path.relative_to(root)
        if not any(part.startswith(".") or part in {"__pycache__", "site-packages"} for part in relative.parts[:-1]):
            found[relative.as_posix()] = file_digest(path)
    return dict(sorted(found.items()))


def current_digests(paths: Iterable[str], folder: Path) -> dict[str, str]:
    """What the files at these paths are now; `absent` for one that is gone."""
    return {path: file_digest(folder / path) for path in paths}


def declared_digests(globs: Sequence[str], folder: Path) -> dict[str, str]:
    """Digests of the files that globs name, relative to the workspace."""
    found = dict[str, str]()
    for pattern in globs:
        for path in sorted(folder.glob(pattern)):
            if path.is_file():
                found[path.relative_to(folder).as_posix()] = file_digest(path)
    return found


def file_digest(path: Path) -> str:
    """The digest of a file's content, or `absent`."""
    hasher = blake3()
    try:
        with path.open("rb") as file:
            while block := file.read(_BUFFER):
                hasher.update(block)
    except OSError:
        return ABSENT
    return hasher.hexdigest()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open":
        return
    watch = _watch.get()
    if watch is None:
        return
    path, mode, flags = arguments
    if not isinstance(path, str):
        return
    text = os.path.realpath(path)
    writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    if writes or (isinstance(mode, str) and any(letter in mode for letter in "wax+")):
        watch.written.add(text)
    else:
        watch.read.setdefault(text)
