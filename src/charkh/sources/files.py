"""Files of this machine: what is new or changed by size and time first, and by content where those differ."""

import glob
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from charkh.core.errors import Invalid
from charkh.core.source_settings import FilesSource
from charkh.datasets.walk import SKIPPED_FOLDERS, LocalFile, local_files
from charkh.ports.vault import Progress
from charkh.sources.collecting import Arrival, Collected, sort_out
from charkh.sources.source import Item, State, shown_address
from charkh.sources.staging import Staging, digest_of

RACY = 2_000_000_000
"""Nanoseconds within which a file system may give two changes one time."""
_MAGIC = frozenset("*?[")


class FilesCollector:
    """Files by name, folder or pattern; they are read where they lie.

    Args:
        settings: of the source.
        folder: what relative paths are relative to.
    """

    kind = "files"

    def __init__(self, settings: FilesSource, folder: Path) -> None:
        self._settings = settings
        self._folder = folder

    @property
    def address(self) -> str:
        """The paths as they were written."""
        return shown_address(", ".join(self._settings.paths))

    def collect(
        self,
        state: State,
        staging: Staging,  # noqa: ARG002 - files are read where they lie
        *,
        dry_run: bool,  # noqa: ARG002
        progress: Progress | None,  # noqa: ARG002
    ) -> Collected:
        """See `Collector`; a file whose size and time are as they were is not read."""
        files, unmatched = self._files()
        collected = sort_out((self._look(file, state) for file in files), state)
        return collected._replace(notes=tuple(f"no file matches {text}" for text in unmatched))

    def _files(self) -> tuple[tuple[LocalFile, ...], Sequence[str]]:
        """The files, and the patterns that none matches."""
        found: list[LocalFile] = []
        unmatched: list[str] = []
        for text in self._settings.paths:
            base, named = _named(self._folder, text)
            if not named:
                unmatched.append(text)
            for path in named:
                # Relative to what stands before the pattern, so that two folders may hold one name.
                inside = path.relative_to(base).parent.as_posix() if base is not None else "."
                prefix = "" if inside == "." else f"{inside}/"
                found += [file._replace(path=prefix + file.path) for file in local_files([path])]
        return _apart(found), unmatched

    def _look(self, file: LocalFile, state: State) -> Arrival | Item:
        known = state.items.get(file.path)
        # A file that was written just now may be written again without its time moving: it is read next time, too.
        changed = str(file.changed) if time.time_ns() - file.changed > RACY else ""
        if known is not None and changed and (known.size, known.modified) == (file.size, changed):
            return known
        digest = digest_of(file.disk)
        item = Item(key=file.path, path=file.path, modified=changed, size=file.size, digest=digest)
        if known is not None and known.digest == digest:
            return msgspec.structs.replace(item, path=known.path, stored=known.stored, rows=known.rows)
        return Arrival(item, file.disk, changed=known is not None)


def _named(folder: Path, text: str) -> tuple[Path | None, Sequence[Path]]:
    """The files and folders that a text means; for a pattern, also the folder before its first wildcard."""
    path = folder / Path(text).expanduser()
    if not _MAGIC & set(text):
        return None, [path]
    parts = path.parts
    first = next(number for number, part in enumerate(parts) if _MAGIC & set(part))
    base = Path(*parts[:first])
    matched = sorted(base / each for each in _matched(base, "/".join(parts[first:])))
    return base, matched


def _matched(base: Path, pattern: str) -> Iterator[str]:
    for each in glob.iglob(pattern, root_dir=base, recursive=True):  # noqa: PTH207 - pathlib follows no `root_dir`
        place = base / each
        if place.is_file() and not SKIPPED_FOLDERS & set(Path(each).parts):
            yield each


def _apart(files: Sequence[LocalFile]) -> tuple[LocalFile, ...]:
    """The files by path; one that several patterns mean stands once."""
    found: dict[str, LocalFile] = {}
    for file in files:
        other = found.setdefault(file.path, file)
        if other.place != file.place and other.disk.resolve() != file.disk.resolve():
            raise Invalid(
                f"{other.place} and {file.place} would both be {file.path} in the dataset",
                code="source.same_path",
                hint="Name the folder that holds both, or a pattern such as folder/**/*.csv.",
            )
    return tuple(found[path] for path in sorted(found))
