"""Facts that came from another store and are not taken yet: kept aside, and read for what they hold and erase."""

import tempfile
from collections.abc import Iterable, Iterator
from typing import IO

import msgspec

from charkh.assets.index import EMPTY, ERASED_KIND, Erased
from charkh.core.digests import DIGEST_PATTERN
from charkh.core.errors import Corrupt
from charkh.core.events import Event, body_of, decode_event
from charkh.datasets import dataset
from charkh.models import model
from charkh.ports.exchange import PULL_BYTES, Part, portions

IN_MEMORY = 32 * 1024 * 1024
_VERSIONS: dict[str, type[dataset.VersionMade] | type[model.VersionMade]] = {
    dataset.VERSION_KIND: dataset.VersionMade,
    model.VERSION_KIND: model.VersionMade,
}


class Incoming:
    """Parts in the order in which they came; beyond some megabytes they wait in a file.

    Attributes:
        held: digests that their facts hold, of subjects that none of them drops.
        erased: digests that they erase, and what stands in their place.
        named: (noun, name) of the versions that they make.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - `close` closes it
        self._lengths: list[int] = []
        self._facts = 0
        self._holds: dict[str, set[str]] = {}
        self._drops: set[str] = set()
        self.erased: dict[str, str] = {}
        self.named: set[tuple[str, str]] = set()

    def __len__(self) -> int:
        return self._facts

    @property
    def held(self) -> set[str]:
        return {digest for subject, digests in self._holds.items() if subject not in self._drops for digest in digests}

    def gather(self, parts: Iterable[Part]) -> None:
        """Keep parts, and learn from their facts; one that cannot be read is kept as it is."""
        for part in parts:
            data = msgspec.msgpack.encode([part.segment, part.seq, list(part.payloads)])
            self._file.write(data)
            self._lengths.append(len(data))
            self._facts += len(part.payloads)
            for payload in part.payloads:
                try:
                    self._learn(decode_event(payload))
                except Corrupt:
                    continue

    def __iter__(self) -> Iterator[list[Part]]:
        """The parts, about as many at a time as are taken at once."""
        return portions(self._parts(), PULL_BYTES)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _parts(self) -> Iterator[Part]:
        self._file.seek(0)
        for length in self._lengths:
            segment, seq, payloads = msgspec.msgpack.decode(self._file.read(length), type=tuple[str, int, list[bytes]])
            yield Part(segment, seq, payloads)

    def _learn(self, event: Event) -> None:
        self._drops.update(event.drops)
        if event.holds:
            self._holds.setdefault(event.subject, set()).update(filter(DIGEST_PATTERN.fullmatch, event.holds))
        if event.kind == ERASED_KIND:
            for old, new in body_of(event, Erased).replacements.items():
                if DIGEST_PATTERN.fullmatch(old) and old != EMPTY and (not new or DIGEST_PATTERN.fullmatch(new)):
                    self.erased.setdefault(old, new)
        elif (shape := _VERSIONS.get(event.kind)) is not None:
            self.named.add((event.subject.partition(":")[0], body_of(event, shape).name))
