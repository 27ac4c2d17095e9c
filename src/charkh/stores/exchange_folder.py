"""The exchange of a journal in a folder: parts of other stores' segments are sealed into its archive."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from charkh.core.frames import encode_frames
from charkh.core.ids import parse_id
from charkh.ports.exchange import Part, check_facts, gap
from charkh.stores.durable import unavailable
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.segment_file import encode_header, is_header, new_header


class FolderExchange:
    """`charkh.ports.exchange.Exchange` over a `FolderJournal`."""

    def __init__(self, journal: FolderJournal) -> None:
        self._journal = journal

    def known(self) -> Mapping[str, int]:
        """See `charkh.ports.exchange.Exchange`."""
        return self._known()

    def parts(self, known: Mapping[str, int]) -> Iterator[Part]:
        """See `charkh.ports.exchange.Exchange`."""
        # Open segments are read first: one that is sealed meanwhile is then met in the archive too, and given once.
        opened = self._journal.open_facts()
        given: Counter[str] = Counter()
        for part in self._journal.archive.read(0):
            for record, frames in part.segments:
                payloads = [payload for _end, payload in frames if not is_header(payload)]
                if missing := _behind(Part(record.segment, given[record.segment], payloads), known):
                    yield missing
                given[record.segment] += len(payloads)
        for segment, payloads in opened.items():
            rest = Part(segment, given[segment], payloads[given[segment] :])
            if missing := _behind(rest, known):
                yield missing

    def take(self, parts: Sequence[Part]) -> int:
        """See `charkh.ports.exchange.Exchange`."""
        with self._journal.exclusive():
            known = self._known()
            opened = self._journal.open_facts().keys()
            fresh: list[tuple[str, bytes]] = []
            taken = 0
            for part in parts:
                if part.seq > known[part.segment]:
                    raise gap(part, known[part.segment])
                check_facts(part)
                # An open segment is its owner's; what it lacks is taken once it is sealed.
                missing = _behind(part, known) if part.segment not in opened else None
                if missing:
                    header = encode_header(new_header(parse_id(part.segment), self._journal.store))
                    fresh.append((part.segment, encode_frames([header, *missing.payloads])))
                    known[part.segment] += len(missing.payloads)
                    taken += len(missing.payloads)
            try:
                self._journal.archive.add(fresh)
            except OSError as error:
                raise unavailable(self._journal.archive.path(0).parent, error) from error
            return taken

    def _known(self) -> Counter[str]:
        opened = self._journal.open_facts()
        counts: Counter[str] = Counter()
        for record in self._journal.archive.records():
            counts[record.segment] += record.frames
        for segment, payloads in opened.items():
            counts[segment] = max(counts[segment], len(payloads))
        return counts


def _behind(part: Part, known: Mapping[str, int]) -> Part | None:
    """The rest of a part behind what is known, if there is one."""
    skip = max(0, known.get(part.segment, 0) - part.seq)
    return Part(part.segment, part.seq + skip, part.payloads[skip:]) if skip < len(part.payloads) else None
