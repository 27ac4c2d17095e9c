"""The view of what was erased: asked for rarely, at once after `forget`, and never followed in a circle."""

from collections.abc import Mapping

import pytest

from charkh.assets.erasures import ErasedDigests, refuse_erased, replacement

A, B, C = (bytes([number]) * 32 for number in (1, 2, 3))


def test_it_is_asked_again_only_after_a_while() -> None:
    asked: list[None] = []

    def ask() -> Mapping[str, str]:
        asked.append(None)
        return {A.hex(): B.hex(), C.hex(): ""}

    erased = ErasedDigests(ask)
    assert erased.now() == erased.now() == {A: B, C: b""}
    assert len(asked) == 1
    erased.forget()
    erased.now()
    assert len(asked) == 2


@pytest.mark.parametrize(("start", "end"), [(A, b""), (B, b""), (C, C)])
def test_replacements_are_followed(start: bytes, end: bytes) -> None:
    assert replacement(start, {A: B, B: b""}) == end


def test_a_circle_is_nothing() -> None:
    circle = {A: B, B: C, C: B}
    assert [replacement(digest, circle) for digest in (A, B, C)] == [b""] * 3


def test_a_long_chain_is_followed_to_its_end() -> None:
    chain = {number.to_bytes(32): (number + 1).to_bytes(32) for number in range(1000)}
    assert replacement(bytes(32), chain) == (1000).to_bytes(32)


def test_the_refusal_says_what_to_do() -> None:
    error = refuse_erased(A)
    assert error.code == "asset.erased"
    assert A.hex()[:16] in error.message
    assert error.hint
