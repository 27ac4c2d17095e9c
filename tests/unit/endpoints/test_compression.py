"""What is packed comes back whole or not at all, and is packed only where the client takes it and it pays."""

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.endpoints.compression import WORTH_PACKING, chosen, packed, unpacked


def bare(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


@pytest.mark.parametrize("form", [gzip.compress, zlib.compress, bare])
def test_a_body_is_unpacked_whole_or_refused(form: Callable[[bytes], bytes]) -> None:
    body = b"row after row " * 100
    sent = form(body)
    assert unpacked(sent, len(body)) == body
    assert unpacked(sent, len(body) - 1) is None, "longer than allowed"
    for cut in (1, len(sent) // 2):
        with pytest.raises(zlib.error):
            unpacked(sent[:-cut], len(body))
    assert unpacked(form(bytes(50_000_000)), 1000) is None, "a bomb is not unpacked further than the limit"


@given(st.binary(max_size=50))
def test_no_bytes_make_it_fail_in_another_way(body: bytes) -> None:
    try:
        whole = unpacked(body, 100)
    except zlib.error:
        return
    assert whole is None or len(whole) <= 100


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate, br", "gzip"),
        ("deflate;q=1, gzip;q=0.5", "deflate"),
        ("gzip;q=0", ""),
        ("identity", ""),
        ("*", "gzip"),
        ("*;q=0", ""),
        ("gzip;q=x, deflate", "deflate"),
        ("", ""),
    ],
)
def test_the_client_says_what_it_takes(accepted: str, encoding: str) -> None:
    assert chosen(accepted) == encoding
    body = b"x" * WORTH_PACKING
    sent, said = packed(body, {"accept-encoding": accepted})
    assert said == encoding
    assert (unpacked(sent, len(body)) if said else sent) == body
    assert packed(body[:-1], {"accept-encoding": accepted}) == (body[:-1], "")
