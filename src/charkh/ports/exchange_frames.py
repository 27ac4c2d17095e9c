"""How parts of segments travel: each in a frame, and one more frame at the end, so that a break is told from an end."""

from collections.abc import Iterable, Iterator

import msgspec

from charkh.core.errors import Corrupt, Unavailable
from charkh.core.frames import encode_frame, scan_frames
from charkh.ports.exchange import Part, check_facts, portions

END = encode_frame(b"end")
PORTION = 4 * 1024 * 1024
"""About so many bytes travel in one frame, and in one request."""


def encode_parts(parts: Iterable[Part]) -> Iterator[bytes]:
    """Parts as frames, a long one in several, and the frame that says that there are no more."""
    for part in parts:
        for some in portions([part], PORTION):
            yield from (encode_frame(msgspec.msgpack.encode(each)) for each in some)
    yield END


def decode_parts(chunks: Iterable[bytes]) -> Iterator[Part]:
    """The parts in a stream of bytes, as they come.

    Raises:
        Unavailable: the stream ends before it is complete.
        Corrupt: something in it is no part; those before it were given.
        Invalid: a payload is none that a fact can have.
    """
    waiting = b""
    for chunk in chunks:
        waiting += chunk
        scan = scan_frames(waiting)
        for frame in scan.frames:
            if frame.payload == b"end":
                return
            yield _part(frame.payload)
        if scan.damaged:
            raise _no_parts()
        waiting = waiting[scan.end :]
    raise Unavailable(
        "the facts broke off in the middle",
        code="exchange.broken_off",
        hint="Run it again: what was taken is kept.",
    )


def _part(payload: bytes) -> Part:
    try:
        part = msgspec.msgpack.decode(payload, type=Part)
    except msgspec.MsgspecError as error:
        raise _no_parts() from error
    check_facts(part)
    return part


def _no_parts() -> Corrupt:
    return Corrupt(
        "what was sent as facts cannot be read",
        code="exchange.bad_frames",
        hint="Look whether a charkh of about the same age is at the other end, and run it again.",
    )
