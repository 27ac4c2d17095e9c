"""Frames survive every tear and notice every flipped bit."""

from hypothesis import given
from hypothesis import strategies as st

from charkh.core.frames import (
    HEADER,
    MAX_PAYLOAD,
    crc32c,
    encode_apart,
    encode_frame,
    encode_frames,
    frame_size,
    payloads,
    scan_frames,
)

PAYLOADS = st.lists(st.binary(min_size=1, max_size=200), max_size=8)


def test_the_checksum_is_crc32c() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_a_frame_lies_as_the_format_says() -> None:
    assert encode_frame(b"abc") == bytes.fromhex("03000000" + "b73f4b36" + "616263")


@given(PAYLOADS)
def test_what_was_framed_is_read(items: list[bytes]) -> None:
    buffer = b"".join(map(encode_frame, items))
    scan = scan_frames(buffer)
    assert [frame.payload for frame in scan.frames] == items
    assert (scan.end, scan.damaged) == (len(buffer), False)
    assert len(buffer) == sum(frame_size(len(item)) for item in items)
    assert list(payloads(buffer)) == items


@given(PAYLOADS, st.data())
def test_a_scan_goes_on_where_another_stopped(items: list[bytes], data: st.DataObject) -> None:
    buffer = b"".join(map(encode_frame, items))
    cut = data.draw(st.integers(0, len(buffer)))
    first = scan_frames(buffer[:cut])
    rest = scan_frames(buffer, first.end)
    assert [frame.payload for frame in (*first.frames, *rest.frames)] == items


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4))
def test_a_tail_torn_anywhere_is_not_yet_written(items: list[bytes]) -> None:
    buffer = b"".join(map(encode_frame, items))
    ends = [frame.end for frame in scan_frames(buffer).frames]
    for cut in range(len(buffer)):
        scan = scan_frames(buffer[:cut])
        whole = sum(end <= cut for end in ends)
        assert [frame.payload for frame in scan.frames] == items[:whole]
        assert not scan.damaged


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4), st.data())
def test_a_flipped_bit_never_passes(items: list[bytes], data: st.DataObject) -> None:
    buffer = bytearray(b"".join(map(encode_frame, items)))
    bit = data.draw(st.integers(0, len(buffer) * 8 - 1))
    buffer[bit // 8] ^= 1 << bit % 8
    scan = scan_frames(bytes(buffer))
    sound = [frame.payload for frame in scan.frames]
    assert len(sound) < len(items)
    assert sound == items[: len(sound)]


@given(st.binary(max_size=400), st.integers(0, 400))
def test_noise_never_raises(noise: bytes, start: int) -> None:
    scan = scan_frames(noise, start)
    assert scan.end >= start or scan.end == start
    assert all(frame.payload for frame in scan.frames)


def test_a_run_of_zeros_is_no_frame() -> None:
    assert scan_frames(bytes(64)).frames == []
    assert scan_frames(bytes(64)).damaged


def test_a_length_beyond_the_limit_is_damage_and_not_a_wait() -> None:
    assert scan_frames(HEADER.pack(MAX_PAYLOAD + 1, 0)).damaged


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=4))
def test_a_frame_in_two_parts_is_the_same(items: list[bytes]) -> None:
    assert b"".join(part for item in items for part in encode_apart(item)) == encode_frames(items)
