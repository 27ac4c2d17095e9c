"""Segment headers and the writing end of a segment file."""

import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Corrupt, Unavailable
from charkh.core.frames import encode_frame
from charkh.ports.journal import DataHeader
from charkh.stores.segment_file import (
    HEADER_PREFIX,
    SegmentFile,
    SegmentHeader,
    decode_header,
    encode_header,
    is_header,
    is_live,
    new_header,
    read_segment,
)

TEXT = st.text(max_size=20)
HEADERS = st.builds(
    SegmentHeader,
    segment=TEXT,
    store=TEXT,
    host=TEXT,
    pid=st.integers(0, 2**31),
    user=TEXT,
    data=st.none()
    | st.builds(
        DataHeader,
        segment=TEXT,
        content=TEXT,
        subject=TEXT,
        writer=TEXT,
        attempt=st.integers(0, 1000),
        labels=st.dictionaries(TEXT, TEXT, max_size=3),
    ),
)


@given(HEADERS)
def test_a_header_comes_back(header: SegmentHeader) -> None:
    assert is_header(encode_header(header))
    assert decode_header(encode_header(header)) == header


def test_a_header_says_who_writes() -> None:
    header = new_header("a" * 32, "b" * 32)
    assert (header.segment, header.store, header.pid) == ("a" * 32, "b" * 32, os.getpid())
    assert header.host
    assert header.user


def test_a_damaged_header_is_corrupt() -> None:
    with pytest.raises(Corrupt):
        decode_header(HEADER_PREFIX + b"\xc1")


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=4), st.integers(0, 40))
def test_a_segment_is_read_up_to_its_torn_end(payloads: list[bytes], cut: int) -> None:
    header = new_header("a" * 32, "b" * 32)
    frames = [encode_frame(payload) for payload in payloads]
    data = encode_frame(encode_header(header)) + b"".join(frames)
    content = read_segment(data[: max(0, len(data) - cut)])
    whole = len(frames)
    left = cut
    while whole and left > 0:
        left -= len(frames[whole - 1])
        whole -= 1
    if left > 0:
        assert content.header is None
    else:
        assert content.header == header
        assert [frame.payload for frame in content.frames] == payloads[:whole]
    assert content.damaged is False


def test_a_file_is_live_until_it_is_let_go_of(tmp_path: Path) -> None:
    path = tmp_path / "a.facts"
    file = SegmentFile(path, new_header("a" * 32, "b" * 32))
    assert is_live(path)
    file.close()
    file.close()
    assert not is_live(path)
    assert not is_live(tmp_path / "missing")
    with pytest.raises(Unavailable):
        file.write(encode_frame(b"late"))


def test_writing_says_where_the_file_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.facts"
    file = SegmentFile(path, new_header("a" * 32, "b" * 32))
    begin = file.size
    end = file.write(encode_frame(b"one"))
    assert end == begin + len(encode_frame(b"one")) == path.stat().st_size
    file.take_back(begin, end)
    assert path.stat().st_size == begin
    assert file.write(encode_frame(b"two")) == end
    file.take_back(begin, end - 1)
    assert path.stat().st_size == end
    file.close()


def test_nothing_is_opened_twice_under_one_name(tmp_path: Path) -> None:
    path = tmp_path / ".a.facts"
    path.write_bytes(b"")
    with pytest.raises(Unavailable):
        SegmentFile(tmp_path / "a.facts", new_header("a" * 32, "b" * 32))
    assert path.exists()


def test_the_lock_is_the_kernels(tmp_path: Path) -> None:
    path = tmp_path / "a.facts"
    file = SegmentFile(path, new_header("a" * 32, "b" * 32))
    descriptor = os.open(path, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    file.close()
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)
