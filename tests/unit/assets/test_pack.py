"""The pack format: what is written is read, and not one flipped bit passes."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.assets.pack import (
    CHUNK,
    HEADER,
    NEWER,
    NODE,
    RAW,
    RECORD,
    TRAILER,
    ZSTD,
    Record,
    build_pack,
    check_pack,
    footer_size,
    open_record,
    pays,
    read_footer,
    record_digest,
    scan_records,
)
from charkh.core.digests import digest_of, node_digest_of
from charkh.core.errors import Corrupt
from charkh.testing.vaults import sample_bytes, sample_table


def record(data: bytes, kind: int = CHUNK, squeeze: bool = True) -> Record:
    return Record(record_digest(kind, data), kind, data, squeeze)


def some_records() -> list[Record]:
    return [
        record(b""),
        record(b"a" * 5000),
        record(sample_bytes(3000)),
        record(sample_table(50), NODE),
        record(b"plain text", squeeze=False),
    ]


def whole(records: list[Record]) -> tuple[str, bytes]:
    pack = build_pack(records)
    return pack.name, b"".join(pack.parts)


records = st.lists(
    st.builds(record, st.binary(max_size=2000), st.sampled_from([CHUNK, NODE]), st.booleans()), max_size=20
)


@given(records)
def test_a_pack_gives_its_records_back(given_records: list[Record]) -> None:
    name, data = whole(given_records)
    entries = read_footer(data, name)
    assert [entry.digest for entry in entries] == [item.digest for item in given_records]
    for entry, item in zip(entries, given_records, strict=True):
        stored = data[entry.offset : entry.offset + entry.stored]
        assert open_record(entry.kind, entry.codec, entry.raw, entry.digest, stored, name) == item.data
    assert list(scan_records(data[: len(data) - footer_size(data, name)])) == entries
    check_pack(data, name)


def test_a_footer_is_read_from_the_end_alone() -> None:
    name, data = whole(some_records())
    tail = data[-footer_size(data[-TRAILER.size :], name) :]
    assert len(tail) < len(data)
    assert read_footer(tail, name) == read_footer(data, name)
    with pytest.raises(Corrupt):
        read_footer(tail[1:], name)


def test_what_does_not_shrink_is_stored_as_it_is() -> None:
    _name, data = whole(some_records())
    codecs = [entry.codec for entry in read_footer(data, _name)]
    assert codecs == [RAW, ZSTD, RAW, ZSTD, RAW]
    assert pays(sample_table(100))
    assert not pays(sample_bytes(1000))


def test_nodes_and_chunks_of_equal_bytes_have_names_of_their_own() -> None:
    assert record_digest(CHUNK, b"x").hex() == digest_of(b"x")
    assert record_digest(NODE, b"x").hex() == node_digest_of(b"x")


def test_every_flipped_bit_is_found() -> None:
    name, data = whole(some_records())
    source = random.Random(1)
    for _ in range(200):
        damaged = bytearray(data)
        damaged[source.randrange(len(data))] ^= 1 << source.randrange(8)
        with pytest.raises(Corrupt) as raised:
            check_pack(bytes(damaged), name)
        assert raised.value.facts["pack"] == name
        assert raised.value.hint


@given(st.data())
def test_a_cut_or_lengthened_pack_is_found(data: st.DataObject) -> None:
    name, pack = whole(some_records())
    kept = data.draw(st.integers(0, len(pack) - 1))
    for changed in (pack[:kept], pack + b"\0", pack[:kept] + b"\0" + pack[kept:]):
        with pytest.raises(Corrupt):
            check_pack(changed, name)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_without_harm(data: bytes) -> None:
    list(scan_records(data))
    with pytest.raises(Corrupt):
        check_pack(data, digest_of(data))


def test_a_frame_that_claims_more_than_its_record_is_not_unpacked() -> None:
    bomb = build_pack([record(bytes(1_000_000))])
    (entry,) = bomb.entries
    stored = b"".join(bomb.parts)[entry.offset : entry.offset + entry.stored]
    with pytest.raises(Corrupt, match="size is not what"):
        open_record(CHUNK, ZSTD, 10, entry.digest, stored, bomb.name)


@pytest.mark.parametrize(("codec", "stored"), [(7, b"x"), (ZSTD, b"no frame"), (RAW, b"y"), (RAW, b"")])
def test_a_record_that_is_something_else_names_digest_and_pack(codec: int, stored: bytes) -> None:
    digest = record_digest(CHUNK, b"x")
    with pytest.raises(Corrupt) as raised:
        open_record(CHUNK, codec, 1, digest, stored, "f" * 64)
    assert digest.hex() in raised.value.message
    assert "f" * 64 in raised.value.message


def test_records_are_scanned_up_to_the_first_that_is_none() -> None:
    _name, data = whole(some_records())
    entries = read_footer(data, _name)
    third = entries[2].offset - RECORD.size
    assert list(scan_records(data[:third] + b"\xff" + data[third + 1 :])) == entries[:2]
    assert list(scan_records(data[: HEADER.size])) == []


def test_the_layout_is_the_documented_one() -> None:
    pack: Any = build_pack([record(b"abc", squeeze=False)])
    data = b"".join(pack.parts)
    assert data[:16] == b"charkhPK" + b"\x01\0" + b"\0\0" + b"\0\0\0\0"
    assert data[16:60] == b"\x01\x00\0\0" + b"\x03\0\0\0" * 2 + bytes.fromhex(digest_of(b"abc"))
    assert data[60:63] == b"abc"
    footer = data[63:-16]
    assert footer == bytes.fromhex(digest_of(b"abc")) + b"\x01\x00\0\0" + b"\x3c\0\0\0" + b"\x03\0\0\0" * 2 + b"\0" * 4
    assert data[-16:-12] == b"\x01\0\0\0"
    assert data[-8:] == b"\x01\0charkh"
    assert pack.name == digest_of(footer)


def test_a_pack_of_a_later_version_is_named_as_such_from_its_end() -> None:
    name, data = whole(some_records())
    later = data[:-8] + b"\x02\0charkh"
    with pytest.raises(Corrupt, match="version 2") as raised:
        read_footer(later[-100:], name)
    assert raised.value.code == NEWER
    assert "pgrade" in raised.value.hint


@pytest.mark.parametrize(("kind", "codec"), [(3, RAW), (0, RAW), (CHUNK, 2)])
def test_a_record_of_a_later_kind_is_named_as_such(kind: int, codec: int) -> None:
    with pytest.raises(Corrupt, match="does not know") as raised:
        open_record(kind, codec, 1, record_digest(CHUNK, b"x"), b"x", "f" * 64)
    assert raised.value.code == NEWER
