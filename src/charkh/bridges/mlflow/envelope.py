"""The envelope of MLflow's REST protocol: bodies, numbers that JSON cannot say, and the shape of errors.

Facts of the wire, as MLflow's clients 2.22 and 3.17 send and read them: 64-bit integers are JSON numbers, NaN and
the infinities are the strings `NaN`, `Infinity` and `-Infinity`, a field that is not set is absent, a body may be a
JSON string that holds JSON (old clients), and an error is a status with `{"error_code", "message"}`.
"""

import math
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec

from charkh.core.errors import (
    CharkhError,
    Conflict,
    Corrupt,
    Denied,
    GateRefused,
    Invalid,
    Locked,
    NotFound,
    Throttled,
    Unauthenticated,
    Unavailable,
)

INVALID = "INVALID_PARAMETER_VALUE"
EXISTS = "RESOURCE_ALREADY_EXISTS"
MISSING = "RESOURCE_DOES_NOT_EXIST"
BAD_REQUEST = "BAD_REQUEST"
UNAUTHENTICATED = "UNAUTHENTICATED"
DENIED = "PERMISSION_DENIED"
INVALID_STATE = "INVALID_STATE"
INTERNAL = "INTERNAL_ERROR"
NOT_IMPLEMENTED = "NOT_IMPLEMENTED"
UNAVAILABLE = "TEMPORARILY_UNAVAILABLE"
TOO_MANY = "REQUEST_LIMIT_EXCEEDED"

STATUSES: Mapping[str, int] = {
    INVALID: 400,
    EXISTS: 400,
    BAD_REQUEST: 400,
    UNAUTHENTICATED: 401,
    "CUSTOMER_UNAUTHORIZED": 401,
    DENIED: 403,
    MISSING: 404,
    "NOT_FOUND": 404,
    "ENDPOINT_NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "RESOURCE_CONFLICT": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    TOO_MANY: 429,
    INTERNAL: 500,
    INVALID_STATE: 500,
    NOT_IMPLEMENTED: 501,
    UNAVAILABLE: 503,
}
"""HTTP statuses of error codes. Clients send again on 408, 429, 500, 502, 503 and 504, for minutes."""

_CODES: tuple[tuple[type[CharkhError], str], ...] = (
    (Invalid, INVALID),
    (NotFound, MISSING),
    (Conflict, "RESOURCE_CONFLICT"),
    (Locked, UNAVAILABLE),
    (Unauthenticated, UNAUTHENTICATED),
    (Denied, DENIED),
    (GateRefused, DENIED),
    (Corrupt, "BAD_REQUEST"),
    (Throttled, TOO_MANY),
    (Unavailable, UNAVAILABLE),
)
"""What an error of charkh is for an MLflow client; damaged bytes stay damaged, so that nobody asks again for them."""

MAX_FIELDS = 5000
"""Parameters of a query string; its length is bounded at the door."""

_SPELLED = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class MlflowError(Exception):
    """An error in MLflow's own words.

    Args:
        code: one of `STATUSES`.
        message: what MLflow's own server says in this case; many programs compare it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUSES.get(self.code, 500)


def invalid(message: str) -> MlflowError:
    """`INVALID_PARAMETER_VALUE`, the most frequent one."""
    return MlflowError(INVALID, message)


def translated(error: CharkhError) -> MlflowError:
    """An error of charkh as an MLflow client reads it: the hint stands behind the message."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), INTERNAL)
    return MlflowError(code, f"{error.message} {error.hint}".strip())


def encode_error(error: MlflowError) -> bytes:
    """The body of an error."""
    return _encode({"error_code": error.code, "message": error.message})


def encode_answer(answer: object) -> bytes:
    """The body of an answer: a struct or dictionary whose doubles went through `number`."""
    return _encode({} if answer is None else answer)


def decode_body(raw: bytes) -> dict[str, Any]:
    """The fields of a JSON body; none where it is empty.

    Raises:
        MlflowError: it is no JSON object.
    """
    if not raw or raw.isspace():
        return {}
    try:
        found: Any = _decode(raw)
        if isinstance(found, str):
            # Old clients encode their JSON twice.
            found = _decode(found)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MlflowError(BAD_REQUEST, f"The request body is no JSON: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise MlflowError(BAD_REQUEST, "The request body is no JSON object.")
    return cast(dict[str, Any], found)


def decode_query(raw: bytes) -> dict[str, list[str]]:
    """The parameters of a query string; a repeated key has several values.

    Raises:
        MlflowError: there are too many.
    """
    if not raw:
        return {}
    found: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise invalid(f"The query string cannot be read: {error}") from error
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def number(value: float) -> float | str:
    """A double as it stands in an answer."""
    return value if math.isfinite(value) else _SPELLED[str(float(value))]
