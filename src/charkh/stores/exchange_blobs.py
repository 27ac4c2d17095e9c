"""The exchange of a remote: facts as immutable objects on any blob medium, a few of them for many segments.

An object `facts/ID` says in its first frame which stretches of which segments it holds, and carries them compressed
in its second (docs/formats/remotes.md). Nobody has to be asked before writing one: two who push the same facts leave
them twice, which is once. Many small objects are merged into one before they are deleted.
"""

import contextlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from charkh.core.errors import Corrupt, Invalid, NotFound, Unavailable
from charkh.core.frames import HEADER, MAX_PAYLOAD, scan_frames
from charkh.core.ids import ID_PATTERN, new_id
from charkh.ports.blobs import Blobs
from charkh.ports.exchange import Part, check_facts, gap, portions
from charkh.stores.fact_object import (
    FORMAT,
    OBJECT_BYTES,
    Stretch,
    damaged_facts,
    joined,
    lay_out,
    read_contents,
    read_parts,
)

Result = TypeVar("Result")

FACTS = "facts/"
QUARANTINE = "quarantine/facts/"
IDENTITY = "remote.json"
HEAD = 16 * 1024
"""Bytes of an object read at first: most of its lists of stretches fit."""
SMALL = 256 * 1024
MANY = 64
"""So many small objects are merged."""
THREADS = 8
LOOKS = 20
"""So often a reader looks again because somebody merged what it was about to read."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """`remote.json`: the version of the layout, and an id by which a remote that was made anew is told from the old."""

    format: int
    remote: str


class BlobsExchange:
    """`charkh.ports.exchange.Exchange` over a blob medium.

    Damage: an object that cannot be read is left out, whatever it held counts as not here, and `problems` names it.

    Args:
        blobs: the medium.
        cache: file that remembers what is in which object, so that only new ones are looked into; None for none.

    Attributes:
        problems: by key, why an object was left out.
    """

    def __init__(self, blobs: Blobs, cache: Path | None = None) -> None:
        self._blobs = blobs
        self._cache = cache
        self._stretches: dict[str, tuple[Stretch, ...]] = _read_cache(cache)
        self._sizes: dict[str, int] = {}
        self.problems: dict[str, str] = {}

    def known(self) -> Mapping[str, int]:
        """See `charkh.ports.exchange.Exchange`."""
        return _covered(self._look().values())

    def parts(self, known: Mapping[str, int]) -> Iterator[Part]:
        """See `charkh.ports.exchange.Exchange`."""
        position = dict(known)
        for _again in range(LOOKS):
            if (yield from self._continued(self._look(), position)):
                return
        raise Unavailable(
            "the remote's facts change faster than they can be read",
            code="remote.busy",
            hint="Wait until the others are done, and run the command again.",
        )

    def _continued(
        self, waiting: dict[str, tuple[Stretch, ...]], position: dict[str, int]
    ) -> Generator[Part, None, bool]:
        """Parts that follow on `position`, which moves along; False where somebody merged what was listed meanwhile."""
        while ready := [key for key, stretches in sorted(waiting.items()) if _continues(stretches, position)]:
            for key, parts in self._read_many(ready):
                if parts is None:
                    if key not in self.problems:
                        return False
                    waiting.pop(key)
                    continue
                for part in parts:
                    end = position.get(part.segment, 0)
                    fresh = part.payloads[end - part.seq :] if part.seq <= end else ()
                    if fresh:
                        position[part.segment] = end + len(fresh)
                        yield Part(part.segment, end, fresh)
        return True

    def take(self, parts: Sequence[Part]) -> int:
        """See `charkh.ports.exchange.Exchange`."""
        listed = self._look()
        known = dict(_covered(listed.values()))
        fresh: list[Part] = []
        for part in parts:
            end = known.get(part.segment, 0)
            if part.seq > end:
                raise gap(part, end)
            check_facts(part)
            if missing := part.payloads[end - part.seq :]:
                fresh.append(Part(part.segment, end, missing))
                known[part.segment] = end + len(missing)
        for some in portions(fresh, OBJECT_BYTES):
            self._write(some)
        self._merge_small(listed)
        self._write_cache()
        return sum(len(part.payloads) for part in fresh)

    def verify(self, *, repair: bool = False) -> int:
        """Read every object; how many were read. Those that are damaged are in `problems`.

        Args:
            repair: move them to `quarantine/facts/`, so that whoever has their facts gives them once more.
        """
        keys = sorted(self._look())
        for _key, _parts in self._read_many(keys):
            pass
        if repair:
            for key in self.problems:
                with contextlib.suppress(NotFound):
                    self._blobs.put(QUARANTINE + key.removeprefix(FACTS), [self._blobs.get(key)])
                    self._blobs.delete(key)
        return len(keys)

    def _look(self) -> dict[str, tuple[Stretch, ...]]:
        """What is in which sound object; objects that were not known are looked into."""
        sizes = {info.key: info.size for info in self._blobs.list(FACTS)}
        fresh = [key for key in sizes if key not in self._stretches and key not in self.problems]
        gone = self._stretches.keys() - sizes.keys()
        for key in gone:
            del self._stretches[key]
        if fresh:
            for key, stretches in _in_threads(self._head, fresh):
                if stretches is not None:
                    self._stretches[key] = stretches
        if fresh or gone:
            self._write_cache()
        self._sizes = sizes
        return {key: stretches for key, stretches in self._stretches.items() if key not in self.problems}

    def _head(self, key: str) -> tuple[Stretch, ...] | None:
        try:
            if not ID_PATTERN.fullmatch(key.removeprefix(FACTS)):
                raise damaged_facts(key, "its name is not that of an object with facts")
            head = self._blobs.get(key, 0, HEAD)
            if len(head) >= HEADER.size and len(head) < (size := HEADER.size + HEADER.unpack_from(head)[0]):
                head = self._blobs.get(key, 0, min(size, HEADER.size + MAX_PAYLOAD))
            frames = scan_frames(head).frames
            if not frames:
                raise damaged_facts(key, "its list of stretches is cut off or damaged")
            return read_contents(key, frames[0].payload).stretches
        except NotFound:
            return None
        except Corrupt as error:
            self.problems[key] = error.message
            return None

    def _read_many(self, keys: Sequence[str]) -> Iterator[tuple[str, list[Part] | None]]:
        """What is in these objects; None for one that is damaged or gone."""
        return _in_threads(self._read, keys)

    def _read(self, key: str) -> list[Part] | None:
        try:
            return read_parts(key, self._blobs.get(key))
        except NotFound:
            return None
        except Corrupt as error:
            self.problems[key] = error.message
            return None

    def _write(self, parts: Sequence[Part]) -> None:
        key = FACTS + new_id()
        laid = lay_out(parts)
        self._blobs.put(key, laid.parts)
        self._stretches[key] = laid.stretches

    def _merge_small(self, listed: Mapping[str, tuple[Stretch, ...]]) -> None:
        """Make one object of many small ones: durable first, then the small ones go."""
        small = [key for key in sorted(listed) if self._sizes.get(key, SMALL) < SMALL]
        if len(small) < MANY:
            return
        read = [(key, parts) for key, parts in self._read_many(small) if parts is not None]
        for some in portions(joined(part for _key, parts in read for part in parts), OBJECT_BYTES):
            self._write(some)
        for key, _parts in read:
            self._blobs.delete(key)
            self._stretches.pop(key, None)

    def _write_cache(self) -> None:
        if self._cache is None:
            return
        waiting = self._cache.with_name(f".{self._cache.name}-{new_id()}")
        # It is a cache: a disk that is full for it must not keep facts from being exchanged.
        with contextlib.suppress(OSError):
            self._cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                waiting.write_bytes(msgspec.msgpack.encode(self._stretches))
                os.replace(waiting, self._cache)  # noqa: PTH105
            finally:
                waiting.unlink(missing_ok=True)


def identify(blobs: Blobs, *, create: bool) -> str:
    """The id of the remote on a medium; with `create`, a medium without one becomes a remote. Empty for none.

    Raises:
        Invalid: a later charkh laid it out.
        Corrupt: what says so cannot be read.
    """
    try:
        # Read first: whoever only takes may not be allowed to write.
        if create and not blobs.has(IDENTITY):
            blobs.put(IDENTITY, [msgspec.json.encode(Identity(format=FORMAT, remote=new_id()))])
        known = msgspec.json.decode(blobs.get(IDENTITY), type=Identity)
    except NotFound:
        return ""
    except msgspec.MsgspecError as error:
        raise Corrupt(
            f"{IDENTITY} of the remote cannot be read: {error}",
            code="remote.damaged",
            hint="Delete it, if this is a remote of charkh, and run the command again: facts and packs are untouched.",
        ) from error
    if known.format > FORMAT:
        raise Invalid(
            f"the remote is laid out in format {known.format}; this charkh knows up to {FORMAT}",
            code="remote.too_new",
            hint="Upgrade with: pip install --upgrade charkh",
        )
    return known.remote


def _covered(found: Iterable[Sequence[Stretch]]) -> dict[str, int]:
    """By segment, how many of its facts are there without a gap."""
    ends: dict[str, int] = {}
    ordered = sorted((each.segment, each.seq, each.count) for stretches in found for each in stretches)
    for segment, seq, count in ordered:
        if seq <= ends.get(segment, 0):
            ends[segment] = max(ends.get(segment, 0), seq + count)
    return ends


def _continues(stretches: Sequence[Stretch], position: Mapping[str, int]) -> bool:
    """Whether something in them follows on what somebody has."""
    return any(each.seq <= position.get(each.segment, 0) < each.seq + each.count for each in stretches)


def _in_threads(work: Callable[[str], Result], keys: Sequence[str]) -> Iterator[tuple[str, Result]]:
    """The results in the order of the keys, a few ahead of whoever takes them."""
    if len(keys) < 2:
        yield from ((key, work(key)) for key in keys)
        return
    with ThreadPoolExecutor(THREADS, thread_name_prefix="charkh-facts") as pool:
        for start in range(0, len(keys), THREADS):
            some = keys[start : start + THREADS]
            yield from zip(some, pool.map(work, some), strict=True)


def _read_cache(path: Path | None) -> dict[str, tuple[Stretch, ...]]:
    if path is None:
        return {}
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=dict[str, tuple[Stretch, ...]])
    except (OSError, msgspec.MsgspecError):
        return {}
