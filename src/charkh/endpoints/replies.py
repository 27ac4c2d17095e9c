"""What a client is told that gets no prediction, and a long answer as the client takes it."""

import logging

import msgspec

from charkh.core.errors import CharkhError, Denied, Invalid, Locked, NotFound, Unavailable
from charkh.core.ids import new_id
from charkh.endpoints.compression import ENCODING, packed
from charkh.endpoints.door import Headers
from charkh.endpoints.route import Reply
from charkh.endpoints.servable import Servable

_STATUSES: tuple[tuple[type[CharkhError], int], ...] = (
    (Invalid, 400),
    (Denied, 403),
    (NotFound, 404),
    (Locked, 503),
    (Unavailable, 503),
)
_log = logging.getLogger("charkh")
_encode = msgspec.json.Encoder().encode


def packed_reply(reply: Reply, headers: Headers) -> Reply:
    """A long answer as the client takes it."""
    body, encoding = packed(reply.body, headers)
    if not encoding:
        return reply
    return Reply(reply.status, body, (*reply.headers, (ENCODING, encoding), ("vary", "accept-encoding")))


def failure(error: CharkhError) -> Reply:
    """The refusal that an error is, with its hint and code."""
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    if status == 500:
        _log.error("inference failed: %s", error)
    retry = (("retry-after", "1"),) if status == 503 else ()
    return Reply(status, _encode({"error": error.message, "hint": error.hint, "code": error.code}), retry)


def refusal(servable: Servable, error: CharkhError) -> Reply:
    """What a client is told whose request got no answer; in the log, unless it is welcome again later."""
    reply = failure(error)
    if reply.status < 503 and servable.log is not None:
        servable.log.failed(error)
    return reply


def broken(servable: Servable, error: Exception) -> Reply:
    """What a client is told whose request broke the model: a number in the log."""
    if servable.log is not None:
        servable.log.failed(error)
    short = new_id()[-8:]
    _log.error("inference of %s failed [%s]", servable.name, short, exc_info=error)
    return Reply(500, error_body(f"the model failed; the server's log has it under [{short}]"))


def ending() -> Reply:
    """The server takes no more requests."""
    return again("the server is shutting down")


def again(why: str) -> Reply:
    """Not now; the client may come again after a second."""
    return Reply(503, error_body(why), (("retry-after", "1"),))


def error_body(message: str) -> bytes:
    """The protocol's body of a refusal."""
    return _encode({"error": message})
