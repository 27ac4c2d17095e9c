"""From the files and folders that a user names to the files of a dataset: nothing outside them is ever read."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from charkh.core.errors import Invalid, NotFound, Unavailable
from charkh.core.refs import parse_path

SKIPPED_FOLDERS = frozenset({".charkh", ".git", ".hg", ".svn"})
"""Folders that belong to charkh or to a version control system, never to a dataset."""

_PLAIN = re.compile(r"[A-Za-z0-9_\-./ ]{1,255}")


class LocalFile(NamedTuple):
    """A file on disk and the path that it has in the dataset.

    Attributes:
        path: in the dataset.
        place: on disk; a text, because a `Path` for each of many small files takes as long as reading them.
        size: bytes.
        changed: when its content last changed, in nanoseconds.
        executable: its owner may execute it.
    """

    path: str
    place: str
    size: int
    changed: int
    executable: bool

    @property
    def disk(self) -> Path:
        """Its place on disk."""
        return Path(self.place)


def local_files(paths: Sequence[Path]) -> tuple[LocalFile, ...]:
    """The files that `paths` mean, by path: a file by its name, a folder by everything in it.

    The path in the dataset is relative to the folder that was named, so the order of `paths` and the
    place on disk do not matter. A link is followed only to a file inside the same folder.

    Raises:
        NotFound: there is no such file or folder.
        Invalid: nothing was found, two files would have one path, a path cannot be kept, a link leads
            out of its folder, or something is neither file nor folder.
        Unavailable: a folder cannot be read.
    """
    found: dict[str, LocalFile] = {}
    for given in paths:
        for file in _files_of(given):
            other = found.setdefault(file.path, file)
            if other is not file and other.disk.resolve() != file.disk.resolve():
                raise Invalid(
                    f"{other.disk} and {file.disk} would both be {file.path}",
                    code="dataset.same_path",
                    hint="Rename one of them, or name the folder that holds both.",
                )
    if not found:
        raise Invalid("no files were named", code="dataset.no_files", hint="Name files or folders that have some.")
    return tuple(found[path] for path in sorted(found))


def _files_of(given: Path) -> Iterator[LocalFile]:
    try:
        status = given.stat()
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no file or folder {given}",
            code="dataset.no_such_file",
            hint="Look at the spelling and at the current folder.",
        ) from error
    except OSError as error:
        raise Unavailable(f"cannot read {given}: {error.strerror}", code="dataset.unreadable") from error
    if not stat.S_ISDIR(status.st_mode):
        yield _local_file(given.resolve().name if given.name in {"", ".", ".."} else given.name, str(given), status)
        return
    empty = True
    for file in _walk(str(given), "", given.resolve()):
        empty = False
        yield file
    if empty:
        raise Invalid(f"the folder {given} has no files", code="dataset.no_files", hint="Name one that has some.")


def _walk(folder: str, prefix: str, root: Path) -> Iterator[LocalFile]:
    try:
        with os.scandir(folder) as scanned:
            entries = list(scanned)
    except OSError as error:
        raise Unavailable(f"cannot read the folder {folder}: {error.strerror}", code="dataset.unreadable") from error
    for entry in entries:
        if entry.is_symlink():
            yield _linked(entry, prefix + entry.name, root)
        elif entry.is_dir():
            if entry.name not in SKIPPED_FOLDERS:
                yield from _walk(entry.path, f"{prefix}{entry.name}/", root)
        else:
            yield _local_file(prefix + entry.name, entry.path, entry.stat())


def _linked(entry: os.DirEntry[str], path: str, root: Path) -> LocalFile:
    try:
        target = Path(entry.path).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise Invalid(
            f"{entry.path} is a link to nothing", code="dataset.link", hint="Remove it, or mend where it leads."
        ) from error
    if not target.is_relative_to(root) or not target.is_file():
        raise Invalid(
            f"{entry.path} is a link to {'a folder' if target.is_dir() else 'outside of ' + str(root)}",
            code="dataset.link",
            hint="Put the files themselves there, or name the other folder as well.",
        )
    return _local_file(path, str(target), target.stat())


def _local_file(path: str, place: str, status: os.stat_result) -> LocalFile:
    if not stat.S_ISREG(status.st_mode):
        raise Invalid(
            f"{place} is neither a file nor a folder", code="dataset.not_a_file", hint="Leave it out of the folder."
        )
    # The common case first: the full grammar costs more than reading a small file does.
    plain = _PLAIN.fullmatch(path) is not None and path.count("/") < 32
    executable = bool(status.st_mode & stat.S_IXUSR)
    return LocalFile(path if plain else parse_path(path), place, status.st_size, status.st_mtime_ns, executable)
