"""Bodies in gzip and deflate, both ways. No I/O."""

import gzip
import zlib

from charkh.endpoints.door import Headers

ENCODING = "content-encoding"
WORTH_PACKING = 16 * 1024
"""Bytes of the shortest answer that is packed: on a shorter one the network saves less than the packing takes."""
LEVEL = 1
"""Of compression: a higher one takes several times as long, for a tenth less."""


def unpacked(body: bytes, limit: int) -> bytes | None:
    """A body in gzip or zlib form, or in the bare deflate that some clients send; None when longer than `limit` bytes.

    Raises:
        zlib.error: it is neither, or it is cut short.
    """
    try:
        return _unpacked(body, limit, zlib.MAX_WBITS | 32)
    except zlib.error:
        return _unpacked(body, limit, -zlib.MAX_WBITS)


def packed(body: bytes, headers: Headers) -> tuple[bytes, str]:
    """A body as the client takes it, and its content encoding; empty where it stays as it is."""
    accepted = headers.get("accept-encoding", "")
    if not accepted or len(body) < WORTH_PACKING:
        return body, ""
    encoding = chosen(accepted)
    if encoding == "gzip":
        return gzip.compress(body, LEVEL, mtime=0), encoding
    return (zlib.compress(body, LEVEL), encoding) if encoding else (body, "")


def chosen(accepted: str) -> str:
    """The encoding that an `Accept-Encoding` prefers: `gzip`, `deflate`, or empty for none (RFC 9110, 12.5.3)."""
    weights: dict[str, float] = {}
    for each in accepted.lower().split(","):
        name, _, weight = each.partition(";")
        weights[name.strip()] = _weight(weight)
    best = max(("gzip", "deflate"), key=lambda name: weights.get(name, weights.get("*", 0.0)))
    return best if weights.get(best, weights.get("*", 0.0)) > 0 else ""


def _unpacked(body: bytes, limit: int, form: int) -> bytes | None:
    stream = zlib.decompressobj(wbits=form)
    whole = stream.decompress(body, limit + 1)
    if len(whole) > limit:
        return None
    if not stream.eof:
        raise zlib.error("it is cut short")
    return whole


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
