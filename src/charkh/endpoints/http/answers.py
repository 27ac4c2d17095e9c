"""The bytes of an answer in HTTP/1.1 (RFC 9112). No I/O."""

import time
from email.utils import formatdate
from http import HTTPStatus

from charkh.endpoints.route import Reply

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Date:
    """The header that says when an answer was given, made once a second (RFC 9110, section 6.6.1)."""

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def __call__(self) -> bytes:
        """Its line."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = b"date: %s\r\n" % formatdate(second, usegmt=True).encode()
        return self._line


_STATUS = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}
_TYPE = b"content-type: application/json\r\n"
_date = Date()


def answer_bytes(reply: Reply, *, connection: bytes = b"", body: bool = True) -> bytes:
    """An answer as it is sent; its type is JSON where its headers name no other.

    Args:
        reply: what is answered.
        connection: what the `Connection` header says; empty for none.
        body: whether the client asked for it, as all do but those of `HEAD`.
    """
    parts = [_STATUS[reply.status], _date(), b"content-length: %d\r\n" % len(reply.body)]
    typed = False
    for name, value in reply.headers:
        parts.append(f"{name}: {value}\r\n".encode())
        typed = typed or name == "content-type"
    if not typed:
        parts.append(_TYPE)
    if connection:
        parts.append(b"connection: %s\r\n" % connection)
    parts.append(b"\r\n")
    if body:
        parts.append(reply.body)
    return b"".join(parts)
