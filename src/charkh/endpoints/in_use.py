"""A servable in use: how many requests it answers now, and how long one is expected to take."""

import dataclasses
import os

from charkh.endpoints.batching import Batched, Fit
from charkh.endpoints.instruments import Instrument
from charkh.endpoints.servable import Servable

WIDTH = max(1, min(4, os.cpu_count() or 1))
"""How many of them run at once."""
HOLDING = ("sklearn", "pickle", "mlflow")
"""Runtimes that hold the interpreter while they predict: two of them at once only wait for each other."""
QUICK = 0.001
"""Seconds: what is expected to take less is done at once, what takes more goes to a thread."""
MUCH_LONGER = 20.0
"""Times what was expected that one request is believed to have taken at most."""


class InUse:
    """A servable in use.

    Attributes:
        servable: asked on the loop, where it is quick.
        batched: what is asked from threads: a few times at once, and together where that pays.
        shared: the same servable, which asks that.
        instrument: what counts its answers.
        together: how long the loop's calls take by their rows.
        inflight: requests that threads answer now.
        retired: it is served no more, and is let go when none is in flight.
    """

    def __init__(self, servable: Servable, instrument: Instrument | None = None) -> None:
        self.servable = servable
        self.instrument = instrument
        counted = None if instrument is None else instrument.batched
        width = 1 if servable.platform in HOLDING else WIDTH
        self.batched = Batched(servable.predict, width, counted)
        self.shared = dataclasses.replace(servable, predict=self.batched)
        self.together = Fit()
        self.inflight = 0
        self.retired = False
        self._limit = 0.0 if servable.waits else QUICK
        self._seconds, self._bytes = servable.expected

    def is_quick(self, size: int) -> bool:
        """Whether a request of so many bytes is expected to be answered at once."""
        return self._seconds * max(1.0, size / self._bytes) < self._limit

    def took(self, seconds: float, size: int) -> None:
        """Learn from a request of so many bytes that took so long."""
        # Threads that wait for each other measure too much, so less is believed sooner than more, and one long wait
        # for the processor little.
        seconds = min(seconds, MUCH_LONGER * self._seconds * max(1.0, size / self._bytes))
        share = 0.5 if seconds < self._seconds else 0.05
        self._seconds += share * (seconds - self._seconds)
        self._bytes += share * (size - self._bytes)
