"""What comes quickly is written together, in order, and every record stands where its place says."""

import resource
import threading
from collections.abc import Sequence
from pathlib import Path

from charkh.core.ids import new_id
from charkh.endpoints import log_segments
from charkh.endpoints.log_segments import LogSegments, Place
from charkh.endpoints.losses import Losses
from charkh.ports.journal import DataHeader, DataWriter
from charkh.stores.data_folder import DataFolder
from charkh.testing.children import in_child


class Disk:
    """A folder of segments whose writers can be made to refuse, and which says how often it was written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = DataFolder(folder / "data", folder / "damaged", new_id())
        self.refuses = False
        self.calls = 0

    def begin(self) -> DataWriter:
        writer = self.folder.open_data(DataHeader(segment=new_id(), content="predictions", subject="endpoint:e"))
        return Refusing(self, writer)

    def read(self) -> dict[Place, bytes]:
        return {
            Place(segment.header.segment, record.ordinal): record.payload
            for segment in self.folder.list_data()
            for record in self.folder.read_data(segment.header.segment)
        }


class Refusing:
    """A writer that keeps what it gets while its disk refuses, as that of a folder does on a full disk."""

    def __init__(self, disk: Disk, writer: DataWriter) -> None:
        self._disk = disk
        self._writer = writer
        self._kept: list[bytes] = []
        self.segment = writer.segment
        self.lost = 0

    @property
    def waiting(self) -> int:
        return len(self._kept)

    def take_waiting(self) -> Sequence[bytes]:
        raise AssertionError("nobody takes records away from the log")

    def append(self, payload: bytes) -> int:
        self.append_many([payload])
        return 0

    def append_many(self, payloads: Sequence[bytes]) -> None:
        self._disk.calls += 1
        self._kept += payloads
        if not self._disk.refuses:
            self._writer.append_many(self._kept)
            self._kept = []

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self.append_many(())
        self._writer.close()


def log(disk: Disk, *, rotate_bytes: int = 1 << 30, apart: bool = True) -> LogSegments:
    losses = Losses("endpoint:e")
    return LogSegments(disk.begin, rotate_bytes=rotate_bytes, rotate_seconds=3600.0, apart=apart, losses=losses)


def test_many_threads_write_together_and_each_record_stands_in_its_place(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    segments = log(disk, rotate_bytes=20_000)
    told: dict[Place, bytes] = {}

    def write(number: int) -> None:
        for each in range(500):
            record = f"{number} {each} ".encode() * 20
            place = segments.append(record)
            assert place is not None
            told[place] = record

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    segments.close()
    assert len(told) == 2000
    assert disk.read() == told
    assert len({place.segment for place in told}) > 5
    assert disk.calls < 1000
    assert not any(segment.live for segment in disk.folder.list_data())


def test_a_record_that_comes_alone_is_there_when_append_returns(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    segments = log(disk)
    place = segments.append(b"alone")
    assert disk.read() == {place: b"alone"}
    segments.close()


def test_without_a_thread_every_record_is_there_when_append_returns(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    segments = log(disk, rotate_bytes=100, apart=False)
    told = {segments.append(b"x" * 40): b"x" * 40 for _ in range(10)}
    assert disk.read() == told
    assert sum(segment.live for segment in disk.folder.list_data()) == 1
    segments.close()


def test_what_comes_while_the_disk_refuses_is_written_in_its_place_afterwards(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    segments = log(disk, rotate_bytes=1000)
    told = {segments.append(b"before"): b"before"}
    disk.refuses = True
    for number in range(300):
        record = b"%d" % number * 10
        told[segments.append(record)] = record
    disk.refuses = False
    segments.close()
    assert disk.read() == told
    assert segments.losses.count == 0


def test_what_is_too_much_to_keep_is_not_taken_and_counted(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.refuses = True
    segments = log(disk)
    record = b"x" * (log_segments.MAX_WAITING // 4)
    places = [segments.append(record) for _ in range(8)]
    refused = places.count(None)
    assert refused >= 3
    assert segments.losses.count == refused
    disk.refuses = False
    segments.close()
    assert set(disk.read()) == {place for place in places if place is not None}


def test_nothing_is_taken_after_the_end(tmp_path: Path) -> None:
    segments = log(Disk(tmp_path))
    segments.close()
    assert segments.append(b"late") is None


def test_what_still_waits_at_the_end_is_counted_as_lost(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    segments = LogSegments(
        lambda: disk.folder.open_data(DataHeader(segment=new_id(), content="predictions", subject="endpoint:e")),
        rotate_bytes=1 << 30,
        rotate_seconds=3600.0,
        apart=True,
        losses=Losses("endpoint:e"),
    )

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        for _ in range(20):
            assert segments.append(b"record") is not None
        segments.close()
        assert segments.losses.count == 20

    in_child(work)
