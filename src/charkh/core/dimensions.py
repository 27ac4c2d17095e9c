"""Dimensions: what a search may choose for one value, as a default that stands in a `Params` class or in a mapping."""

import math
from collections.abc import Sequence
from typing import TypeVar, cast

import msgspec

from charkh.core.errors import Invalid

Scalar = bool | int | float | str | None
T = TypeVar("T")


class Dimension(msgspec.Struct, frozen=True, kw_only=True):
    """The values that a search may choose for one field.

    Attributes:
        default: the value without a search.
        low: smallest value, inclusive; None for choices.
        high: greatest value, inclusive; None for choices.
        step: distance between values, or None.
        log: search by orders of magnitude.
        choices: the values, where they are listed.
    """

    default: Scalar
    low: int | float | None = None
    high: int | float | None = None
    step: int | float | None = None
    log: bool = False
    choices: tuple[Scalar, ...] = ()

    @property
    def integral(self) -> bool:
        """Whether it has whole numbers only."""
        numbers = (self.default, self.low, self.high, *([self.step] if self.step is not None else []))
        return not self.choices and all(isinstance(number, int) for number in numbers)


def search(
    default: T,
    *,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    log: bool = False,
    choices: Sequence[T] = (),
) -> T:
    """A default that a search may vary; without a search the field is simply `default`.

    Args:
        default: the value without a search, itself one that a search may choose.
        low: smallest value, inclusive.
        high: greatest value, inclusive.
        step: distance between values.
        log: search by orders of magnitude; `low` is then positive, and there is no step.
        choices: the values instead of a range; `(False, True)` for a boolean default.

    Raises:
        Invalid: the range is empty or no range of numbers, or the default lies outside it.
    """
    listed = tuple(cast(Sequence[Scalar], choices))
    if isinstance(default, bool) and not listed and low is None and high is None:
        listed = (False, True)
    dimension = Dimension(default=cast(Scalar, default), low=low, high=high, step=step, log=log, choices=listed)
    check_dimension(dimension)
    return cast(T, dimension)


def check_dimension(dimension: Dimension, path: str = "search") -> None:
    """Refuse a range that is empty or no range of numbers, and a default that lies outside it.

    Raises:
        Invalid: it names `path`.
    """
    low, high, default = dimension.low, dimension.high, dimension.default
    if dimension.choices:
        if low is not None or high is not None or dimension.log or dimension.step is not None:
            raise wrong_param(f"{path}: choices and a range exclude one another", "Give one of the two.")
        if not any(default == choice and type(default) is type(choice) for choice in dimension.choices):
            raise wrong_param(f"{path}: the default {default!r} is none of the choices", "Add it to the choices.")
        return
    numbers = [low, high, default]
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
        raise wrong_param(
            f"{path}: a search needs numbers low and high, or choices", "Write search(0.1, low=0.01, high=1)."
        )
    first, last, value = cast(list[float], numbers)
    if not (math.isfinite(first) and math.isfinite(last) and first < last):
        raise wrong_param(f"{path}: the range from {first} to {last} is empty", "Let low be less than high.")
    if not first <= value <= last:
        raise wrong_param(f"{path}: the default {value} lies outside {first} to {last}", "Widen the range.")
    if dimension.step is not None and dimension.step <= 0:
        raise wrong_param(f"{path}: the step {dimension.step} is not positive", "Leave it out or give a positive one.")
    if dimension.log and (first <= 0 or dimension.step is not None):
        raise wrong_param(f"{path}: a search by orders of magnitude begins above 0 and has no step", "Raise low.")


def wrong_param(message: str, hint: str, field: str = "") -> Invalid:
    """The error for a value, a field or a range that params cannot have."""
    return Invalid(message, code="params.invalid", hint=hint, facts={"field": field} if field else None)
