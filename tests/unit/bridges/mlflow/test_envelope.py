"""The envelope of MLflow's protocol: bodies, numbers, errors."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.bridges.mlflow.envelope import (
    STATUSES,
    MlflowError,
    decode_body,
    decode_query,
    encode_answer,
    encode_error,
    number,
    translated,
)
from charkh.core.errors import Conflict, Denied, Invalid, NotFound, Throttled, Unauthenticated, Unavailable


def test_a_body_may_be_encoded_twice_or_missing() -> None:
    assert decode_body(b'{"a": [1, null]}') == {"a": [1, None]}
    assert decode_body(json.dumps(json.dumps({"a": 1})).encode()) == {"a": 1}
    assert decode_body(b"") == decode_body(b" \n") == decode_body(b"null") == {}


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_a_body_is_fields_or_refused(raw: bytes) -> None:
    try:
        assert isinstance(decode_body(raw), dict)
    except MlflowError as error:
        assert error.status == 400


def test_what_json_cannot_say_is_a_word() -> None:
    shown = [number(value) for value in (math.nan, math.inf, -math.inf, 0.5)]
    assert shown == ["NaN", "Infinity", "-Infinity", 0.5]
    assert (
        encode_answer({"value": shown[1], "step": (1 << 63) - 1}) == b'{"value":"Infinity","step":9223372036854775807}'
    )
    assert encode_answer(None) == b"{}"


def test_a_key_of_a_query_may_stand_several_times() -> None:
    assert decode_query(b"run_id=a&run_id=b&key=x%20y&empty=") == {"run_id": ["a", "b"], "key": ["x y"], "empty": [""]}
    with pytest.raises(MlflowError):
        decode_query(b"&".join(b"a=1" for _ in range(5001)))


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (Invalid("x"), "INVALID_PARAMETER_VALUE", 400),
        (NotFound("x"), "RESOURCE_DOES_NOT_EXIST", 404),
        (Conflict("x"), "RESOURCE_CONFLICT", 409),
        (Unauthenticated("x"), "UNAUTHENTICATED", 401),
        (Denied("x"), "PERMISSION_DENIED", 403),
        (Throttled("x"), "REQUEST_LIMIT_EXCEEDED", 429),
        (Unavailable("x", hint="Wait."), "TEMPORARILY_UNAVAILABLE", 503),
    ],
)
def test_an_error_has_the_shape_that_clients_read(error: Exception, code: str, status: int) -> None:
    told = translated(error)  # type: ignore[arg-type]
    body = json.loads(encode_error(told))
    assert (body["error_code"], told.status) == (code, status)
    assert body["message"].startswith("x")


def test_no_code_is_without_a_status() -> None:
    assert MlflowError("FEATURE_DISABLED", "").status == 500
    assert all(400 <= status < 600 for status in STATUSES.values())
