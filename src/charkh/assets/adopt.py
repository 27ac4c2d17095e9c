"""Adopt: let files outside the store serve their content where they lie, and take adopted bytes into packs.

Adopting reads a file once, stores its chunk list and none of its bytes. Erased content cannot come in this way either.
"""

import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from charkh.assets.cutting import BLOCK, WHOLE, cut_blocks, cut_for, suffix_of
from charkh.assets.erasures import refuse_erased
from charkh.assets.foreign import ForeignFile
from charkh.assets.hashing import hash_threads
from charkh.assets.nodes import ChunkSpan, put_list
from charkh.assets.vault import PackVault
from charkh.assets.verify import Problem
from charkh.core.errors import CharkhError, Conflict, NotFound, Unavailable
from charkh.core.files import FileRef

See = Callable[[memoryview], object]
"""Is shown every stretch of the content, in order."""


class Taken(NamedTuple):
    """What went from foreign files into packs: how many files and bytes, and the paths that could not be read."""

    files: int
    size: int
    failed: tuple[tuple[str, str], ...]


def cut_size(size: int, name: str) -> int:
    """What the cut of content of this size and file name is known by; 0 where it is one chunk however it is cut."""
    return 0 if size <= WHOLE else cut_for(suffix_of(name)).usual


def survey_file(vault: PackVault, path: Path, name: str = "", see: See | None = None) -> ForeignFile:
    """Read a file that is to serve its content; register what this gives once it is certain that it is wanted.

    Args:
        vault: gets the chunk list.
        path: of the file; it is kept absolute, links resolved.
        name: the file name whose suffix tells how to cut; the path's own by default.
        see: is shown the content on the way, for another hash of it.

    Raises:
        NotFound: there is no such file.
        Denied: its content, or a part of it, was erased.
        Conflict: it changed while it was read.
        Unavailable: it cannot be read.
    """
    name = name or path.name
    try:
        with path.open("rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            spans, digest = _spans(vault, lambda buffer: file.readinto(buffer) or 0, before.st_size, name, see)
            after = os.fstat(file.fileno())
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no file {path}",
            code="asset.no_such_file",
            hint="Look at the spelling and the current folder; if it went away meanwhile, add what is there now.",
        ) from error
    except CharkhError:
        raise
    except OSError as error:
        raise Unavailable(
            f"cannot read {path}: {error.strerror or error}",
            code="asset.unreadable",
            hint="Look at its owner and permissions.",
        ) from error
    size = sum(span.length for span in spans)
    if (size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise Conflict(
            f"{path} changed while it was read", code="asset.changed", hint="Wait until whoever writes it is done."
        )
    root = put_list(spans, vault.put_node).hex() if len(spans) > 1 else ""
    if not size:
        vault.put_bytes(b"")
    ref = FileRef(digest.hex(), size, root)
    return ForeignFile(str(path.resolve()), cut_size(size, name), size, after.st_mtime_ns, ref, spans)


def adopt(vault: PackVault, files: Iterable[ForeignFile]) -> None:
    """Register surveyed files, after their chunk lists are durable; name them in an event only after this."""
    vault.flush()
    vault.shelf.foreign.add(files)


def take_in(
    vault: PackVault,
    below: Path | None = None,
    contents: Collection[str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Taken:
    """Copy what registered files serve into packs, and forget the files that went whole.

    Args:
        vault: the store's bytes.
        below: only files in this folder.
        contents: only files with one of these digests.
        progress: called with the bytes taken since the last call.
    """
    done: list[str] = []
    failed: list[tuple[str, str]] = []
    size = 0
    for file in list(vault.shelf.foreign.files()):
        if below is not None and not Path(file.path).is_relative_to(below.resolve()):
            continue
        if contents is not None and file.ref.digest not in contents:
            continue
        try:
            # The cut follows from the name, which is not known here: the chunks themselves are put.
            for digest, length in vault.chunks(file.ref):
                _take_chunk(vault, bytes.fromhex(digest), length)
                size += length
                if progress:
                    progress(length)
        except CharkhError as error:
            failed.append((file.path, error.message))
            continue
        done.append(file.path)
    vault.flush()
    gone = {path for path, _reason in failed}
    vault.shelf.foreign.drop([path for path in done if path not in gone])
    return Taken(len(done), size, tuple(failed))


def adopted_problems(vault: PackVault, *, read: bool = False) -> list[Problem]:
    """Registered files that no longer serve what no pack has: gone, of another size, or with `read`, of other bytes."""
    found: list[Problem] = []
    for file in vault.shelf.foreign.files():
        trouble = _trouble(file, read=read)
        if trouble and any(not vault.shelf.index.find([span.digest]) for span in _chunks(vault, file)):
            detail = f"{file.path} {trouble}; let its program bring it back, or get the bytes with `charkh sync`"
            found.append(Problem(what="adopted", detail=detail, digest=file.ref.digest))
    return found


def _trouble(file: ForeignFile, *, read: bool) -> str:
    path = Path(file.path)
    try:
        if path.stat().st_size != file.size:
            return "has another size than when it was registered"
        if read:
            hasher = blake3()
            with path.open("rb") as opened:
                while data := opened.read(BLOCK):
                    hasher.update(data)
            if hasher.hexdigest() != file.ref.digest:
                return "holds other bytes than when it was registered"
    except FileNotFoundError:
        return "is gone"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return ""


def _chunks(vault: PackVault, file: ForeignFile) -> list[ChunkSpan]:
    return [ChunkSpan(bytes.fromhex(digest), length) for digest, length in vault.chunks(file.ref)]


def _take_chunk(vault: PackVault, digest: bytes, length: int) -> None:
    place = vault.shelf.index.find([digest]).get(digest)
    if place is None:
        vault.put_chunk(b"".join(vault.read(FileRef(digest.hex(), length))))


def _spans(
    vault: PackVault, read: Callable[[memoryview], int], size: int, name: str, see: See | None
) -> tuple[list[ChunkSpan], bytes]:
    erased = vault.erased.now()
    whole = blake3(max_threads=hash_threads() if size > BLOCK else 1)
    spans: list[ChunkSpan] = []
    for content, chunks in cut_blocks(read, cut_for(suffix_of(name))):
        whole.update(content)
        if see is not None:
            see(content)
        pieces = [content] if size <= WHOLE else chunks
        spans += [ChunkSpan(blake3(piece).digest(), len(piece)) for piece in pieces]
    digest = whole.digest()
    for each in (digest, *(span.digest for span in spans)):
        if erased and each in erased:
            raise refuse_erased(each)
    return spans, digest
