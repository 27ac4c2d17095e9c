"""The audit finds every way in which somebody could change the past of a journal."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.clock import Clock
from charkh.core.errors import Invalid
from charkh.core.events import Draft, stamp_draft
from charkh.core.ids import new_id
from charkh.stores.audit import verify_chain
from charkh.stores.chain import GENESIS, RECORD_SIZE, decode_record, encode_record, record_digest
from charkh.stores.journal_folder import FolderJournal

STORE = new_id()
CLOCK = Clock()


def fact(name: str) -> bytes:
    return stamp_draft(Draft(kind="note.written/1", subject="note:a", body={"name": name}), CLOCK, "ann@laptop").payload


def make_journal(folder: Path, segments: int = 4) -> FolderJournal:
    for number in range(segments):
        journal = FolderJournal(folder, STORE)
        journal.append([fact(f"{number}"), fact(f"{number} too")])
        journal.close()
    return FolderJournal(folder, STORE)


@pytest.fixture
def journal(tmp_path: Path) -> FolderJournal:
    return make_journal(tmp_path)


def codes(journal: FolderJournal, head: str = "") -> set[str]:
    report = verify_chain(journal, head=head)
    assert report.sound == (not report.problems)
    assert all(problem.detail for problem in report.problems)
    return {problem.code for problem in report.problems}


def test_a_whole_trail_is_sound_and_says_what_was_checked(tmp_path: Path, journal: FolderJournal) -> None:
    journal.append([fact("not sealed yet")])
    report = verify_chain(journal)
    assert report.sound
    assert (report.segments, report.facts, report.archives, report.waiting) == (4, 8, 1, 1)
    assert report.size == (tmp_path / "sealed" / "00000001.facts").stat().st_size
    assert report.head == record_digest(list(journal.archive.records())[-1]).hex()


def test_an_empty_journal_is_sound(tmp_path: Path) -> None:
    report = verify_chain(FolderJournal(tmp_path, STORE))
    assert (report.sound, report.segments, report.head) == (True, 0, GENESIS.hex())


def test_a_head_that_was_noted_is_passed_through(tmp_path: Path, journal: FolderJournal) -> None:
    head = verify_chain(journal).head
    make_journal(tmp_path, 2)
    assert codes(journal, head) == set()
    assert verify_chain(journal).head != head
    with pytest.raises(Invalid):
        verify_chain(journal, head="abc")


def test_an_end_that_was_cut_off_is_found_by_the_noted_head(tmp_path: Path, journal: FolderJournal) -> None:
    head = verify_chain(journal).head
    chain = tmp_path / "sealed" / "chain"
    chain.write_bytes(chain.read_bytes()[:-RECORD_SIZE])
    assert codes(journal) == set()
    assert codes(journal, head) == {"audit.head_missing"}


def edit_chain(folder: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    chain = folder / "sealed" / "chain"
    data = chain.read_bytes()
    records = [data[start : start + RECORD_SIZE] for start in range(0, len(data), RECORD_SIZE)]
    chain.write_bytes(b"".join(change(records)))


def test_a_removed_record_is_found(tmp_path: Path, journal: FolderJournal) -> None:
    edit_chain(tmp_path, lambda records: [records[0], *records[2:]])
    assert codes(journal) == {"audit.broken_link", "audit.misplaced"}


def test_reordered_records_are_found(tmp_path: Path, journal: FolderJournal) -> None:
    edit_chain(tmp_path, lambda records: [records[1], records[0], *records[2:]])
    assert codes(journal) == {"audit.broken_link", "audit.misplaced"}


def test_a_forged_record_is_found_by_the_next_one(tmp_path: Path, journal: FolderJournal) -> None:
    def forge(records: list[bytes]) -> list[bytes]:
        forged = decode_record(records[1])._replace(digest=bytes(32))
        return [records[0], encode_record(forged), *records[2:]]

    edit_chain(tmp_path, forge)
    assert codes(journal) == {"audit.broken_link", "audit.segment_changed"}


def test_a_missing_archive_is_found(tmp_path: Path, journal: FolderJournal) -> None:
    (tmp_path / "sealed" / "00000001.facts").unlink()
    assert codes(journal) == {"audit.segment_missing"}


def test_bytes_that_are_sound_frames_but_not_the_sealed_ones_are_found(tmp_path: Path, journal: FolderJournal) -> None:
    """A forger who mends the checksums still has not got the digest."""
    make_journal(tmp_path / "other")
    archive = Path("sealed") / "00000001.facts"
    (tmp_path / archive).write_bytes((tmp_path / "other" / archive).read_bytes())
    assert codes(journal) == {"audit.segment_changed"}


def test_a_frame_that_is_no_event_is_found(tmp_path: Path) -> None:
    journal = FolderJournal(tmp_path, STORE)
    journal.append([b"no event"])
    journal.close()
    assert codes(journal) == {"audit.not_an_event"}


@settings(max_examples=40)
@given(place=st.integers(0), bit=st.integers(0, 7), name=st.sampled_from(["00000001.facts", "chain"]))
def test_a_flipped_bit_anywhere_is_found(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int, name: str
) -> None:
    folder = tmp_path_factory.mktemp("audit")
    journal = make_journal(folder, 2)
    path = folder / "sealed" / name
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    assert codes(journal)
