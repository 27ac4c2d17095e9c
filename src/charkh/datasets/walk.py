"""From the files and folders that a user names to the files of a dataset: nothing outside them is ever read."""

import heapq
import os
import re
import stat
import time
import unicodedata
from collections.abc import Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from charkh.core.errors import Invalid, NotFound, Unavailable
from charkh.core.refs import parse_path

SKIPPED_FOLDERS = frozenset({".charkh", ".git", ".hg", ".svn"})
"""Folders that belong to charkh or to a version control system, never to a dataset."""
PARTIAL = ".charkh-part-"
"""Begins the name of a file that a checkout is writing, or was when it was killed."""

_by_path = attrgetter("path")
_PLAIN = re.compile(r"[A-Za-z0-9_\-./ ]{1,255}")


class LocalFile(NamedTuple):
    """A file on disk and the path that it has in the dataset.

    Attributes:
        path: in the dataset.
        place: on disk; a text, because a `Path` for each of many small files takes as long as reading them.
        size: bytes.
        changed: when its content last changed, in nanoseconds.
        executable: its owner may execute it.
        touched: when its content, name or permissions last changed, in nanoseconds; nobody can set it back.
        inode: number of the file on its file system.
        seen: when it was looked at, or somewhat earlier, in nanoseconds.
    """

    path: str
    place: str
    size: int
    changed: int
    executable: bool
    touched: int
    inode: int
    seen: int

    @property
    def disk(self) -> Path:
        """Its place on disk."""
        return Path(self.place)


def local_files(paths: Sequence[Path]) -> tuple[LocalFile, ...]:
    """The files that `paths` mean, by path; the same as `walk_files`, all at once."""
    return tuple(walk_files(paths))


def walk_files(paths: Sequence[Path]) -> Iterator[LocalFile]:
    """The files that `paths` mean, one by one in path order: a file by its name, a folder by everything in it.

    The path in the dataset is relative to the folder that was named, so the order of `paths` and the
    place on disk do not matter. A link is followed only to a file inside the same folder. Of a folder, names alone are
    held at once.

    Raises:
        NotFound: there is no such file or folder.
        Invalid: nothing was found, two files would have one path, a path cannot be kept, a link leads
            out of its folder, or something is neither file nor folder.
        Unavailable: a folder cannot be read.
    """
    if not paths:
        raise Invalid("no files were named", code="dataset.no_files", hint="Name files or folders that have some.")
    named: list[LocalFile] = []
    folders: list[Iterator[LocalFile]] = []
    for given in paths:
        status = _status_of(given)
        if stat.S_ISDIR(status.st_mode):
            folders.append(_folder(given))
        else:
            name = given.resolve().name if given.name in {"", ".", ".."} else given.name
            named.append(local_file(name, str(given), status, time.time_ns()))
    streams = [iter(sorted(named, key=_by_path)), *folders] if named else folders
    return _each_once(streams[0] if len(streams) == 1 else heapq.merge(*streams, key=_by_path))


def _each_once(found: Iterator[LocalFile]) -> Iterator[LocalFile]:
    last: LocalFile | None = None
    for file in found:
        if last is not None and file.path == last.path:
            if file.disk.resolve() == last.disk.resolve():
                continue
            raise _same_path(last.place, file.place, file.path)
        last = file
        yield file


def _same_path(one: str, other: str, path: str) -> Invalid:
    return Invalid(
        f"{one} and {other} would both be {path}",
        code="dataset.same_path",
        hint="Rename one of them, or name the folder that holds both.",
    )


def _status_of(given: Path) -> os.stat_result:
    try:
        return given.stat()
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no file or folder {given}",
            code="dataset.no_such_file",
            hint="Look at the spelling and at the current folder.",
        ) from error
    except OSError as error:
        raise Unavailable(f"cannot read {given}: {error.strerror}", code="dataset.unreadable") from error


def _folder(given: Path) -> Iterator[LocalFile]:
    empty = True
    for file in _walk(str(given), "", given.resolve()):
        empty = False
        yield file
    if empty:
        raise Invalid(f"the folder {given} has no files", code="dataset.no_files", hint="Name one that has some.")


def _walk(folder: str, prefix: str, root: Path) -> Iterator[LocalFile]:
    seen = time.time_ns()
    names, written = _names(folder)
    for name in names:
        disk = written.get(name, name) if written else name
        place = disk if folder == "." else f"{folder}/{disk}"
        if name[-1] == "/":
            if name[:-1] not in SKIPPED_FOLDERS:
                yield from _walk(place[:-1], prefix + name, root)
            continue
        try:
            status = os.lstat(place)
        except FileNotFoundError:
            # Removed since the folder was read; somebody's temporary file, as a rule.
            continue
        except OSError as error:
            raise Unavailable(f"cannot read {place}: {error.strerror}", code="dataset.unreadable") from error
        if stat.S_ISLNK(status.st_mode):
            yield _linked(place, prefix + name, root, seen)
        else:
            yield local_file(prefix + name, place, status, seen)


def _names(folder: str) -> tuple[list[str], dict[str, str]]:
    """What is in a folder, in the order in which the paths below it stand, a folder with "/" behind its name.

    With it come the names on disk of those that are written otherwise in a dataset.
    """
    try:
        with os.scandir(folder) as scanned:
            names = [
                f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name
                for entry in scanned
                if not entry.name.startswith(PARTIAL)
            ]
    except OSError as error:
        raise Unavailable(
            f"cannot read the folder {folder}: {error.strerror}",
            code="dataset.unreadable",
            hint="Look at its permissions, or name what beside it is meant.",
        ) from error
    written: dict[str, str] = {}
    others: set[str] = set() if all(map(str.isascii, names)) else set(names)
    for number, name in enumerate(names):
        if not name.isascii() and (composed := unicodedata.normalize("NFC", name)) != name:
            if composed in written or composed in others:
                raise _same_path(f"{folder}/{written.get(composed, composed)}", f"{folder}/{name}", composed)
            names[number], written[composed] = composed, name
    names.sort()
    return names, written


def _linked(place: str, path: str, root: Path, seen: int) -> LocalFile:
    try:
        target = Path(place).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise Invalid(
            f"{place} is a link to nothing", code="dataset.link", hint="Remove it, or mend where it leads."
        ) from error
    if not target.is_relative_to(root) or not target.is_file():
        raise Invalid(
            f"{place} is a link to {'a folder' if target.is_dir() else 'outside of ' + str(root)}",
            code="dataset.link",
            hint="Put the files themselves there, or name the other folder as well.",
        )
    return local_file(path, str(target), target.stat(), seen)


def local_file(path: str, place: str, status: os.stat_result, seen: int) -> LocalFile:
    """A file as the file system describes it.

    Raises:
        Invalid: it is no ordinary file, or its path cannot be kept.
    """
    mode = status.st_mode
    if not stat.S_ISREG(mode):
        raise Invalid(
            f"{place} is neither a file nor a folder", code="dataset.not_a_file", hint="Leave it out of the folder."
        )
    # The common case first: the full grammar costs more than reading a small file does.
    if _PLAIN.fullmatch(path) is None or path.count("/") >= 32:
        path = parse_path(path)
    return LocalFile(
        path,
        place,
        status.st_size,
        status.st_mtime_ns,
        bool(mode & stat.S_IXUSR),
        status.st_ctime_ns,
        status.st_ino,
        seen,
    )
