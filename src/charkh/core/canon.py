"""Canonical bytes of a value, so that equal values have equal digests on every machine."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from charkh.core.errors import Invalid

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

_ENCODER = msgspec.json.Encoder(order="deterministic")


def canonical_json(value: object) -> bytes:
    """JSON with sorted keys and no spaces; floats by shortest round-trip form.

    Raises:
        Invalid: the value holds something JSON cannot say.
    """
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise Invalid(
            f"cannot write {type(value).__name__} as JSON: {error}",
            code="value.not_json",
            hint="Use numbers, text, booleans, None, lists and dictionaries with text keys.",
        ) from error
