"""How much one client may ask in a time, and how guesses of tokens are slowed down: in memory, bounded, forgiving."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

MAX_KEYS = 10_000
"""Clients remembered; of more, those that were silent for longest are forgotten."""
FREE_GUESSES = 10
LONGEST_PAUSE = 60.0
FORGIVEN_AFTER = 900.0

Now = Callable[[], float]
Kept = TypeVar("Kept")


class Throttle:
    """A token bucket for each key: `rate` requests a second for long, `burst` of them at once.

    Args:
        rate: requests a second; 0 for no bound.
        burst: how many may come at once after a silence.
        now: a clock that never runs backwards, in seconds.
    """

    def __init__(self, rate: float, burst: float, now: Now = time.monotonic) -> None:
        self._rate = rate
        self._burst = max(1.0, burst)
        self._now = now
        self._lock = threading.Lock()
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """Take one; 0 where it may pass, else seconds until it may."""
        if not self._rate:
            return 0.0
        with self._lock:
            now = self._now()
            level, since = self._levels.pop(key, (self._burst, now))
            level = min(self._burst, level + (now - since) * self._rate)
            wait = 0.0 if level >= 1.0 else (1.0 - level) / self._rate
            _keep(self._levels, key, (level if wait else level - 1.0, now))
            return wait


class Guesses:
    """Wrong tokens by address: after the first few, each costs a longer pause, up to a minute; silence forgives.

    Args:
        now: a clock that never runs backwards, in seconds.
    """

    def __init__(self, now: Now = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def pause(self, address: str) -> float:
        """Seconds that this address has to wait before its next try; 0 for none."""
        with self._lock:
            times, last = self._wrong.get(address, (0, 0.0))
            since = self._now() - last
            if times <= FREE_GUESSES or since > FORGIVEN_AFTER:
                return 0.0
            return max(0.0, min(LONGEST_PAUSE, 2.0 ** min(times - FREE_GUESSES - 1, 10)) - since)

    def wrong(self, address: str) -> None:
        """Note a wrong token from this address."""
        with self._lock:
            now = self._now()
            times, last = self._wrong.pop(address, (0, now))
            _keep(self._wrong, address, ((times if now - last <= FORGIVEN_AFTER else 0) + 1, now))


def _keep(store: "OrderedDict[str, Kept]", key: str, value: Kept) -> None:
    store[key] = value
    while len(store) > MAX_KEYS:
        store.popitem(last=False)
