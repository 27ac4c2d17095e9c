"""Chain records: exact round trips, and no changed byte goes unnoticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Corrupt
from charkh.stores.chain import GENESIS, RECORD_SIZE, ChainRecord, decode_chain, decode_record, encode_record

RECORDS = st.builds(
    ChainRecord,
    segment=st.binary(min_size=16, max_size=16).map(bytes.hex),
    archive=st.integers(0, 2**32 - 1),
    offset=st.integers(0, 2**63),
    length=st.integers(0, 2**63),
    frames=st.integers(0, 2**32 - 1),
    digest=st.binary(min_size=32, max_size=32),
    previous=st.binary(min_size=32, max_size=32),
)


@given(RECORDS)
def test_a_record_comes_back(record: ChainRecord) -> None:
    assert len(encode_record(record)) == RECORD_SIZE == 108
    assert decode_record(encode_record(record)) == record
    assert record.end == record.offset + record.length


@given(RECORDS, st.integers(0, RECORD_SIZE - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(record: ChainRecord, place: int, change: int) -> None:
    data = bytearray(encode_record(record))
    data[place] ^= change
    with pytest.raises(Corrupt):
        decode_record(bytes(data))


@given(st.lists(RECORDS, max_size=5), st.binary(max_size=RECORD_SIZE - 1))
def test_a_torn_tail_is_not_yet_written(records: list[ChainRecord], tail: bytes) -> None:
    assert list(decode_chain(b"".join(map(encode_record, records)) + tail)) == records


def test_the_layout_is_the_documented_one() -> None:
    record = ChainRecord("0f" * 16, 1, 2, 3, 4, b"\xaa" * 32, GENESIS)
    data = encode_record(record)
    assert data[:40] == b"\x0f" * 16 + b"\1\0\0\0" + b"\2" + bytes(7) + b"\3" + bytes(7) + b"\4\0\0\0"
    assert data[40:104] == b"\xaa" * 32 + bytes(32)
