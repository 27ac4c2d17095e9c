"""Look into one content for a person's rows, and write it without them into a folder that nobody else reads."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec
import numpy as np
import polars as pl
from blake3 import blake3
from polars.exceptions import PolarsError

from charkh.assets.replace import Change
from charkh.assets.vault import PackVault
from charkh.core.errors import CharkhError, Denied, Invalid, NotFound
from charkh.core.files import FileRef
from charkh.core.ids import new_id
from charkh.datasets.dataset import DatasetVersion, Reading
from charkh.datasets.formats import Format, format_of, scan_jsonl, separator_of
from charkh.datasets.read import scan_file
from charkh.datasets.selection import Selection
from charkh.datasets.table_erasure import Rows, Scan, matching_rows, remove_rows
from charkh.workspace.holdings import Held

MAX_TEXT = 64 * 1024 * 1024
"""A document of more bytes is looked into and not rewritten."""
BLANK = b"[erased]"
_PARQUET = b"PAR1"


class Hit(NamedTuple):
    """A content with something of the person in it.

    Attributes:
        held: the content.
        kind: of table, or `text`.
        rows: rows, or places of a text.
        change: what replaces it; None in a dry run.
    """

    held: Held
    kind: str
    rows: int
    change: Change | None


class Miss(NamedTuple):
    """A content that could not be looked into or rewritten, and why."""

    held: Held
    why: str


class Scanner:
    """Looks into contents, one after another.

    Args:
        vault: where they are.
        selection: whose rows are meant.
        pattern: of the texts that are blanked in documents; None for none.
        folder: for files under way; emptied after each content.
        dry_run: only look.
    """

    def __init__(
        self,
        vault: PackVault,
        selection: Selection,
        pattern: re.Pattern[bytes] | None,
        folder: Path,
        *,
        dry_run: bool,
    ) -> None:
        self._vault = vault
        self._selection = selection
        self._pattern = pattern
        self._folder = folder
        self._dry_run = dry_run

    def look(self, held: Held) -> Hit | Miss | None:
        """What is in the content: something of the person, nothing, or nobody can say."""
        kind = format_of(held.path)
        suffix = PurePosixPath(held.path).suffix.lower() if kind else ".bin"
        source = self._folder / f"{new_id()}{suffix}"
        try:
            file = self._write(held.file, source)
            if file is None:
                return Miss(held, "a part of it was erased before; erase the rest of it as a whole")
            return self._look(Held(file, held.path, held.versions), source, kind)
        except (CharkhError, PolarsError, OSError, UnicodeError) as error:
            # An error's text may quote what a file or the selection says.
            if isinstance(error, NotFound):
                return Miss(held, "its bytes are not here")
            if isinstance(error, Invalid):
                return Miss(held, "the condition does not fit the types of its columns")
            return Miss(held, f"it cannot be read ({type(error).__name__})")
        finally:
            for path in self._folder.iterdir():
                path.unlink(missing_ok=True)

    def _write(self, file: FileRef, path: Path) -> FileRef | None:
        """The content on disk, and its reference; None where it is no longer what its chunk list says."""
        whole, size = blake3(), 0
        with path.open("xb") as writing:
            for chunk in self._vault.read(file):
                writing.write(chunk)
                whole.update(chunk)
                size += len(chunk)
        digest = whole.hexdigest()
        return FileRef(digest, size, file.root) if size == file.size and file.digest in {"", digest} else None

    def _look(self, held: Held, source: Path, kind: Format | None) -> Hit | Miss | None:
        with source.open("rb") as reading:
            begin = reading.read(len(_PARQUET))
        if kind is None and begin == _PARQUET:
            kind = "parquet"
        if held.versions and kind is not None:
            found = [self._rows(source, kind, self._scan_of(held, kind, each)) for each in held.versions]
            rows = [each for each in found if each is not None and len(each)]
            scan = self._scan_of(held, kind, held.versions[0])
            return self._without(held, source, kind, rows, scan, held.versions[0].made.reading)
        if kind is not None:
            scan = self._scan_of(held, kind, None)
            try:
                rows = self._rows(source, kind, scan)
            except PolarsError:
                rows = None
            if rows is not None:
                return self._without(held, source, kind, [rows] if len(rows) else [], scan, Reading())
        return None if kind == "parquet" else self._text(held, source)

    def _scan_of(self, held: Held, kind: Format, version: DatasetVersion | None) -> Scan:
        if version is not None:
            return lambda path: scan_file(version, held.path, path)
        if kind == "parquet":
            return lambda path: plainly_named(pl.scan_parquet(path, glob=False))
        if kind == "jsonl":
            return scan_jsonl
        separator = separator_of(held.path, Reading())
        return lambda path: pl.scan_csv(path, separator=separator, infer_schema_length=None, glob=False)

    def _rows(self, source: Path, kind: Format, scan: Scan) -> Rows | None:
        if kind == "jsonl" and not source.stat().st_size:
            return None
        lazy = scan(source)
        condition = self._selection.condition(lazy.collect_schema())
        return None if condition is None else matching_rows(lazy, condition)

    def _without(
        self, held: Held, source: Path, kind: Format, found: Sequence[Rows], scan: Scan, reading: Reading
    ) -> Hit | None:
        if not found:
            return None
        rows = np.unique(np.concatenate(found))
        if self._dry_run:
            return Hit(held, kind, len(rows), None)
        target = source.with_name(f"{new_id()}{source.suffix}")
        removed = remove_rows(source, target, kind, rows, scan, separator_of(held.path, reading))
        return Hit(held, kind, removed.rows, Change(held.file, self._put(target), removed.ranges))

    def _text(self, held: Held, source: Path) -> Hit | Miss | None:
        """A document: values that stand in it are blanked."""
        if self._pattern is None:
            return None
        size = source.stat().st_size
        if size > MAX_TEXT:
            return (
                Miss(held, f"it has {size} bytes, too many to look for a text in") if self._stands_in(source) else None
            )
        data = source.read_bytes()
        blanked, places = self._pattern.subn(BLANK, data)
        if not places:
            return None
        if not _is_text(data) or (_is_json(data) and not _is_json(blanked)):
            return Miss(held, "one of the values stands in it, and charkh cannot rewrite its format")
        if self._dry_run:
            return Hit(held, "text", places, None)
        target = source.with_name(f"{new_id()}{source.suffix}")
        target.write_bytes(blanked)
        ranges = tuple(match.span() for match in self._pattern.finditer(data))
        return Hit(held, "text", places, Change(held.file, self._put(target), ranges))

    def _stands_in(self, source: Path) -> bool:
        assert self._pattern is not None
        kept = b""
        with source.open("rb") as reading:
            while block := reading.read(MAX_TEXT // 4):
                if self._pattern.search(kept + block):
                    return True
                kept = block[-4096:]
        return False

    def _put(self, path: Path) -> FileRef:
        try:
            return self._vault.put_file(path)
        except Denied:
            # A chunk of it was erased once, with what stood beside it; cut otherwise it has other chunks.
            return self._vault.put_file(path.rename(path.with_suffix(".chunk")))


def plainly_named(lazy: pl.LazyFrame) -> pl.LazyFrame:
    """Columns of a prediction log under the names that requests and answers have for them."""
    names = lazy.collect_schema().names()
    plain: dict[str, str] = {}
    for name in names:
        if name[:1] in {"<", ">"} and name[1:] not in {*names, *plain.values()}:
            plain[name] = name[1:]
    return lazy.rename(plain) if plain else lazy


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
