"""What a folder adds to the suite of all journals: crashes, damage, archives, forks and a disk that refuses."""

import errno
import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from charkh.core.errors import Corrupt, Unavailable
from charkh.core.frames import encode_frame
from charkh.core.ids import new_id
from charkh.stores import archive as archive_module
from charkh.stores import journal_folder as journal_module
from charkh.stores import segment_file as segment_module
from charkh.stores.chain import RECORD_SIZE
from charkh.stores.journal_folder import FolderJournal
from charkh.testing.children import in_child
from charkh.testing.journals import header, read_all

STORE = new_id()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def journal(folder: Path) -> Iterator[FolderJournal]:
    journal = FolderJournal(folder, STORE)
    yield journal
    journal.close()


def crash_after(folder: Path, *payloads: bytes) -> Path:
    """A process appends and dies; the segment it leaves behind."""
    before = set(open_segments(folder))
    in_child(lambda: FolderJournal(folder, STORE).append(payloads))
    (left,) = set(open_segments(folder)) - before
    return left


def open_segments(folder: Path) -> list[Path]:
    return sorted((folder / "open").glob("[!.]*.facts")) if (folder / "open").exists() else []


def run_once(folder: Path, *payloads: bytes) -> None:
    """One process's whole life: append, leave."""
    journal = FolderJournal(folder, STORE)
    journal.append(payloads)
    journal.close()


# Leaving and crashing


def test_leaving_seals(folder: Path, journal: FolderJournal) -> None:
    run_once(folder, b"one")
    run_once(folder, b"two", b"three")
    assert open_segments(folder) == []
    assert [record.frames for record in journal.archive.records()] == [1, 2]
    assert read_all(journal)[0] == [b"one", b"two", b"three"]


def test_a_crashed_writer_is_read_and_then_sealed_by_whoever_takes_the_lock(
    folder: Path, journal: FolderJournal
) -> None:
    crash_after(folder, b"one", b"two")
    payloads, cursor = read_all(journal)
    assert payloads == [b"one", b"two"]
    with journal.exclusive():
        assert open_segments(folder) == []
    assert read_all(journal, cursor)[0] == []
    assert read_all(journal)[0] == [b"one", b"two"]


def test_a_live_writer_is_never_sealed_by_others(folder: Path, journal: FolderJournal) -> None:
    journal.append([b"one"])
    other = FolderJournal(folder, STORE)
    assert other.seal_abandoned() == 0
    journal.append([b"two"])
    assert read_all(other)[0] == [b"one", b"two"]


def test_seal_abandoned_counts(folder: Path, journal: FolderJournal) -> None:
    for number in range(3):
        crash_after(folder, b"%d" % number)
    assert journal.seal_abandoned() == 3
    assert journal.seal_abandoned() == 0


@pytest.mark.parametrize("cut", range(1, 14))
def test_a_torn_tail_is_not_yet_written(folder: Path, journal: FolderJournal, cut: int) -> None:
    left = crash_after(folder, b"whole", b"torn")
    os.truncate(left, left.stat().st_size - cut)
    expected = [b"whole"] if cut <= 12 else []
    assert read_all(journal)[0] == expected
    journal.seal_abandoned()
    assert read_all(journal)[0] == expected


def test_a_header_alone_leaves_nothing_behind(folder: Path, journal: FolderJournal) -> None:
    left = crash_after(folder, b"fact")
    os.truncate(left, left.stat().st_size - len(encode_frame(b"fact")))
    journal.seal_abandoned()
    assert open_segments(folder) == []
    assert list(journal.archive.records()) == []


def test_damage_is_set_aside_and_what_stands_before_it_is_kept(folder: Path, journal: FolderJournal) -> None:
    left = crash_after(folder, b"sound", b"broken", b"behind")
    data = bytearray(left.read_bytes())
    place = data.index(b"broken")
    data[place] ^= 1
    left.write_bytes(data)
    assert read_all(journal)[0] == [b"sound"]
    journal.seal_abandoned()
    assert read_all(journal)[0] == [b"sound"]
    (tail,) = (folder / "damaged").iterdir()
    assert tail.read_bytes() == data[place - 8 :]


def test_what_stands_behind_a_length_that_lies_is_set_aside_too(folder: Path, journal: FolderJournal) -> None:
    left = crash_after(folder, b"sound", b"longer", b"behind")
    data = bytearray(left.read_bytes())
    place = data.index(b"longer") - 8
    data[place + 1] ^= 1
    left.write_bytes(data)
    journal.seal_abandoned()
    assert read_all(journal)[0] == [b"sound"]
    (tail,) = (folder / "damaged").iterdir()
    assert tail.read_bytes() == data[place:]


def test_a_segment_gets_its_name_only_when_it_is_locked_and_its_header_is_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    write = os.write

    def spy(descriptor: int, data: bytes) -> int:
        seen.append([path.name for path in (folder / "open").iterdir()])
        return write(descriptor, data)

    monkeypatch.setattr(segment_module.os, "write", spy)
    journal = FolderJournal(folder, STORE)
    journal.append([b"one"])
    assert seen[0][0].startswith(".")
    assert not seen[1][0].startswith(".")
    journal.close()


def test_an_unfinished_file_goes_when_it_is_old(folder: Path, journal: FolderJournal) -> None:
    crash_after(folder, b"one")
    young, old = folder / "open" / ".young.facts", folder / "open" / ".old.facts"
    for path in (young, old):
        path.write_bytes(b"half a header")
    os.utime(old, (0, 0))
    journal.seal_abandoned()
    assert young.exists()
    assert not old.exists()
    assert read_all(journal)[0] == [b"one"]


# A sealer that dies at every step


def seal_until(folder: Path, steps: int) -> bool:
    """Seal in a child that dies before its `steps`-th change of the disk; whether it came to its end."""
    ended = folder / "ended"
    ended.unlink(missing_ok=True)

    def work() -> None:
        left = itertools.count(steps, -1)

        def dying(name: str, real: Any) -> Any:
            def call(*arguments: Any, **named: Any) -> Any:
                if next(left) == 0:
                    os._exit(0)
                return real(*arguments, **named)

            return call

        for name in ("pwrite", "ftruncate", "fsync"):
            setattr(os, name, dying(name, getattr(os, name)))
        Path.unlink = dying("unlink", Path.unlink)  # type: ignore[method-assign]
        FolderJournal(folder, STORE).seal_abandoned()
        ended.touch()

    in_child(work)
    return ended.exists()


def test_a_sealer_may_die_at_any_step(tmp_path: Path) -> None:
    for steps in itertools.count():
        folder = tmp_path / str(steps)
        for number in range(3):
            crash_after(folder, b"%d" % number, b"and %d" % number)
        reader = FolderJournal(folder, STORE)
        cursor = read_all(reader)[1]
        ended = seal_until(folder, steps)
        written = {b"%d" % number for number in range(3)} | {b"and %d" % number for number in range(3)}
        assert set(read_all(reader)[0]) == written
        assert set(read_all(reader, cursor)[0]) <= written
        reader.seal_abandoned()
        assert open_segments(folder) == []
        assert sorted(read_all(reader)[0]) == sorted(written)
        assert sorted(record.frames for record in reader.archive.records()) == [2, 2, 2]
        run_once(folder, b"more")
        assert sorted(read_all(reader)[0]) == sorted([*written, b"more"])
        if ended:
            assert steps > 8
            return


@pytest.mark.parametrize("tail", [b"x", bytes(RECORD_SIZE), bytes(RECORD_SIZE - 1)])
def test_a_torn_chain_is_cut(folder: Path, journal: FolderJournal, tail: bytes) -> None:
    run_once(folder, b"one")
    with (folder / "sealed" / "chain").open("ab") as chain:
        chain.write(tail)
    assert read_all(journal)[0] == [b"one"]
    run_once(folder, b"two")
    assert read_all(journal)[0] == [b"one", b"two"]
    assert (folder / "sealed" / "chain").stat().st_size == 2 * RECORD_SIZE


def test_damage_in_an_archive_names_the_segment(folder: Path, journal: FolderJournal) -> None:
    run_once(folder, b"one")
    run_once(folder, b"two")
    damaged = list(journal.archive.records())[1]
    data = bytearray((folder / "sealed" / "00000001.facts").read_bytes())
    data[-1] ^= 1
    (folder / "sealed" / "00000001.facts").write_bytes(data)
    with pytest.raises(Corrupt, match=damaged.segment) as raised:
        read_all(journal)
    assert raised.value.code == "journal.archive_damaged"


def test_a_damaged_chain_record_is_an_error_and_is_not_written_over(folder: Path, journal: FolderJournal) -> None:
    run_once(folder, b"one")
    chain = folder / "sealed" / "chain"
    data = bytearray(chain.read_bytes())
    data[20] ^= 1
    chain.write_bytes(data)
    crash_after(folder, b"two")
    with pytest.raises(Corrupt):
        journal.seal_abandoned()
    assert chain.read_bytes() == data


def test_archives_are_begun_anew_when_they_are_full(
    folder: Path, journal: FolderJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "ARCHIVE_BYTES", 400)
    monkeypatch.setattr(archive_module, "READ_BYTES", 500)
    written = [b"%d" % number * 50 for number in range(10)]
    for payload in written:
        run_once(folder, payload)
    assert len({record.archive for record in journal.archive.records()}) > 2
    assert read_all(journal)[0] == written
    for batch in journal.read({}):
        rest = read_all(journal, batch.cursor)[0]
        assert written[len(written) - len(rest) :] == rest


# Cheap readers


def test_a_reader_that_is_up_to_date_reads_no_bytes(
    folder: Path, journal: FolderJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        run_once(folder, b"%d" % number)
    journal.append([b"own"])
    crash_after(folder, b"crashed")
    cursor = read_all(journal)[1]
    read: list[Path] = []
    for module in (journal_module, archive_module):
        real = module.read_range
        monkeypatch.setattr(module, "read_range", lambda path, *rest, real=real: read.append(path) or real(path, *rest))
    assert list(journal.read(cursor)) == []
    assert read == []


def test_a_reader_reads_what_is_new_alone(
    folder: Path, journal: FolderJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        run_once(folder, b"%d" % number)
    cursor = read_all(journal)[1]
    run_once(folder, b"new")
    read: list[int] = []
    real = archive_module.read_range

    def spy(path: Path, start: int, length: int = -1) -> bytes:
        data = real(path, start, length)
        read.append(len(data))
        return data

    monkeypatch.setattr(archive_module, "read_range", spy)
    assert read_all(journal, cursor)[0] == [b"new"]
    assert sum(read) < 3 * RECORD_SIZE + 300


def test_a_cursor_forgets_segments_that_are_sealed(folder: Path, journal: FolderJournal) -> None:
    cursor: Any = {}
    for number in range(10):
        crash_after(folder, b"%d" % number)
        cursor = read_all(journal, cursor)[1]
        journal.seal_abandoned()
        cursor = read_all(journal, cursor)[1]
    assert set(cursor) == {"chain"}


def test_a_segment_that_is_sealed_while_it_is_read_is_not_missed(
    folder: Path, journal: FolderJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_after(folder, b"one")
    real = FolderJournal._read_open  # pyright: ignore[reportPrivateUsage]

    def sealed_first(self: FolderJournal, *arguments: Any) -> Any:
        monkeypatch.undo()
        FolderJournal(folder, STORE).seal_abandoned()
        return real(self, *arguments)

    monkeypatch.setattr(FolderJournal, "_read_open", sealed_first)
    payloads, cursor = read_all(journal)
    assert payloads == [b"one"]
    assert read_all(journal, cursor)[0] == []


# Forks, threads, rotation


def test_the_child_of_a_fork_writes_a_segment_of_its_own(folder: Path, journal: FolderJournal) -> None:
    journal.append([b"parent before"])
    in_child(lambda: journal.append([b"child"]))
    journal.append([b"parent after"])
    assert len(open_segments(folder)) == 2
    assert sorted(read_all(journal)[0]) == [b"child", b"parent after", b"parent before"]
    assert journal.seal_abandoned() == 1


def test_a_child_forked_inside_the_lock_neither_holds_nor_releases_it(folder: Path, journal: FolderJournal) -> None:
    other = FolderJournal(folder, STORE)
    with journal.exclusive():

        def work() -> None:
            with pytest.raises(Exception, match="is held by"), journal.exclusive(0.05):
                pass

        in_child(work)
        with pytest.raises(Exception, match="is held by"), other.exclusive(0.05):
            pass


def test_a_child_closes_without_touching_the_parents_segment(folder: Path, journal: FolderJournal) -> None:
    journal.append([b"one"])
    in_child(journal.close)
    journal.append([b"two"])
    assert read_all(journal)[0] == [b"one", b"two"]


def test_a_large_segment_is_let_go_of_and_sealed(
    folder: Path, journal: FolderJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "ROTATE_BYTES", 1000)
    written = [b"%03d" % number * 30 for number in range(40)]
    for payload in written:
        journal.append([payload])
    assert len(open_segments(folder)) > 2
    with journal.exclusive():
        assert len(open_segments(folder)) == 1
    assert sorted(read_all(journal)[0]) == written


def test_everything_belongs_to_the_owner_alone(folder: Path, journal: FolderJournal) -> None:
    mask = os.umask(0)
    try:
        journal.append([b"one"])
        crash_after(folder, b"two")
        journal.open_data(header()).append(b"record")
        journal.seal_abandoned()
    finally:
        os.umask(mask)
    modes = {path: path.stat().st_mode & 0o077 for path in [folder, *folder.rglob("*")]}
    assert {path for path, mode in modes.items() if mode} == set()


# A disk that refuses


def failing(number: int) -> Any:
    def call(*_arguments: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return call


def test_a_full_disk_is_an_error_that_says_so_and_nothing_partial_stays(
    journal: FolderJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append([b"one"])
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(segment_module.os, "write", lambda descriptor, data: write(descriptor, data[: len(data) // 2]))
        with pytest.raises(Unavailable, match="full") as raised:
            journal.append([b"two"])
        assert raised.value.hint
    journal.append([b"three"])
    assert read_all(journal)[0] == [b"one", b"three"]


def test_nothing_is_written_behind_a_torn_frame_that_could_not_be_cut(
    journal: FolderJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append([b"one"])
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(segment_module.os, "write", lambda descriptor, data: write(descriptor, data[:3]))
        patch.setattr(segment_module.os, "ftruncate", failing(errno.EIO))
        with pytest.raises(Unavailable):
            journal.append([b"two"])
        with pytest.raises(Unavailable):
            journal.append([b"three"])
    journal.append([b"four"])
    assert read_all(journal)[0] == [b"one", b"four"]


def test_a_failed_sync_takes_the_facts_back_and_the_segment_is_never_trusted_again(
    folder: Path, journal: FolderJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append([b"one"], durable=True)
    with monkeypatch.context() as patch:
        patch.setattr(segment_module.os, "fdatasync", failing(errno.EIO))
        with pytest.raises(Unavailable):
            journal.append([b"two"], durable=True)
    assert read_all(journal)[0] == [b"one"]
    journal.append([b"three"], durable=True)
    assert sorted(read_all(journal)[0]) == [b"one", b"three"]
    assert len(open_segments(folder)) == 2


def test_a_durable_append_waits_for_a_sync_that_is_under_way(
    journal: FolderJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two threads, none may answer on the strength of a sync that has not ended."""
    journal.append([b"zero"], durable=True)
    begun, may_end = threading.Event(), threading.Event()
    syncs: list[str] = []
    fdatasync = os.fdatasync

    def slow(descriptor: int) -> None:
        syncs.append("begin")
        begun.set()
        assert may_end.wait(10)
        fdatasync(descriptor)
        syncs.append("end")

    monkeypatch.setattr(segment_module.os, "fdatasync", slow)
    first = threading.Thread(target=lambda: journal.append([b"one"], durable=True))
    first.start()
    assert begun.wait(10)
    second = threading.Thread(target=lambda: journal.append([b"two"], durable=True))
    second.start()
    second.join(0.05)
    assert second.is_alive()
    may_end.set()
    first.join()
    second.join()
    assert syncs.count("end") >= 1
    assert syncs[-1] == "end"


def test_a_full_disk_for_sealing_keeps_nobody_from_deciding(
    folder: Path, journal: FolderJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_after(folder, b"one")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", failing(errno.ENOSPC))
        with journal.exclusive():
            journal.append([b"two"], durable=True)
        with pytest.raises(Unavailable):
            journal.seal_abandoned()
    assert sorted(read_all(journal)[0]) == [b"one", b"two"]
    assert journal.seal_abandoned() == 1
    assert sorted(read_all(journal)[0]) == [b"one", b"two"]


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    journal = FolderJournal(tmp_path / "file" / "journal", STORE)
    with pytest.raises(Unavailable):
        journal.append([b"one"])
    with pytest.raises(Unavailable), journal.exclusive():
        pass
