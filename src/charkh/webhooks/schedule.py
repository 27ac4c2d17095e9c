"""When a delivery is tried again: soon at first, then ever later, for about three days. Pure, no I/O."""

import random

DELAYS = (5.0, 30.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""Seconds between two attempts; after the last it is a dead letter."""
JITTER = 0.2
"""Share by which a delay is longer or shorter, so that many that failed at once do not come back at once."""
LONGEST_ASKED = 86400.0
"""Seconds that a receiver may ask for with Retry-After."""
GONE = 410
"""The status with which a receiver says that it wants nothing more."""


def next_delay(attempts: int, asked: float | None = None, chance: float | None = None) -> float | None:
    """Seconds until the next attempt after so many have failed; None to give up.

    Args:
        attempts: made so far, at least 1.
        asked: seconds that the receiver asks for (Retry-After), or None.
        chance: from 0 to 1, by default at random.
    """
    if attempts > len(DELAYS):
        return None
    share = random.random() if chance is None else chance  # noqa: S311 - spreading load, not a secret
    delay = DELAYS[attempts - 1] * (1 + JITTER * (2 * share - 1))
    return delay if asked is None else max(delay, min(asked, LONGEST_ASKED))


def succeeded(status: int) -> bool:
    """Whether a receiver took it; a redirection is no success and is never followed."""
    return 200 <= status < 300
