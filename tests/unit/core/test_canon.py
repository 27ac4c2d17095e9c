"""Equal values have equal bytes, and what JSON cannot say is refused rather than bent."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.canon import canonical_json
from charkh.core.errors import Invalid

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def shuffled(value: Any, order: Any) -> Any:
    """The same value with every dictionary built in another order."""
    if isinstance(value, dict):
        keys = list(value)
        order.shuffle(keys)
        return {key: shuffled(value[key], order) for key in keys}
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@given(JSON, st.randoms(use_true_random=False))
def test_the_order_of_a_dictionary_does_not_matter(value: Any, order: Any) -> None:
    assert canonical_json(shuffled(value, order)) == canonical_json(value)


@given(JSON)
def test_what_was_written_is_read(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


def test_bytes_are_as_the_format_says() -> None:
    assert canonical_json({"b": [1, 0.1, None], "a": "é"}) == '{"a":"é","b":[1,0.1,null]}'.encode()


class Point(msgspec.Struct, frozen=True):
    y: float
    x: float


def test_a_struct_is_written_with_its_names_in_order() -> None:
    assert canonical_json(Point(y=1.0, x=2.5)) == b'{"x":2.5,"y":1.0}'


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "shape", [lambda n: n, lambda n: [None, n], lambda n: {"a": {"b": (n,)}}, lambda n: Point(1.0, n)]
)
def test_a_number_that_json_lacks_is_refused_and_not_written_as_null(number: float, shape: Any) -> None:
    with pytest.raises(Invalid) as caught:
        canonical_json(shape(number))
    assert caught.value.code == "value.not_json"


@pytest.mark.parametrize("value", [object(), {1: 2}, {("a",): 1}, "\ud800", 1j])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(Invalid, match="JSON"):
        canonical_json(value)
