"""A hybrid logical clock: wall time that never runs backwards and follows what it has seen.

A reading is one integer, milliseconds since the epoch shifted left by 16 bits plus a counter
(Kulkarni et al., "Logical Physical Clocks", 2014), so readings compare as integers and sort as
time. The clock only breaks ties between concurrent decisions; causality is carried by ids.
"""

import threading
import time

COUNTER_BITS = 16
MAX_SKEW_SECONDS = 60.0


class Clock:
    """Hands out strictly increasing readings; safe to share between threads."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def now(self) -> int:
        """The next reading: at least wall time, more than any reading given or adopted."""
        wall = time.time_ns() // 1_000_000 << COUNTER_BITS
        with self._lock:
            self._last = max(wall, self._last + 1)
            return self._last

    def observe(self, reading: int) -> bool:
        """Adopt a reading seen in an event; False when it is too far ahead to be believed."""
        limit = int((time.time() + MAX_SKEW_SECONDS) * 1000) << COUNTER_BITS
        if reading > limit:
            return False
        with self._lock:
            self._last = max(self._last, reading)
        return True


def seconds(reading: int) -> float:
    """Seconds since the epoch of a clock reading."""
    return (reading >> COUNTER_BITS) / 1000


def reading_at(moment: float) -> int:
    """The smallest clock reading at `moment` (seconds since the epoch)."""
    return int(round(moment * 1000, 3)) << COUNTER_BITS
