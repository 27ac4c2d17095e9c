"""Check digits: known numbers hold, and every single wrong digit is seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.checks.trouble.checksums import gstin, luhn, mod97, national_code, verhoeff


@pytest.mark.parametrize(
    ("holds", "text"),
    [
        (luhn, "4111111111111111"),
        (luhn, "378282246310005"),
        (mod97, "GB82WEST12345698765432"),
        (mod97, "DE89370400440532013000"),
        (verhoeff, "2363"),
        (national_code, "0013542419"),
        (gstin, "27AAPFU0939F1ZV"),
    ],
)
def test_numbers_that_their_makers_publish(holds: object, text: str) -> None:
    assert holds(text) is True  # type: ignore[operator]


@given(st.text("0123456789", min_size=11, max_size=18), st.integers(0, 100), st.integers(1, 9))
def test_a_wrong_digit_is_seen(digits: str, place: int, shift: int) -> None:
    for holds in (luhn, verhoeff):
        for last in "0123456789":
            whole = digits + last
            if not holds(whole):
                continue
            at = place % len(whole)
            wrong = whole[:at] + str((int(whole[at]) + shift) % 10) + whole[at + 1 :]
            assert not holds(wrong), holds.__name__


@given(st.text("0123456789", min_size=9, max_size=9))
def test_at_most_one_check_digit_holds(digits: str) -> None:
    assert sum(national_code(digits + last) for last in "0123456789") <= 1
