"""The audit trail: the sealed fact segments against their chain. It reads everything and changes nothing.

Every chain record names the digest of its segment and of the record before it, so a changed, removed,
inserted or reordered fact breaks the chain from there on. What the chain cannot show by itself is that its
end was cut off; for that, note `AuditReport.head` somewhere else and hand it in again later.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from blake3 import blake3

from charkh.core.errors import CharkhError, Corrupt, Invalid
from charkh.core.events import decode_event
from charkh.stores.archive import Archive
from charkh.stores.chain import GENESIS, RECORD_SIZE, ChainRecord, decode_record, record_digest
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.segment_file import read_segment


class AuditProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as it was sealed.

    Attributes:
        code: `audit.record_damaged`, `audit.broken_link`, `audit.misplaced`, `audit.segment_missing`,
            `audit.segment_changed`, `audit.not_an_event` or `audit.head_missing`.
        record: number of the chain record, from 0; -1 where it is about the whole chain.
        segment: id of the segment, where it is known.
        detail: what is wrong, one sentence.
    """

    code: str
    record: int
    segment: str
    detail: str


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked, and what was found.

    Attributes:
        segments: sealed segments whose place, digest and link were checked.
        facts: facts in them.
        size: bytes in them.
        archives: archive files that they lie in.
        head: digest of the chain's last record, 64 hex digits; zeros when nothing is sealed yet.
        waiting: open segments, which no chain covers yet.
        problems: nothing when the trail is whole.
    """

    segments: int
    facts: int
    size: int
    archives: int
    head: str
    waiting: int
    problems: tuple[AuditProblem, ...]

    @property
    def sound(self) -> bool:
        """Whether every sealed fact is what it was when it was sealed."""
        return not self.problems


def verify_chain(journal: FolderJournal, *, head: str = "") -> AuditReport:
    """Check every sealed segment against the chain, and the chain against itself.

    Args:
        journal: whose sealed segments; others may write and seal meanwhile.
        head: a `head` noted earlier; the chain must still pass through it.

    Raises:
        Invalid: `head` is no digest.
        Unavailable: the files cannot be read.
    """
    if head and (len(head) != 2 * len(GENESIS) or set(head) - set("0123456789abcdef")):
        raise Invalid(f"{head!r} is not a chain head", hint="A head is 64 lowercase hex digits.")
    waiting = journal.open_segments()
    return _Audit(journal.archive, head or GENESIS.hex()).report(waiting)


class _Audit:
    def __init__(self, archive: Archive, head: str) -> None:
        self._archive = archive
        self._wanted_head = head
        self._problems: list[AuditProblem] = []
        self._records: list[ChainRecord] = []
        self._facts = 0

    def report(self, waiting: int) -> AuditReport:
        head = GENESIS
        heads = {GENESIS.hex()}
        before: ChainRecord | None = None
        for number, record in self._decoded():
            self._check_place(number, record, before, head)
            self._check_bytes(number, record)
            self._records.append(record)
            before, head = record, record_digest(record)
            heads.add(head.hex())
        if self._wanted_head not in heads:
            detail = f"the chain does not pass through {self._wanted_head}: it was cut off or made anew"
            self._add("head_missing", -1, "", detail)
        return AuditReport(
            segments=len(self._records),
            facts=self._facts,
            size=sum(record.length for record in self._records),
            archives=len({record.archive for record in self._records}),
            head=head.hex(),
            waiting=waiting,
            problems=tuple(self._problems),
        )

    def _decoded(self) -> Iterator[tuple[int, ChainRecord]]:
        chain = self._archive.chain_bytes()
        for number, start in enumerate(range(0, len(chain), RECORD_SIZE)):
            try:
                yield number, decode_record(chain[start : start + RECORD_SIZE])
            except Corrupt as error:
                self._add("record_damaged", number, "", error.message)

    def _check_place(self, number: int, record: ChainRecord, before: ChainRecord | None, head: bytes) -> None:
        if record.previous != head:
            self._add("broken_link", number, record.segment, "it does not name the record before it")
        expected = (before.archive, before.end) if before else (1, 0)
        if (record.archive, record.offset) not in (expected, (expected[0] + 1, 0)):
            detail = f"it lies at byte {record.offset} of archive {record.archive}, not behind the one before it"
            self._add("misplaced", number, record.segment, detail)

    def _check_bytes(self, number: int, record: ChainRecord) -> None:
        data = self._archive.segment_bytes(record)
        where = _where(self._archive.path(record.archive), record)
        if len(data) != record.length:
            self._add("segment_missing", number, record.segment, f"{where}: {len(data)} of its bytes are there")
            return
        if blake3(data).digest() != record.digest:
            self._add("segment_changed", number, record.segment, f"{where}: its bytes do not have its digest")
            return
        content = read_segment(data)
        self._facts += len(content.frames)
        named = content.header.segment if content.header else ""
        if named != record.segment or len(content.frames) != record.frames or content.end != len(data):
            detail = f"{where}: it holds {len(content.frames)} facts of {named or 'nobody'}, not {record.frames}"
            self._add("segment_changed", number, record.segment, detail)
        for frame in content.frames:
            try:
                decode_event(frame.payload)
            except CharkhError as error:
                self._add("not_an_event", number, record.segment, f"{where}: {error.message}")

    def _add(self, what: str, number: int, segment: str, detail: str) -> None:
        self._problems.append(AuditProblem(code=f"audit.{what}", record=number, segment=segment, detail=detail))


def _where(path: Path, record: ChainRecord) -> str:
    return f"{path}, bytes {record.offset} to {record.end}"
