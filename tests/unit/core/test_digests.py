"""Digests are BLAKE3, and a tree node can never pass for a file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.digests import digest_of, node_digest_of, parse_digest
from charkh.core.errors import Invalid


def test_the_digest_is_blake3() -> None:
    assert digest_of(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


@given(st.binary(max_size=300))
def test_a_node_is_never_a_file(data: bytes) -> None:
    assert digest_of(data) != node_digest_of(data)
    assert parse_digest(digest_of(data)) == digest_of(memoryview(data)) == digest_of(bytearray(data))


@pytest.mark.parametrize("text", ["", "ab", "A" * 64, "g" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n", "../" + "0" * 61])
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(Invalid, match="not a digest"):
        parse_digest(text)
