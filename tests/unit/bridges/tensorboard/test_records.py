"""Framing: what is written is read, a torn tail waits, damage is said and the next sound record is found."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.bridges.tensorboard.records import OVERHEAD, encode_record, masked_crc, resound, walk


def test_the_checksum_is_that_of_the_framing() -> None:
    # RFC 3720 B.4: the CRC-32C of 32 zero bytes is 0x8A9136AA.
    crc = 0x8A9136AA
    assert masked_crc(bytes(32)) == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


@given(st.lists(st.binary(max_size=200)), st.integers(0, 3000))
def test_a_cut_file_gives_its_whole_records(contents: list[bytes], cut: int) -> None:
    whole = b"".join(map(encode_record, contents))
    framed = walk(whole[:cut])
    assert framed.damage is None
    ends = [0]
    for each in contents:
        if ends[-1] + len(each) + OVERHEAD <= cut:
            ends.append(ends[-1] + len(each) + OVERHEAD)
        else:
            break
    assert framed.offsets == ends


@given(st.lists(st.binary(min_size=1, max_size=100), min_size=2, max_size=5), st.integers(0, 11), st.integers(0, 7))
def test_a_flipped_bit_in_a_header_loses_that_record_alone(contents: list[bytes], place: int, bit: int) -> None:
    first = bytearray(encode_record(contents[0]))
    first[place] ^= 1 << bit
    buffer = bytes(first) + b"".join(map(encode_record, contents[1:]))
    framed = walk(buffer)
    assert framed.offsets == [0]
    assert framed.damage is not None
    assert framed.damage.lost
    assert resound(buffer, 1) == len(first)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=7), st.integers(0, 6000), st.booleans())
def test_records_that_come_in_turns_are_walked_as_any_others(turn: list[int], broken: int, damaged: bool) -> None:
    contents = [bytes(length) for length in turn] * (6000 // len(turn))
    contents[min(broken, len(contents) - 1)] = bytes(41)
    buffer = bytearray(b"".join(map(encode_record, contents)))
    expected = [0]
    for each in contents:
        expected.append(expected[-1] + len(each) + OVERHEAD)
    if damaged:
        place = min(broken, len(contents) - 1)
        buffer[expected[place] + 9] ^= 1
        expected = expected[: place + 1]
    framed = walk(bytes(buffer))
    assert framed.offsets == expected
    assert (framed.damage is not None) == damaged
    # Cut anywhere, the whole records before are the same.
    assert walk(bytes(buffer[: max(0, expected[-1] - 1)])).offsets == (expected[:-1] or [0])


def test_what_no_record_follows_is_not_passed_over() -> None:
    assert resound(b"x" * 200, 1) is None
    assert resound(b"", 0) is None
    # A header that promises more than there is, is none.
    assert resound(b"x" + struct.pack("<QI", 5000, masked_crc(struct.pack("<Q", 5000))), 0) is None
