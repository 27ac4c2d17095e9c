"""What `charkh.toml` says about columns that the prediction log must not hold as they are. Pure data, no I/O."""

from typing import Literal

import msgspec

from charkh.core.errors import Invalid

MAX_KEPT = 64
Way = Literal["drop", "hash", "truncate"]


class Mask(msgspec.Struct, frozen=True):
    """How one column is recorded.

    Attributes:
        way: `drop` leaves it out; `hash` puts a keyed digest in the place of each value, so that equal values stay
            equal; `truncate` keeps the beginning.
        kept: of `truncate`: characters of a text, decimal places of a number with fractions, leading digits of
            a whole one.
    """

    way: Way
    kept: int = 0


def parse_mask(text: str) -> Mask:
    """`drop`, `hash` or `truncate:3`.

    Raises:
        Invalid: it is none of them.
    """
    way, colon, kept = text.partition(":")
    if way == "drop" and not colon:
        return Mask("drop")
    if way == "hash" and not colon:
        return Mask("hash")
    if way == "truncate" and kept.isascii() and kept.isdigit() and int(kept) <= MAX_KEPT:
        return Mask("truncate", int(kept))
    raise Invalid(
        f"{text!r} is no mask",
        code="config.invalid",
        hint=f'Write "drop", "hash" or "truncate:3" (at most {MAX_KEPT}).',
    )
