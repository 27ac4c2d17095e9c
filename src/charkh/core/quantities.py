"""Durations and sizes as people write them: `45d`, `512MiB`. No I/O."""

import re

from charkh.core.errors import Invalid

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def parse_duration(text: str) -> float:
    """Seconds in `45d`, `7d`, `12h`, `30s`.

    Raises:
        Invalid: not a number with a unit.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise Invalid(
            f"{text!r} is not a duration",
            code="config.invalid",
            hint="Write a number and a unit: 500ms, 30s, 5m, 12h, 7d or 2w.",
        )
    return float(match[1]) * _SECONDS[match[2]]


_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|[kKMGT]i?B)")
_POWERS = {"k": 1, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_size(text: str) -> int:
    """Bytes in `10GB`, `512MiB`, `4kB`; `MB` counts in thousands, `MiB` in 1024s.

    Raises:
        Invalid: not a number with a unit.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise Invalid(
            f"{text!r} is not a size",
            code="config.invalid",
            hint="Write a number and a unit: 512MB, 10GB, 4GiB.",
        )
    return int(float(match[1]) * (1024 if "i" in match[2] else 1000) ** _POWERS.get(match[2][0], 0))
