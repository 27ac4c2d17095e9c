"""Cutting by content: chunks add up, sizes hold, and an edit moves only the cuts beside it."""

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.assets.cutting import BLOCK, GENERAL, MEDIA, TABLE, Cut, cut_blocks, cut_for, suffix_of
from charkh.core.digests import digest_of
from charkh.testing.vaults import sample_bytes, sample_table


def cut(data: bytes, how: Cut = TABLE) -> list[bytes]:
    chunks: list[bytes] = []
    for content, parts in cut_blocks(BytesIO(data).readinto, how):
        assert bytes(content) == b"".join(parts)
        chunks += [bytes(part) for part in parts]
    return chunks


@pytest.mark.parametrize("how", [TABLE, GENERAL, MEDIA])
@pytest.mark.parametrize("size", [1, 70_000, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 12_345])
def test_chunks_add_up(how: Cut, size: int) -> None:
    data = sample_bytes(size, size)
    chunks = cut(data, how)
    assert b"".join(chunks) == data
    assert all(how.smallest <= len(chunk) <= how.largest for chunk in chunks[:-1])
    assert 0 < len(chunks[-1]) <= how.largest


def test_nothing_has_no_chunks() -> None:
    assert cut(b"") == []


@settings(max_examples=20)
@given(st.integers(1, 100_000), st.integers(0, 2**32))
def test_cuts_do_not_depend_on_how_much_a_read_gives(step: int, seed: int) -> None:
    data = sample_bytes(300_000, seed)
    stream = BytesIO(data)
    trickled = [
        bytes(part)
        for block in cut_blocks(lambda buffer: stream.readinto(buffer[:step]), TABLE)
        for part in block.chunks
    ]
    assert trickled == cut(data)


def test_cuts_do_not_depend_on_where_blocks_end() -> None:
    data = sample_bytes(BLOCK + 3_000_000)
    shifted = cut(data[1_000_000:], TABLE)
    known = {digest_of(chunk) for chunk in cut(data, TABLE)}
    again = sum(digest_of(chunk) in known for chunk in shifted)
    assert again >= len(shifted) - 3


def test_appended_rows_change_one_chunk() -> None:
    before = sample_table(60_000)
    after = before + sample_table(600, 1)
    known = {digest_of(chunk) for chunk in cut(before)}
    new = [chunk for chunk in cut(after) if digest_of(chunk) not in known]
    assert sum(map(len, new)) < len(after) - len(before) + 2 * TABLE.largest


def test_a_row_in_the_middle_changes_its_neighbourhood() -> None:
    rows = sample_table(60_000).splitlines(keepends=True)
    before, after = b"".join(rows), b"".join([*rows[:30_000], b"one more row\n", *rows[30_000:]])
    known = {digest_of(chunk) for chunk in cut(before)}
    assert sum(len(chunk) for chunk in cut(after) if digest_of(chunk) not in known) < 3 * TABLE.largest


@pytest.mark.parametrize(
    ("name", "suffix", "how"),
    [
        ("a.csv", "csv", TABLE),
        ("dir.d/a.CSV", "csv", TABLE),
        ("a.parquet", "parquet", TABLE),
        ("a.tar.gz", "gz", MEDIA),
        ("photo.JPG", "jpg", MEDIA),
        ("places.geojson", "geojson", TABLE),
        ("film.mpeg", "mpeg", MEDIA),
        ("weights.safetensors", "safetensors", GENERAL),
        # NumPy's own archive is not compressed unless somebody asks for it.
        ("arrays.npz", "npz", GENERAL),
        ("dir.csv/README", "", GENERAL),
        (".csv", "", GENERAL),
        ("a.", "", GENERAL),
        ("", "", GENERAL),
    ],
)
def test_the_suffix_says_how(name: str, suffix: str, how: Cut) -> None:
    assert suffix_of(name) == suffix
    assert cut_for(suffix) is how


def test_the_cuts_belong_to_the_format() -> None:
    """Other cuts would store everything again: a change here needs a new version of docs/formats/packs.md."""
    assert [len(chunk) for chunk in cut(sample_table(3_000))] == TABLE_CUTS
    assert [len(chunk) for chunk in cut(sample_bytes(400_000), GENERAL)] == GENERAL_CUTS


TABLE_CUTS = [25691, 27642, 12711, 5240, 23426, 200]
GENERAL_CUTS = [17431, 66731, 139593, 95160, 81085]
