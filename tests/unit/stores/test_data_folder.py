"""Data segments in a folder: a disk that refuses, forks, damage, large headers, long segments read piece by piece."""

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charkh.core.errors import Invalid, Unavailable
from charkh.core.ids import new_id
from charkh.ports.journal import DataHeader
from charkh.stores import data_folder as data_module
from charkh.stores import segment_file as segment_module
from charkh.stores.data_folder import DataFolder
from charkh.testing.children import in_child
from charkh.testing.journals import header

STORE = new_id()


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "open", tmp_path / "damaged", STORE)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Writes fail until the returned function is called."""

    def refuse(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write = os.write
    monkeypatch.setattr(segment_module.os, "write", refuse)
    return lambda: monkeypatch.setattr(segment_module.os, "write", write)


def payloads(folder: DataFolder, segment: str) -> list[bytes]:
    return [record.payload for record in folder.read_data(segment)]


def test_a_writer_that_cannot_even_begin_keeps_its_records(
    folder: DataFolder, full_disk: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "charkh"):
        writer = folder.open_data(header())
        assert [writer.append(b"%d" % number) for number in range(3)] == [0, 1, 2]
    assert len(caplog.records) == 1
    with pytest.raises(Unavailable):
        writer.flush()
    assert list(folder.list_data()) == []
    full_disk()
    assert writer.append(b"3") == 3
    writer.close()
    assert payloads(folder, writer.segment) == [b"0", b"1", b"2", b"3"]


def test_the_buffer_is_bounded_and_what_is_dropped_is_counted(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(data_module, "BUFFER_BYTES", 100)
    writer = folder.open_data(header())
    make_room: Callable[[], None] = request.getfixturevalue("full_disk")
    given = [writer.append(b"x" * 20) for _ in range(6)]
    assert given == [0, 1, 2, -1, -1, -1]
    assert writer.lost == 3
    make_room()
    assert writer.append(b"behind") == 3
    writer.close()
    assert payloads(folder, writer.segment) == [b"x" * 20] * 3 + [b"behind"]


def test_flushing_on_a_failing_disk_says_so_for_ever(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = folder.open_data(header())
    writer.append(b"one")

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(segment_module.os, "fdatasync", fail)
        with pytest.raises(Unavailable):
            writer.flush()
    assert writer.append(b"two") == 1
    with pytest.raises(Unavailable):
        writer.flush()
    assert payloads(folder, writer.segment) == [b"one", b"two"]


def test_the_child_of_a_fork_writes_a_segment_of_its_own(folder: DataFolder) -> None:
    writer = folder.open_data(header(rank="1"))
    assert writer.append(b"parent") == 0
    parents = writer.segment

    def work() -> None:
        assert writer.append(b"child") == 0
        assert writer.segment != parents
        writer.close()

    in_child(work)
    assert writer.append(b"parent again") == 1
    writer.close()
    assert payloads(folder, parents) == [b"parent", b"parent again"]
    (childs,) = [each for each in folder.list_data() if each.header.segment != parents]
    assert childs.header.labels == {"rank": "1"}
    assert payloads(folder, childs.header.segment) == [b"child"]


def test_a_fork_while_records_wait_leaves_them_to_the_parent(folder: DataFolder, full_disk: Callable[[], None]) -> None:
    writer = folder.open_data(header())
    writer.append(b"waits")
    parents = writer.segment

    def work() -> None:
        full_disk()
        writer.append(b"child")
        assert payloads(folder, writer.segment) == [b"child"]

    in_child(work)
    full_disk()
    writer.close()
    assert payloads(folder, parents) == [b"waits"]


def test_a_dead_writers_segment_is_not_live(folder: DataFolder) -> None:
    made = header()
    in_child(lambda: folder.open_data(made).append(b"last words"))
    (listed,) = folder.list_data()
    assert (listed.header, listed.live) == (made, False)
    assert payloads(folder, made.segment) == [b"last words"]


def test_damage_hides_no_record_before_it_and_is_kept_when_the_segment_goes(
    folder: DataFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = folder.open_data(header())
    for payload in (b"sound", b"broken", b"behind"):
        writer.append(payload)
    writer.close()
    path = tmp_path / "open" / f"{writer.segment}.data"
    data = bytearray(path.read_bytes())
    data[data.index(b"broken")] ^= 1
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING, "charkh"):
        assert payloads(folder, writer.segment) == [b"sound"]
    assert "damaged" in caplog.text
    folder.drop_data(writer.segment)
    assert not path.exists()
    (kept,) = (tmp_path / "damaged").iterdir()
    assert kept.read_bytes().endswith(b"behind")


def test_a_torn_record_is_not_yet_written(folder: DataFolder, tmp_path: Path) -> None:
    writer = folder.open_data(header())
    writer.append(b"whole")
    writer.append(b"torn")
    path = tmp_path / "open" / f"{writer.segment}.data"
    os.truncate(path, path.stat().st_size - 1)
    assert payloads(folder, writer.segment) == [b"whole"]
    folder.drop_data(writer.segment)
    assert not (tmp_path / "damaged").exists()
    writer.close()


def test_a_header_may_be_large(folder: DataFolder) -> None:
    made = header(**{f"label_{number}": "x" * 1000 for number in range(200)})
    writer = folder.open_data(made)
    writer.append(b"record")
    assert [each.header for each in folder.list_data()] == [made]
    assert payloads(folder, made.segment) == [b"record"]
    writer.close()


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_a_long_segment_is_read_piece_by_piece(folder: DataFolder, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(data_module, "BLOCK_BYTES", block)
    writer = folder.open_data(header())
    written = [b"%d" % number * (number % 17 + 1) for number in range(60)]
    for payload in written:
        writer.append(payload)
    writer.close()
    assert payloads(folder, writer.segment) == written
    assert [record.ordinal for record in folder.read_data(writer.segment, 50)] == list(range(50, 60))


def test_a_segment_is_named_by_an_id_alone(folder: DataFolder) -> None:
    for name in ("../../outside", "", "a" * 31, "/etc/passwd"):
        with pytest.raises(Invalid):
            folder.open_data(DataHeader(segment=name, content="points", subject="run:1"))
        with pytest.raises(Invalid):
            list(folder.read_data(name))
        with pytest.raises(Invalid):
            folder.drop_data(name)


def test_what_is_no_segment_is_passed_over(folder: DataFolder, tmp_path: Path) -> None:
    writer: Any = folder.open_data(header())
    writer.append(b"one")
    for name in (".half.data", "empty.data", "foreign.data", "notes.txt"):
        (tmp_path / "open" / name).write_bytes(b"" if name == "empty.data" else b"\0" * 200)
    assert [each.header.segment for each in folder.list_data()] == [writer.segment]
    writer.close()
