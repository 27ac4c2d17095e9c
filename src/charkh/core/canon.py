"""Canonical bytes of a value, so that equal values have equal digests on every machine."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

import msgspec

from charkh.core.errors import Invalid

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

_ENCODER = msgspec.json.Encoder(order="sorted")


def canonical_json(value: object) -> bytes:
    """JSON with sorted keys and no spaces; floats by shortest round-trip form.

    Raises:
        Invalid: the value holds something JSON cannot say.
    """
    try:
        encoded = _ENCODER.encode(value)
        # The encoder writes NaN and infinity as null, which would give two values one digest.
        if b"null" in encoded:
            _refuse_non_finite(msgspec.to_builtins(value))
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise Invalid(
            f"cannot write {type(value).__name__} as JSON: {error}",
            code="value.not_json",
            hint="Use numbers, text, booleans, None, lists and dictionaries with text keys.",
        ) from error
    return encoded


def _refuse_non_finite(value: object) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a JSON number")
    if isinstance(value, Mapping):
        for item in cast(Mapping[object, object], value).values():
            _refuse_non_finite(item)
    elif isinstance(value, list | tuple):
        for item in cast(Sequence[object], value):
            _refuse_non_finite(item)
