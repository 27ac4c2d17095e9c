"""Errors over HTTP: problem details (RFC 9457), and one status a class. No framework is loaded for them."""

from typing import Any

import msgspec

from charkh.core.errors import (
    Bug,
    CharkhError,
    Conflict,
    Corrupt,
    Denied,
    GateRefused,
    Incomplete,
    Invalid,
    Locked,
    NotFound,
    Throttled,
    Unauthenticated,
    Unavailable,
)

STATUSES: dict[type[CharkhError], int] = {
    CharkhError: 500,
    Invalid: 400,
    Denied: 403,
    Unauthenticated: 401,
    NotFound: 404,
    Conflict: 409,
    GateRefused: 422,
    Locked: 423,
    Incomplete: 424,
    Bug: 500,
    Corrupt: 502,
    Unavailable: 503,
    Throttled: 429,
}

MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Problem details.

    Attributes:
        type: the error's stable code, as a URN.
        title: what happened.
        status: the HTTP status.
        detail: what to do next.
        instance: a short id; the log has the same.
        facts: machine-readable details.
    """

    type: str
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    facts: dict[str, Any] = {}


def status_of(error: CharkhError) -> int:
    """The HTTP status of an error, by its class."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
